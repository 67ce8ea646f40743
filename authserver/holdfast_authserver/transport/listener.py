"""A listening socket with an application behind it: uvicorn's protocols, started and stopped in our own event loop.

Owns the socket, who is let in, the limits on handshakes and slow requests, and a stop that drains in bounded time.
uvicorn's own `Server` is not used: it takes the process's signals, knows no handshake limit and waits for idle peers.
Neighbours: `arrival` lets connections in, `protocol` and `plain_protocol` speak HTTP on them.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
import stat
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from holdfast_authserver.transport.admission import Admission, Slot
from holdfast_authserver.transport.arrival import Arrival
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.plain_protocol import TlsH11Protocol
from holdfast_authserver.transport.protocol import SlowConnection, TlsHttpToolsProtocol

_LOG = logging.getLogger(__name__)
PROTOCOLS: dict[str, type[TlsHttpToolsProtocol] | type[TlsH11Protocol]] = {
    "httptools": TlsHttpToolsProtocol,
    "h11": TlsH11Protocol,
}
_BACKLOG = 2048  # connections that may wait while the loop is busy with handshakes


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket that does not listen yet; port 0 is any free one. `shared`: with other workers. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


def bind_unix(path: Path) -> socket.socket:
    """A bound Unix socket for owner and group. One that a server before left behind is removed. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            _check_abandoned(path)
            path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(path))
        path.chmod(0o660)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


def _check_abandoned(path: Path) -> None:
    """Raises OSError when somebody still listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), os.fspath(path))


class Listener:
    """Serves `app` on a bound socket, over TLS when there is a context."""

    def __init__(
        self,
        app: Any,
        bound: socket.socket,
        context: ssl.SSLContext | None,
        *,
        http: str = "httptools",
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._socket = bound
        self._context = context
        self._limits = limits
        self._admission = Admission(limits)
        self._state = ServerState()
        self._config = Config(
            app,
            http=PROTOCOLS[http],
            ws="none",
            lifespan="off",
            proxy_headers=False,  # X-Forwarded-* never means anything on a direct listener
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="error",  # what a stranger sends is no event of ours
            timeout_keep_alive=limits.keep_alive,
            h11_max_incomplete_event_size=limits.head,
        )
        self._address = _address(bound)
        self._server: asyncio.Server | None = None
        self._arriving: set[Arrival] = set()
        self._ticker: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the real one where 0 was asked for; path and 0 of a Unix socket."""
        return self._address

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self._config.load()
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if self._socket.family == socket.AF_UNIX else loop.create_server
        self._server = await create(self._arrival, sock=self._socket, backlog=_BACKLOG)
        self._tick()
        self._ticker = asyncio.create_task(self._tick_every_second())

    def _arrival(self) -> Arrival:
        return Arrival(self._admission, self._context, self._limits, self._protocol, self._arriving)

    def _protocol(self, slot: Slot) -> Any:
        protocol = self._config.http_protocol_class(  # type: ignore[call-arg]
            config=self._config, server_state=self._state, app_state={}, _loop=asyncio.get_running_loop()
        )
        protocol.limits = self._limits  # type: ignore[attr-defined]
        protocol.slot = slot  # type: ignore[attr-defined]
        return protocol

    async def _tick_every_second(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._tick()

    def _tick(self) -> None:
        """Renew the Date header, drop who has been sending one request for too long, and tell who was not let in."""
        self._state.default_headers[:] = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        late = asyncio.get_running_loop().time() - self._limits.request
        for connection in list(self._state.connections):
            slow = cast(SlowConnection, connection)
            if slow.waiting_since is not None and slow.waiting_since < late:
                slow.transport.abort()
        if refused := self._admission.take_refused():
            _LOG.warning("%s: %d connections refused: too many at once, or from one address", self._address, refused)

    async def stop(self) -> None:
        """Take no more connections, answer every request under way, then cut off.

        Ends within `limits.goodbye` and a little. Who has just connected or is sending a request still gets its answer,
        with `connection: close`; who is idle goes at once.
        """
        if self._ticker is None or self._server is None:
            self._socket.close()
            return
        self._ticker.cancel()
        await asyncio.sleep(0)  # the event loop takes who is in the backlog, and could not be told to go elsewhere
        self._server.close()
        self._socket.close()
        self._state.default_headers.append((b"connection", b"close"))  # requests under way have this very list
        for connection in list(self._state.connections):
            if cast(SlowConnection, connection).waiting_since is None:
                connection.shutdown()
        deadline = time.monotonic() + self._limits.goodbye
        while (self._state.connections or self._arriving) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        await self._cut_off()

    async def _cut_off(self) -> None:
        self._ticker = None
        for arrival in list(self._arriving):
            arrival.transport.abort()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def _address(bound: socket.socket) -> tuple[str, int]:
    name = bound.getsockname()
    return (name, 0) if isinstance(name, str) else (str(name[0]), int(name[1]))
