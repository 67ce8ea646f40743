"""What an endpoint answers with, and the one writer of error bodies (RFC 6749 section 5.2)."""

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from holdfast.oauth.errors import MethodNotAllowed, OAuthError, TemporarilyUnavailable
from holdfast_authserver.compact_json import encode

Header = tuple[bytes, bytes]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NO_STORE: Header = (b"cache-control", b"no-store")
_DIRECT: tuple[Header, ...] = ((b"content-type", b"application/json"), NO_STORE, (b"pragma", b"no-cache"))


class Answer(NamedTuple):
    """Status, body and headers; length and decision id are added when it is sent."""

    status: int
    body: bytes
    headers: tuple[Header, ...]


EMPTY = Answer(200, b"", (NO_STORE, (b"pragma", b"no-cache")))
"""Success with nothing to say (RFC 7009 section 2.2)."""


def direct_json(value: dict[str, Any]) -> Answer:
    """A success that nobody may store (RFC 6749 section 5.1, RFC 7662 section 4)."""
    return Answer(200, encode(value), _DIRECT)


def signed(token: str, content_type: bytes) -> Answer:
    """A success in the form of a JWS that nobody may store."""
    return Answer(200, token.encode("ascii"), ((b"content-type", content_type), *_DIRECT[1:]))


@dataclass(frozen=True, slots=True)
class Document:
    """What anybody may read and keep for a while, with its entity tag (RFC 9110 section 8.8.3)."""

    whole: Answer
    not_modified: Answer
    etag: bytes

    @classmethod
    def of(cls, body: bytes, content_type: bytes, *, max_age: int, etag: bytes | None = None) -> "Document":
        """`max_age`: seconds. `etag` None: made from the body."""
        tag = etag or b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
        kept = ((b"cache-control", b"public, max-age=%d" % max_age), (b"etag", tag))
        return cls(Answer(200, body, ((b"content-type", content_type), *kept)), Answer(304, b"", kept), tag)

    def answer(self, if_none_match: bytes | None) -> Answer:
        """All of it, or that it is what the reader has already (weak comparison, RFC 9110 section 13.1.2)."""
        if if_none_match is None:
            return self.whole
        tags = {tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")}
        return self.not_modified if tags & {b"*", self.etag.removeprefix(b"W/")} else self.whole


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
    return Answer(error.status, encode(body), tuple(headers))


async def send_answer(send: Send, answer: Answer, decision: str) -> None:
    """Write it out, with the id under which the audit log tells why."""
    body = answer.body
    headers = [*answer.headers, (b"content-length", b"%d" % len(body)), (b"holdfast-decision", decision.encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
