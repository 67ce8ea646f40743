"""uvicorn's HTTP protocols, with the presented certificates in the ASGI scope and limits on slow or large requests.

Leans on uvicorn's own classes, hence the pin in pyproject.toml; tests/authserver/test_transport.py guards the hooks.
Bytes that are no HTTP get the one error body of this server. Neighbours: `listener.py` sweeps slow connections.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Protocol

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast_authserver.transport.connection import TlsConnection
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.presented import tls_extension


class SlowConnection(Protocol):
    """What the sweep of a listener needs to know of a connection."""

    transport: asyncio.Transport
    waiting_since: float | None
    """Loop time since when a request is expected to arrive in full; None while one is served, or the peer is idle."""


def _extensions(transport: asyncio.BaseTransport) -> dict[str, Any]:
    ssl_object = transport.get_extra_info("ssl_object")
    if not isinstance(ssl_object, TlsConnection):
        return {}
    return {"tls": tls_extension(ssl_object.presented_chain(), ssl_object.tls_version())}


def _malformed(status: HTTPStatus, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """The answer to what is no HTTP request; there is no scope, so it is written here."""
    text = "the request header is too large" if status == 431 else "the request is malformed"
    body = f'{{"error":"invalid_request","error_description":"{text}"}}'.encode()
    head = [f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()]
    head += [name + b": " + value + b"\r\n" for name, value in default_headers]
    head.append(b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n")
    return b"".join(head) + b"content-length: %d\r\n\r\n" % len(body) + body


class TlsHttpToolsProtocol(HttpToolsProtocol):
    """The fast one: httptools parses."""

    limits = ConnectionLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._extensions = _extensions(transport)
        self._in_head = True
        self._fed_in_head = 0
        self._head_size = 0
        self._head_too_large = False
        self.waiting_since: float | None = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves the timer, and all it holds, after an unclean end

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            # Counted here as well as by header, since a header that never ends is never reported.
            self._fed_in_head += len(data)
        super().data_received(data)
        if self._in_head and self._fed_in_head > self.limits.head and not self.transport.is_closing():
            self._head_too_large = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self.waiting_since = self.loop.time()
        self._in_head = True
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        self._grow_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow_head(len(name) + len(value) + 4)  # with colon, space and the end of the line
        super().on_header(name, value)

    def _grow_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self.limits.head:
            self._head_too_large = True
            raise ValueError("the request header is too large")  # ends the parse; the answer is send_400_response's

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._fed_in_head = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.waiting_since = None

    def send_400_response(self, msg: str) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._head_too_large else HTTPStatus.BAD_REQUEST
        self.transport.write(_malformed(status, self.server_state.default_headers))
        self.transport.close()


class TlsH11Protocol(H11Protocol):
    """The plain one, without C: for debugging. `h11_max_incomplete_event_size` bounds the header; all refusals are 400."""

    limits = ConnectionLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waiting_since: float | None = self.loop.time()
        extensions, inner = _extensions(transport), self.app

        async def with_extensions(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = extensions
            await inner(scope, receive, send)

        self.app = with_extensions

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # as above

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE):
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_malformed(HTTPStatus.BAD_REQUEST, self.server_state.default_headers))
        self.transport.close()
