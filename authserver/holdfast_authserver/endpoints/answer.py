"""What an endpoint answers with, and the one writer of error bodies (RFC 6749 section 5.2)."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from holdfast.oauth.errors import MethodNotAllowed, OAuthError, TemporarilyUnavailable

Header = tuple[bytes, bytes]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

NO_STORE: Header = (b"cache-control", b"no-store")
_DIRECT: tuple[Header, ...] = ((b"content-type", b"application/json"), NO_STORE, (b"pragma", b"no-cache"))


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers; length and decision id are added when it is sent."""

    status: int
    body: bytes
    headers: tuple[Header, ...]


EMPTY = Answer(200, b"", (NO_STORE, (b"pragma", b"no-cache")))
"""Success with nothing to say (RFC 7009 section 2.2)."""


def direct_json(value: dict[str, Any]) -> Answer:
    """A success that nobody may store (RFC 6749 section 5.1, RFC 7662 section 4)."""
    return Answer(200, _ENCODE(value).encode(), _DIRECT)


def error_answer(error: OAuthError, *, challenge: bool = False, description: str | None = None) -> Answer:
    """The public half of an error. `challenge`: the request used an Authorization header (RFC 6749 section 5.2)."""
    headers = list(_DIRECT)
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, TemporarilyUnavailable):
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if error.status == 401 and challenge:
        headers.append((b"www-authenticate", b'Basic realm="holdfast"'))
    body = {"error": error.code, "error_description": description or error.description}
    return Answer(error.status, _ENCODE(body).encode(), tuple(headers))


async def send_answer(send: Send, answer: Answer, decision: str) -> None:
    """Write it out, with the id under which the audit log tells why."""
    body = answer.body
    headers = [*answer.headers, (b"content-length", b"%d" % len(body)), (b"holdfast-decision", decision.encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
