"""A listening socket with an application behind it: uvicorn's protocols, started and stopped in our own event loop.

Owns the socket, the limits on handshakes and slow requests, and a stop that ends in bounded time. uvicorn's own
`Server` is not used: it takes the process's signals, knows no handshake limit and waits for idle peers.
"""

import asyncio
import socket
import ssl
import time
from email.utils import formatdate
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.plain_protocol import TlsH11Protocol
from holdfast_authserver.transport.protocol import SlowConnection, TlsHttpToolsProtocol

PROTOCOLS: dict[str, type[TlsHttpToolsProtocol] | type[TlsH11Protocol]] = {
    "httptools": TlsHttpToolsProtocol,
    "h11": TlsH11Protocol,
}
_BACKLOG = 2048  # connections that may wait while the loop is busy with handshakes


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; port 0 is any free one. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


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
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the real one where 0 was asked for."""
        name = self._socket.getsockname()
        return str(name[0]), int(name[1])

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self._config.load()
        loop = asyncio.get_running_loop()
        handshake = {} if self._context is None else self._tls_limits()
        self._server = await loop.create_server(
            self._protocol, sock=self._socket, ssl=self._context, backlog=_BACKLOG, **handshake
        )
        self._tick()
        self._ticker = asyncio.create_task(self._tick_every_second())

    def _tls_limits(self) -> dict[str, Any]:
        return {"ssl_handshake_timeout": self._limits.handshake, "ssl_shutdown_timeout": self._limits.goodbye}

    def _protocol(self) -> asyncio.Protocol:
        protocol = self._config.http_protocol_class(  # type: ignore[call-arg]
            config=self._config, server_state=self._state, app_state={}, _loop=asyncio.get_running_loop()
        )
        protocol.limits = self._limits  # type: ignore[attr-defined]
        return protocol

    async def _tick_every_second(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._tick()

    def _tick(self) -> None:
        """Renew the Date header, and drop who has been sending one request for too long."""
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        late = asyncio.get_running_loop().time() - self._limits.request
        for connection in list(self._state.connections):
            slow = cast(SlowConnection, connection)
            if slow.waiting_since is not None and slow.waiting_since < late:
                slow.transport.abort()

    async def stop(self) -> None:
        """Take no more connections, finish requests under way, then cut off. Ends within `limits.goodbye` and a little."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        deadline = time.monotonic() + self._limits.goodbye
        while self._state.connections and time.monotonic() < deadline:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        self._socket.close()
