"""The ops listener: is it alive, is it ready, what has it counted. Plain HTTP, no secret, no client by name."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast_authserver.endpoints.context import EndpointContext

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def create_operations_app(context: EndpointContext) -> Any:
    """`/healthz`: the process answers. `/readyz`: tokens are issued, the registry was just seen. `/metrics`: Prometheus."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        snapshot, age = context.keeper.snapshot, context.keeper.age
        ready = context.availability.hold.over(snapshot) and age <= context.availability.ready_staleness
        registry = {"revision": snapshot.revision, "confirmed": snapshot.confirmed, "age_seconds": round(age, 3)}
        body = {"ready": ready, "registry": registry}
        return JSONResponse(body, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(context.metrics.exposition(), headers={"content-type": _EXPOSITION})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
