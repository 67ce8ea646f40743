"""The ops listener for all workers: ready when all are, counts summed, gauges told apart by worker.

Owns how several answers become one. Asks the workers over their Unix sockets. Neighbours: `parent`,
`endpoints.operations`, which answers in each worker.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_TIMEOUT = 3.0  # seconds for a worker to answer
_SUMMED = frozenset({"counter", "histogram"})


class WorkersOverview:
    """`sockets`: one for each worker, by its number."""

    def __init__(self, sockets: Sequence[Path]) -> None:
        self._clients = {
            socket: httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://worker", timeout=_TIMEOUT
            )
            for socket in sockets
        }
        self._up: set[Path] = set()
        self.all_up = asyncio.Event()
        """Every worker has served once."""

    async def until_up(self, socket: Path, ended: "asyncio.Task[int]") -> bool:
        """Wait for a worker that was just started; False when it ended before."""
        while not ended.done():
            if await self._ask(socket, "/healthz") is not None:
                self._up.add(socket)
                if len(self._up) == len(self._clients):
                    self.all_up.set()
                return True
            await asyncio.sleep(0.05)
        return False

    async def ask(self, path: str) -> list[httpx.Response | None]:
        """Every worker's answer, in the order of their numbers; None where none came."""
        return list(await asyncio.gather(*(self._ask(socket, path) for socket in self._clients)))

    async def _ask(self, socket: Path, path: str) -> httpx.Response | None:
        try:
            return await self._clients[socket].get(path)
        except (httpx.HTTPError, OSError):
            return None

    async def close(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))


def create_overview_app(overview: WorkersOverview) -> Any:
    """`/healthz`: any worker answers. `/readyz`: all are ready. `/metrics`: of all together."""

    async def healthz(_: Request) -> Response:
        found = await overview.ask("/healthz")
        alive = sum(answer is not None for answer in found)
        return JSONResponse({"status": "ok" if alive else "down", "workers": alive}, 200 if alive else 503)

    async def readyz(_: Request) -> Response:
        found = await overview.ask("/readyz")
        ready = all(answer is not None and answer.status_code == 200 for answer in found)
        bodies = [None if answer is None else answer.json() for answer in found]
        return JSONResponse({"ready": ready, "workers": bodies}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        texts = [None if answer is None else answer.text for answer in await overview.ask("/metrics")]
        return Response(generate_latest(_Together(texts)), headers={"content-type": _EXPOSITION})

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


class _Together:
    """A collector of what the workers' expositions say. A worker that started again begins its counts at zero."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for worker, text in enumerate(self._texts):
            for family in text_string_to_metric_families(text or ""):
                found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                series = sums.setdefault(family.name, {})
                for sample in family.samples:
                    labels = sample.labels if family.type in _SUMMED else {**sample.labels, "worker": str(worker)}
                    key = sample.name, tuple(labels.items())
                    series[key] = series.get(key, 0.0) + sample.value
        for name, metric in found.items():
            for (sample_name, pairs), value in sums[name].items():
                metric.add_sample(sample_name, dict(pairs), value)
            yield metric
