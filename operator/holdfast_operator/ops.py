"""The ops listener: health, readiness, metrics, in plain HTTP.

Healthy: the event loop answers and the watches' thread lives. Ready: every kind was listed once, and whoever leads is at
work; a standby is ready, too. Neighbour: `main` says what those mean here.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

Probe = Callable[[], str | None]
"""What is wrong, None for nothing."""


class OpsServer:
    """`start` binds, `stop` lets go; `port` is the real one after the start."""

    def __init__(self, host: str, port: int, *, healthy: Probe, ready: Probe, metrics: Callable[[], bytes]) -> None:
        self._host, self.port = host, port
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", _answer(healthy)),
                web.get("/readyz", _answer(ready)),
                web.get("/metrics", _metrics(metrics)),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Raises OSError when the address cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener."""
        await self._runner.cleanup()


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _answer(probe: Probe) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        problem = probe()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    return handle


def _metrics(text: Callable[[], bytes]) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    return handle
