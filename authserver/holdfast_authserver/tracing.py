"""OpenTelemetry traces, for whoever installed the extra and set the standard OTEL_* variables: one span for each request.

Owns when tracing is on, and what a span says: method, path, status and decision id, never what was sent. Off, it is not
there at all: no wrapper, no import. Neighbours: `server.py` wraps the applications of the listeners that clients reach.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

App = Callable[[Any, Any, Any], Awaitable[None]]
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SERVICE = "holdfast-authserver"  # unless OTEL_SERVICE_NAME says otherwise


class TracingError(Exception):
    """Traces are wanted and cannot be made; names the variable or the extra."""


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a collector is named, and nothing switches traces off (OpenTelemetry's general SDK configuration)."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return environment.get("OTEL_TRACES_EXPORTER") == "otlp" or any(environment.get(name) for name in _ENDPOINTS)


class Tracing:
    """Sends spans to the collector that the environment names. Raises TracingError."""

    def __init__(self) -> None:
        if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
            raise TracingError("OTEL_TRACES_EXPORTER: expected otlp or none")
        try:
            self._provider = _provider()
        except ModuleNotFoundError as error:
            raise TracingError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is missing: pip install 'holdfast[tracing]'"
            ) from error
        self._tracer = self._provider.get_tracer("holdfast_authserver")

    def around(self, app: App, listener: str) -> App:
        """The same application, with a span for each request."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode

        tracer = self._tracer

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            carrier = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT
            }
            attributes = {"http.request.method": scope["method"], "holdfast.listener": listener}
            with tracer.start_as_current_span(
                scope["method"], context=extract(carrier), kind=SpanKind.SERVER, attributes=attributes
            ) as span:

                async def tell(message: MutableMapping[str, Any]) -> None:
                    if message["type"] == "http.response.start":
                        status = message["status"]
                        span.set_attribute("http.response.status_code", status)
                        if status != _NOT_FOUND:  # what is served is a closed set; what is not may hold anything
                            span.update_name(f"{scope['method']} {scope['path']}")
                            span.set_attribute("http.route", scope["path"])
                        if status >= 500:
                            span.set_status(Status(StatusCode.ERROR))
                        span.set_attribute("holdfast.decision", _decision(message))
                    await send(message)

                await app(scope, receive, tell)

        return traced

    def close(self) -> None:
        """Send what is waiting; ends within the exporter's own timeout."""
        self._provider.shutdown()


_CONTEXT = (b"traceparent", b"tracestate")
_NOT_FOUND = 404


def _decision(message: MutableMapping[str, Any]) -> str:
    found: bytes = next((value for name, value in message["headers"] if name == b"holdfast-decision"), b"")
    return found.decode("ascii")


def _provider() -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource({SERVICE_NAME: _SERVICE}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
