"""What is no request for this server (RFC 9112), whichever parser read it, and the one answer to it.

Owns the rules that the parsers leave open. Neighbours: `protocol.py` and `plain_protocol.py` ask and send.
"""

from http import HTTPStatus
from typing import Any

VERSIONS = ("1.1", "1.0")


class MalformedRequest(ValueError):
    """It ends the parse and the connection. `status`: of the answer."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        self.status = status
        super().__init__(message)


def check_head(version: str, hosts: int, target: bytes) -> None:
    """Judge the head of a request. Raises MalformedRequest.

    `hosts`: how many Host fields there are; exactly one, only HTTP/1.0 may have none (RFC 9112 section 3.2). A target
    has no fragment (section 3.2). HTTP/0.9 and HTTP/2.0 in a request line are no HTTP/1.1 (section 2.3).
    """
    if version not in VERSIONS:
        raise MalformedRequest("the HTTP version is not spoken here")
    if hosts != 1 and (hosts or version == "1.1"):
        raise MalformedRequest("expected one Host field")
    if b"#" in target:
        raise MalformedRequest("the request target has a fragment")


def malformed_body(status: HTTPStatus) -> bytes:
    """The error body of this server (RFC 6749 section 5.2)."""
    text = "the request header is too large" if status == 431 else "the request is malformed"
    return f'{{"error":"invalid_request","error_description":"{text}"}}'.encode()


HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"connection", b"close")]


def malformed_answer(status: HTTPStatus, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """The whole answer, since there is no scope in which an application could write it."""
    body = malformed_body(status)
    head = [f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()]
    head += [name + b": " + value + b"\r\n" for name, value in (*default_headers, *HEADERS)]
    return b"".join(head) + b"content-length: %d\r\n\r\n" % len(body) + body


async def send_malformed(send: Any, status: HTTPStatus) -> None:
    """The same by an ASGI application in front of all others."""
    body = malformed_body(status)
    headers = [*HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
