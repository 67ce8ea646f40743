"""An issuer for tests: real keys, real tokens, and its JWK Set over real TLS on 127.0.0.1."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from holdfast.resource_server import KeySet
from holdfast.x509.certificate import Certificate
from tests.core.x509.authority import Authority

ISSUER = "https://as.example"
AUDIENCE = "https://orders.shop.svc"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Issuer:
    """Signs tokens with one P-256 key; `rotate` starts another."""

    def __init__(self, kid: str = "one") -> None:
        self.rotate(kid)

    def rotate(self, kid: str) -> None:
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self) -> dict[str, Any]:
        public: dict[str, Any] = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": "ES256"}

    def jwks(self) -> bytes:
        return json.dumps({"keys": [self.jwk()]}).encode()

    def keys(self) -> KeySet:
        return KeySet.from_json(self.jwks())

    def token(
        self,
        certificate: Certificate | None,
        *,
        at: datetime = NOW,
        claims: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        key: Any = None,
        alg: str = "ES256",
    ) -> str:
        """A token bound to `certificate`. A claim or header member of None is left out."""
        now = int(at.timestamp())
        body = {"iss": ISSUER, "sub": "shop.orders", "client_id": "shop.orders", "aud": AUDIENCE, "iat": now,
                "exp": now + 300, "jti": "one-of-a-kind", "scope": "orders.read orders.list"}  # fmt: skip
        if certificate is not None:
            body["cnf"] = {"x5t#S256": certificate.x5t_s256}
        members = _without_none({"typ": "at+jwt", "kid": self.kid, **(header or {})})
        payload = _without_none({**body, **(claims or {})})
        return jwt.PyJWS().encode(json.dumps(payload).encode(), key or self.key, algorithm=alg, headers=members)


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    # `typ` None is kept: it is how PyJWT is told to leave it out.
    return {name: value for name, value in members.items() if value is not None or name == "typ"}


def segments(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature of a token, unverified."""
    header, payload, signature = token.split(".")
    return _decoded(header), _decoded(payload), signature


def _decoded(segment: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return document


class JwksServer:
    """Answers every GET with `status` and `body`, and counts. `paths`: other documents; `etag`: answered with 304."""

    def __init__(self, body: bytes) -> None:
        self.status = 200
        self.body = body
        self.paths: dict[str, bytes] = {}
        self.etag: str | None = None
        self.count = 0
        self.not_modified = 0
        self.hold = threading.Event()
        self.hold.set()
        self.url = ""


@contextmanager
def jwks_server(authority: Authority, folder: Path, body: bytes) -> Iterator[JwksServer]:
    """Serve over TLS with a certificate of `authority`. Clearing `hold` makes answers wait."""
    state = JwksServer(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.count += 1
            state.hold.wait(30)
            body, status = state.paths.get(self.path, state.body), state.status
            if state.etag is not None and self.headers.get("if-none-match") == state.etag:
                state.not_modified += 1
                body, status = b"", 304
            self.send_response(status)
            if state.etag is not None:
                self.send_header("etag", state.etag)
            if status != 304:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    issued = authority.issue("CN=localhost", dns=["localhost"], ips=["127.0.0.1"], client_auth=False, server=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.write(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"https://127.0.0.1:{server.server_address[1]}/oauth2/jwks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.hold.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


def trusting(authority: Authority) -> ssl.SSLContext:
    """A client's context that trusts this authority alone."""
    return ssl.create_default_context(cadata=authority.pem.decode())
