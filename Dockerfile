# The one image of Holdfast: every process is a sub-command of `holdfast`.
# The project's own tests do not build it, for they run without a container engine. The base is pinned by name, not by
# digest: raise and pin it where you build.

FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/holdfast \
 && /opt/holdfast/bin/pip install --no-cache-dir '.[authserver,operator,workload,cli]'

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://holdfast.dev"
COPY --from=build /opt/holdfast /opt/holdfast
ENV PATH=/opt/holdfast/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# By number, so that runAsNonRoot can be checked. The root file system may be read-only: only /tmp and mounted volumes are written.
USER 65532:65532
ENTRYPOINT ["holdfast"]
CMD ["--help"]
