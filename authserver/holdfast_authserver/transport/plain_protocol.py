"""uvicorn's protocol over h11, the plain parser without C: for debugging, and held to the same answers as the fast one.

h11 itself counts Host fields, and bounds what has not arrived whole (`h11_max_incomplete_event_size`), always with 400.
Neighbours: `protocol.py` is the fast one, `malformed.py` has the rules.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from holdfast_authserver.transport.admission import Slot
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.malformed import MalformedRequest, check_head, malformed_answer, send_malformed
from holdfast_authserver.transport.protocol import extensions_of

_ARRIVING = (h11.IDLE, h11.SEND_BODY)


class TlsH11Protocol(H11Protocol):
    """With the presented certificates in the scope."""

    limits = ConnectionLimits()
    slot: Slot | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waiting_since: float | None = self.loop.time()
        extensions, inner = extensions_of(transport), self.app

        async def checked(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = extensions
            try:
                _check_size(scope, self.limits.head)
                _check_target(scope)
            except MalformedRequest as error:
                await send_malformed(send, error.status)
            else:
                await inner(scope, receive, send)

        self.app = checked

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves the timer, and all it holds, after an unclean end
        if self.slot is not None:
            self.slot.leave()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state not in _ARRIVING:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else its answer has begun, and two cannot be told apart
            self.transport.write(malformed_answer(HTTPStatus.BAD_REQUEST, self.server_state.default_headers))
        self.transport.close()


def _check_size(scope: Any, limit: int) -> None:
    size = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(n) + len(v) + 4 for n, v in scope["headers"])
    if size > limit:
        raise MalformedRequest("the request header is too large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


def _check_target(scope: Any) -> None:
    """As the fast parser does: the path alone, from whatever form of target (RFC 9112 section 3.2)."""
    check_head(scope["http_version"], 1, scope["raw_path"] + scope["query_string"])
    target: bytes = scope["raw_path"]
    if target.startswith(b"/") or target == b"*":
        return
    scheme, _, rest = target.partition(b"://")
    _, slash, path = rest.partition(b"/")
    if scheme.lower() not in (b"http", b"https") or not slash or scope["method"] == "CONNECT":
        raise MalformedRequest("the request target is neither a path nor an http URL")
    scope["raw_path"] = b"/" + path
