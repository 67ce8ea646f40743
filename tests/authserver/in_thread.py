"""A real server in a thread of its own, for tests that ask it with a client that blocks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from tests.authserver.running import RunningServer, client, running

Started = Future[tuple[RunningServer, Callable[[], object]]]
"""The server, and what stops it."""


@contextmanager
def running_in_thread(folder: Path, **options: Any) -> Iterator[RunningServer]:
    """With the client shop.orders, on uvloop as in production, until the end of the block. `options`: of `running`."""
    started: Started = Future()
    thread = threading.Thread(target=lambda: _run(folder, options, started), name="server")
    thread.start()
    found, stop = started.result(30)
    try:
        yield found
    finally:
        stop()
        thread.join(30)


def _run(folder: Path, options: dict[str, Any], started: Started) -> None:
    async def serve() -> None:
        stop = asyncio.Event()
        async with running(folder, **options) as found:
            await found.put(client(anchors=[found.ca]))
            loop = asyncio.get_running_loop()
            started.set_result((found, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve())
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise
