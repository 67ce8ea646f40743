"""The parent: reserves ports, starts workers, starts one that crashed again, and passes signals on.

It holds each port with a socket that never listens, so that workers can share a free port that was found once and
nobody else takes it while one restarts. Workers end with it, however it ends: see `order`. Must not know TLS, HTTP of
clients, or the registry.
"""

import asyncio
import logging
import signal
import socket
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from holdfast_authserver.settings import Settings
from holdfast_authserver.transport.listener import Listener, bind
from holdfast_authserver.workers.operations import WorkersOverview, create_overview_app
from holdfast_authserver.workers.order import WorkOrder, pack

_LOG = logging.getLogger(__name__)
_MODULE = "holdfast_authserver.workers.worker"
_LONGEST_PAUSE = 5.0  # seconds before a worker that keeps crashing is started again
_STEADY = 30.0  # seconds after which a worker counts as well again
_GRACE = 3.0  # seconds beyond the drain before a worker is killed


class WorkersFailed(Exception):
    """The workers could not be started; they have said why."""


class Worker:
    """One place among the workers, and the process that fills it now."""

    def __init__(self, order: WorkOrder, overview: WorkersOverview) -> None:
        self._order = order
        self._overview = overview
        self._process: asyncio.subprocess.Process | None = None
        self._pause = 0.1

    async def run(self) -> None:
        """Start it and, whenever it ends, again; until cancelled. Raises WorkersFailed when it never got up."""
        was_up = False
        while True:
            begun = time.monotonic()
            code, up = await self._live()
            was_up = was_up or up
            if not was_up:
                raise WorkersFailed(f"a worker ended with code {code} before it served")
            _LOG.error("a worker ended with code %d; another takes its place", code)
            self._pause = 0.1 if time.monotonic() - begun > _STEADY else min(2 * self._pause, _LONGEST_PAUSE)
            await asyncio.sleep(self._pause)

    async def _live(self) -> tuple[int, bool]:
        self._order.ops_socket.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", _MODULE, stdin=asyncio.subprocess.PIPE)
        self._process = process
        assert process.stdin is not None
        process.stdin.write(pack(self._order))  # never closed: its end is how the worker learns of ours
        ended = asyncio.create_task(process.wait())
        up = await self._overview.until_up(self._order.ops_socket, ended)
        return await ended, up

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self, seconds: float) -> None:
        """Drain, and kill what does not end."""
        if self._process is None or self._process.returncode is not None:
            return
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            _LOG.error("a worker did not end within %.0f s and was killed", seconds)
            self._process.kill()
            await self._process.wait()


async def run_workers(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises OSError for a port, WorkersFailed for a worker."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-")))
        sockets = _reserve(settings, closing)
        orders = [WorkOrder(_for_worker(settings, sockets), folder / f"{i}.sock") for i in range(settings.workers)]
        overview = WorkersOverview([order.ops_socket for order in orders])
        closing.push_async_callback(overview.close)
        workers = [Worker(order, overview) for order in orders]
        loop.add_signal_handler(signal.SIGHUP, _signal_all, workers, signal.SIGHUP)
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        closing.push_async_callback(_stop, workers, tasks, settings.drain_timeout + _GRACE)
        ended = asyncio.create_task(stopping.wait())
        await _first(ended, *tasks, asyncio.create_task(overview.all_up.wait()))
        if not stopping.is_set():
            addresses = {name: bound.getsockname()[:2] for name, bound in sockets.items()}
            if settings.ops_port is not None:
                addresses["ops"] = await _listen(settings, overview, closing)
            for name, (host, port) in addresses.items():
                print(f"holdfast authserver: {name} on {host}:{port}", file=sys.stderr, flush=True)
            await _first(ended, *tasks)


async def _first(*tasks: "asyncio.Task[object]") -> None:
    """Wait until one is done; raises what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _signal_all(workers: list[Worker], number: int) -> None:
    for worker in workers:
        worker.signal(number)


async def _stop(workers: list[Worker], tasks: list["asyncio.Task[None]"], seconds: float) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(worker.stop(seconds) for worker in workers))


def _reserve(settings: Settings, closing: AsyncExitStack) -> dict[str, socket.socket]:
    """Raises OSError, with the listener's name before it."""
    sockets = {}
    for name in ("public", "mtls", "admin", "forwarded"):
        port: int | None = getattr(settings, f"{name}_port", None)
        if port is None:
            continue
        host: str = getattr(settings, f"{name}_host")
        try:
            sockets[name] = closing.enter_context(bind(host, port, shared=True))
        except OSError as error:
            text = f"{name} listener ({name}_host, {name}_port): {host}:{port}: {error.strerror}"
            raise OSError(error.errno, text) from error
    return sockets


def _for_worker(settings: Settings, sockets: dict[str, socket.socket]) -> Settings:
    ports = {f"{name}_port": bound.getsockname()[1] for name, bound in sockets.items()}
    return settings.model_copy(update={**ports, "ops_port": None})


async def _listen(settings: Settings, overview: WorkersOverview, closing: AsyncExitStack) -> tuple[str, int]:
    assert settings.ops_port is not None
    listener = Listener(create_overview_app(overview), bind(settings.ops_host, settings.ops_port), None)
    await listener.start()
    closing.push_async_callback(listener.stop)
    return listener.address
