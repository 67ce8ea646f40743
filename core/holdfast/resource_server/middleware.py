"""ASGI middleware: lets a request through when its token is good and bound to the certificate of its connection.

Owns how a token is presented (RFC 6750 section 2.1, the Authorization header alone) and how a refusal is answered
(section 3). Must not verify: `verifier` does. Knows ASGI, and no framework.

    from holdfast.resource_server import BoundTokenMiddleware, Expected, JwksCache, TokenVerifier

    verifier = TokenVerifier(
        Expected(issuer="https://as.example", audience="https://orders.shop.svc", scopes=("orders.read",)),
        JwksCache("https://as.example/oauth2/jwks"),
    )
    app = BoundTokenMiddleware(app, verifier)

The server must put the client's certificate into the ASGI TLS extension; `asgi_tls` makes uvicorn do so.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from holdfast.oauth.claims import AccessTokenClaims
from holdfast.resource_server.errors import (
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    IssuerUnavailable,
    NoCredentials,
    Refusal,
)
from holdfast.resource_server.peer import client_certificate
from holdfast.resource_server.resource_metadata import ResourceMetadata
from holdfast.resource_server.verifier import TokenVerifier
from holdfast.x509.certificate import CertificateError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CLAIMS = "holdfast.claims"
"""The key of the ASGI scope under which the application finds the token's `AccessTokenClaims`."""

_LOG = logging.getLogger(__name__)
_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)  # RFC 6750 section 2.1
_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class BoundTokenMiddleware:
    """Wraps an ASGI application. `open_paths`: exact paths that need no token, such as a health check.

    `metadata`: served at its well-known path, and named in every challenge (RFC 9728).
    """

    def __init__(
        self,
        app: App,
        verifier: TokenVerifier,
        *,
        open_paths: Collection[str] = (),
        metadata: ResourceMetadata | None = None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._open_paths = frozenset(open_paths)
        self._metadata_path = None if metadata is None else metadata.path
        self._metadata_url = None if metadata is None else metadata.url
        self._document = b"" if metadata is None else metadata.document()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything but the lifespan of the process is a request and needs a token."""
        path = scope.get("path")
        if scope["type"] == "lifespan" or path in self._open_paths:
            return await self._app(scope, receive, send)
        if path is not None and path == self._metadata_path and scope["type"] == "http":
            return await _answer_document(scope["method"], self._document, send)
        watched = _WatchedSend(send)
        try:
            claims = await self._verifier.averify(_presented_token(scope), _certificate(scope))
            await self._app({**scope, CLAIMS: claims}, receive, watched)
        except Refusal as refusal:
            if watched.started:
                raise
            _LOG.info("refused with %s: %s", refusal.code or refusal.status, refusal.detail)
            await _answer(scope["type"], refusal, self._metadata_url, send)
        return None


class _WatchedSend:
    """Knows whether the application has begun to answer: after that a refusal cannot be told any more."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)


def claims_of(scope: MutableMapping[str, Any]) -> AccessTokenClaims:
    """The claims of this request. Raises KeyError on an open path."""
    claims: AccessTokenClaims = scope[CLAIMS]
    return claims


def require_scopes(scope: MutableMapping[str, Any], *names: str) -> AccessTokenClaims:
    """For a route that needs more than the API as a whole. Raises InsufficientScope, which the middleware answers."""
    claims = claims_of(scope)
    if missing := [name for name in names if name not in claims.scope]:
        raise InsufficientScope(names, f"scope: {' '.join(missing)} is missing")
    return claims


def _presented_token(scope: Scope) -> str:
    """The one token of the request. Raises NoCredentials, InvalidRequest."""
    if "access_token" in _query_names(scope.get("query_string", b"")):
        raise InvalidRequest("the token is in the query")
    values = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"]
    if len(values) > 1:
        raise InvalidRequest(f"expected one Authorization header, found {len(values)}")
    if not values or values[0].split(" ", 1)[0].lower() != "bearer":
        raise NoCredentials("no Authorization header of the scheme Bearer")
    match = _BEARER.fullmatch(values[0])
    if match is None:
        raise InvalidRequest("the Authorization header holds no b64token")
    return match[1]


def _query_names(query: bytes) -> set[str]:
    if b"=" not in query:
        return set()
    return {name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}


def _certificate(scope: Scope) -> Any:
    try:
        return client_certificate(scope)
    except CertificateError as error:
        raise InvalidToken(f"the client certificate cannot be read: {error}") from error


async def _answer(kind: str, refusal: Refusal, metadata_url: str | None, send: Send) -> None:
    if kind != "http":
        # Closing before accepting makes the server answer the handshake with 403.
        return await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
    body = _body(refusal)
    headers = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    if body:
        headers.append((b"content-type", b"application/json"))
    if refusal.challenge is not None:
        headers.append((b"www-authenticate", _challenge(refusal.challenge, metadata_url).encode("ascii")))
    if isinstance(refusal, IssuerUnavailable):
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    return await _send(send, refusal.status, headers, body)


def _challenge(challenge: str, metadata_url: str | None) -> str:
    """With where to learn more (RFC 9728 section 5.1)."""
    if metadata_url is None:
        return challenge
    return f'{challenge}{"," if "=" in challenge else ""} resource_metadata="{metadata_url}"'


def _body(refusal: Refusal) -> bytes:
    if refusal.code is None:
        return b""
    return json.dumps({"error": refusal.code, "error_description": refusal.description}).encode()


async def _answer_document(method: str, document: bytes, send: Send) -> None:
    if method not in ("GET", "HEAD"):
        return await _send(send, 405, [(b"allow", b"GET, HEAD"), (b"content-length", b"0")], b"")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(document)).encode()),
        (b"cache-control", b"public, max-age=300"),
    ]
    return await _send(send, 200, headers, b"" if method == "HEAD" else document)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
