"""uvicorn's protocol over httptools, with the presented certificates in the ASGI scope and limits on what a peer may send.

Leans on uvicorn's own class, hence the pin in pyproject.toml; tests/authserver/transport guards the hooks. Bytes that
are no HTTP get the one error body of this server, after the answers to what came before them. An upgrade is never
agreed to: such a request is read and served as if it had not asked (RFC 9110 section 7.8).
Neighbours: `plain_protocol.py` is the other parser, `malformed.py` has the rules, `listener.py` sweeps slow connections.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast_authserver.transport.admission import Slot
from holdfast_authserver.transport.answer_cycle import AnswerCycle
from holdfast_authserver.transport.connection import TlsConnection
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.malformed import MalformedRequest, check_head, malformed_answer
from holdfast_authserver.transport.presented import tls_extension


class SlowConnection(Protocol):
    """What the sweep of a listener needs to know of a connection."""

    transport: asyncio.Transport
    waiting_since: float | None
    """Loop time since when a request is expected to arrive in full; None while one is served, or the peer is idle."""
    slot: Slot | None
    """The connection's place among those that there may be."""


def extensions_of(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """`scope["extensions"]` of every request on this connection."""
    ssl_object = transport.get_extra_info("ssl_object")
    if not isinstance(ssl_object, TlsConnection):
        return {}
    return {"tls": tls_extension(ssl_object.presented_chain(), ssl_object.tls_version())}


class TlsHttpToolsProtocol(HttpToolsProtocol):
    """The fast one: httptools parses."""

    limits = ConnectionLimits()
    slot: Slot | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._extensions = extensions_of(transport)
        self._in_head = True
        self._in_body = False
        self._fed_in_head = 0
        self._head_size = 0
        self._hosts = 0
        self._framing = 0
        self._refusal: bytes | None = None
        self.waiting_since: float | None = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves the timer, and all it holds, after an unclean end
        if self.slot is not None:
            self.slot.leave()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return  # nothing after it is a request
        if self._in_head:
            # Counted here as well as by header, since a header that never ends is never reported.
            self._fed_in_head += len(data)
        elif self._in_body:
            self._framing += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        else:
            if self._in_head and self._fed_in_head > self.limits.head:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._in_body and self._framing > self.limits.framing:
                self._refuse(HTTPStatus.BAD_REQUEST)

    def _parse(self, data: bytes) -> None:
        """Feed the parser. It stops behind the head of a request that asks for an upgrade, and would skip its body."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self.waiting_since = self.loop.time()
        self._in_head = True
        self._head_size = 0
        self._hosts = 0

    def on_url(self, url: bytes) -> None:
        self._grow_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called for each header, hence uvicorn's own few lines in place of a call of them."""
        self._grow_head(len(name) + len(value) + 4)  # with colon, space and the end of the line
        if not self._in_head:
            return  # a trailer field: none is known here, and it must not pass for a header (RFC 9110 section 6.5.1)
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def _grow_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self.limits.head:
            raise ValueError("the request header is too large")  # ends the parse; the answer is send_400_response's

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise MalformedRequest("this server is no proxy")
            return  # it is read once more, without that
        check_head(self.parser.get_http_version(), self._hosts, self.url)
        super().on_headers_complete()
        self.cycle.__class__ = AnswerCycle  # it was made a line before and has not begun; uvicorn knows no other way in
        self._in_head = False
        self._in_body = True
        self._fed_in_head = 0
        self._framing = 0

    def on_body(self, body: bytes) -> None:
        if self._framing:
            self._framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._in_head:
            return  # the upgrade
        super().on_message_complete()
        self._in_body = False
        self.waiting_since = None

    def send_400_response(self, msg: str) -> None:
        too_large = self._head_size > self.limits.head
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer and end the connection, once the requests before this one are answered (RFC 9112 section 9.3.2)."""
        self._refusal = malformed_answer(status, self.server_state.default_headers)
        self.waiting_since = None
        if self._in_body and self.cycle.response_started:
            self.transport.close()  # two answers to one request could not be told apart
        elif self._in_body and self.pipeline:
            self.pipeline.popleft()  # its own turn has not come; what is before it is at work
        elif self._in_body or self.cycle is None or self.cycle.response_complete:
            self._send_refusal()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if self._refusal is not None and is_last and not self.transport.is_closing():
            self._send_refusal()

    def _send_refusal(self) -> None:
        assert self._refusal is not None
        self.transport.write(self._refusal)
        self.transport.close()
