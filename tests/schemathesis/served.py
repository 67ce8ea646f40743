"""A real server with its admin listener, in a thread of its own, for tests that ask it with a foreign client."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from tests.authserver.running import RunningServer, client, running, spiffe_id
from tests.core.x509.authority import Authority

OPERATOR = "spiffe://cluster.local/ns/holdfast-system/sa/holdfast-operator"
Started = Future[tuple[RunningServer, Callable[[], object]]]
"""The server, and what stops it."""


@dataclass(frozen=True, slots=True)
class Served:
    """`ca`, `certificate`: files for a client (the latter with its key) that is good at both listeners."""

    mtls: str
    admin: str
    ca: Path
    certificate: tuple[str, str]
    term: int
    mtls_app: Any
    admin_app: Any


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Until the end of the block."""
    authority = Authority.root("CN=Operator Root")
    (folder / "operator-ca.crt").write_bytes(authority.pem)
    started: Started = Future()
    thread = threading.Thread(target=lambda: _run(folder, authority, started), name="server")
    thread.start()
    found, stop = started.result(30)
    try:
        host, port = found.server.addresses["admin"]
        (folder / "server-ca.crt").write_bytes(found.server_ca.pem)
        cert, key = authority.issue(uris=[OPERATOR, spiffe_id("shop.orders")]).write(folder / "operator")
        apps = [found.server._listeners[name]._config.app for name in ("mtls", "admin")]
        yield Served(
            found.mtls, f"https://{host}:{port}", folder / "server-ca.crt", (str(cert), str(key)), found.term, *apps
        )
    finally:
        stop()
        thread.join(30)


def _run(folder: Path, authority: Authority, started: Started) -> None:
    async def serve() -> None:
        stop = asyncio.Event()
        admin: dict[str, Any] = {
            "admin_port": 0,
            "admin_client_ca_file": folder / "operator-ca.crt",
            "admin_client_san": OPERATOR,
        }
        async with running(folder, ca=authority, **admin) as found:
            await found.put(client(anchors=[authority]))
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
