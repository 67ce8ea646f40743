"""The TLS listener of the injector: uvicorn in our own event loop, with a certificate that is read again when it changes.

Owns the socket, the TLS context and the stop. The API server proves nothing of itself here, and needs not: nothing is
changed by asking. Neighbour: `app`.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from holdfast.x509.certificate import CertificateError, load_pem_bundle

log = logging.getLogger(__name__)

_LOOK_AGAIN = 1.0  # seconds between looks at the files, so that a burst of connections costs one
_KEEP_ALIVE = 120  # seconds; longer than the 90 after which an API server drops an idle connection, so that it does so first
_CONNECTIONS = (
    100  # at once, of reviews or idle; the others get 503. Bodies of 8 MiB, held for seconds, must not fill the pod
)
_DRAIN = 10  # seconds for answers under way; an API server waits no longer than 5


class TlsFilesError(Exception):
    """Certificate or key cannot be used; names the file and the cause, never its content."""


class ReloadingContext(ssl.SSLContext):
    """A server's context whose connections get the pair that the files hold when they begin."""

    certificate: Path
    key: Path

    def __new__(cls, certificate: Path, key: Path) -> Self:
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self.certificate, self.key = certificate, key
        return self

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises TlsFilesError."""
        self._stamp = self._stamped()
        self._current = self._loaded()
        self._looked = time.monotonic()

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """A new connection, by a context of its own that nobody changes any more."""
        self._reload_when_changed()
        return self._current.wrap_bio(*args, **named)

    def not_after(self) -> datetime:
        """When the certificate in the file ends. Raises TlsFilesError."""
        try:
            return load_pem_bundle(self.certificate.read_bytes())[0].not_after
        except (OSError, CertificateError) as error:
            raise TlsFilesError(f"{self.certificate}: {error}") from error

    def _reload_when_changed(self) -> None:
        """Half a rotation (key and certificate of different pairs) keeps the old pair until the files agree."""
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        try:
            stamp = self._stamped()
            if stamp != self._stamp:
                self._current, self._stamp = self._loaded(), stamp
        except TlsFilesError as error:
            log.warning("keeping the previous certificate: %s", error)

    def _stamped(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when either file does, also when a mounted Secret swaps its symbolic link."""
        try:
            stats = [path.stat() for path in (self.certificate, self.key)]
        except OSError as error:
            raise TlsFilesError(f"{error.filename}: {error.strerror}") from error
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in stats)

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise TlsFilesError(f"{self.certificate}, {self.key}: {error}") from error
        return context


class _Server(uvicorn.Server):
    """Leaves the process's signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(host: str, port: int) -> socket.socket:
    """Raises OSError. Says its protocol: only then asyncio turns Nagle's algorithm off, which costs a review 40 ms."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


class Listener:
    """`start` binds and serves, `stop` answers what is under way; `port` is the real one."""

    def __init__(self, app: ASGIApp, context: ssl.SSLContext, host: str, port: int) -> None:
        """Raises OSError when the address cannot be had."""
        self._socket = _bound(host, port)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            ssl_context_factory=lambda *_: context,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_DRAIN,
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    @property
    def peers(self) -> tuple[asyncio.BaseTransport, ...]:
        """The connections that are open."""
        return tuple(connection.transport for connection in self._server.server_state.connections if connection.transport)

    async def start(self) -> None:
        """Serve from now on."""
        self._serving = asyncio.create_task(self._server.serve([self._socket]))

    async def stop(self) -> None:
        """Take no more connections, answer what is under way, end."""
        self._server.should_exit = True
        if self._serving is None:
            self._socket.close()
        else:
            await self._serving
