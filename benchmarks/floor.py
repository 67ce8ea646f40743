"""The floor: the least that this stack costs for one certificate-bound token, as a yardstick for the real server.

    python -m benchmarks.floor FOLDER     serves what `scenario` laid out there; prints its port, then runs

One route of Starlette under uvicorn, uvloop and httptools, the product's own TLS context, the standard library's JSON,
one ES256 signature for a request. No registry, no policy, no path validation, no audit log: what a real server adds
shows as distance from it. Deliberately without tricks (raw ASGI, another JSON library, a frozen garbage collector).
"""

import asyncio
import base64
import hashlib
import json
import secrets
import socket
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.scenario import CLIENT_ID, SCOPE, TOKEN_PATH, Scenario
from holdfast_authserver.transport.context import ListenerContext, TlsFiles

_ES256 = ec.ECDSA(hashes.SHA256())
_LIFETIME = 300  # seconds, as the product's default


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Floor:
    """Knows one client by its certificate's thumbprint."""

    def __init__(self, thumbprint: str) -> None:
        self._thumbprint = thumbprint
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._header = _b64(_compact({"alg": "ES256", "typ": "at+jwt", "kid": "floor"}))

    async def token(self, request: Request) -> JSONResponse:
        form = dict(urllib.parse.parse_qsl((await request.body()).decode()))
        thumbprint = _b64(hashlib.sha256(request.state.leaf).digest())
        if (form.get("client_id"), form.get("grant_type")) != (CLIENT_ID, "client_credentials"):
            return JSONResponse({"error": "invalid_request"}, 400)
        if thumbprint != self._thumbprint or form.get("scope") != SCOPE:
            return JSONResponse({"error": "invalid_client"}, 401)
        answer = {"access_token": self._sign(thumbprint), "token_type": "Bearer", "expires_in": _LIFETIME, "scope": SCOPE}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    def _sign(self, thumbprint: str) -> str:
        now = int(time.time())
        claims = {
            "iss": "https://127.0.0.1",
            "sub": CLIENT_ID,
            "client_id": CLIENT_ID,
            "aud": "https://127.0.0.1",
            "iat": now,
            "exp": now + _LIFETIME,
            "jti": secrets.token_urlsafe(16),
            "scope": SCOPE,
            "cnf": {"x5t#S256": thumbprint},
        }
        message = f"{self._header}.{_b64(_compact(claims))}"
        r, s = decode_dss_signature(self._key.sign(message.encode(), _ES256))
        return f"{message}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class _Protocol(HttpToolsProtocol):
    """uvicorn's own, with the certificate of the connection in the scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        chain = transport.get_extra_info("ssl_object").presented_chain()
        self._leaf = b"" if chain is None else chain.ders[0]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"] = {"leaf": self._leaf}


def main(folder: Path) -> None:
    scenario = Scenario(folder)
    floor = Floor(scenario.client_certificate.x5t_s256)
    files = TlsFiles(scenario.server("tls.crt"), scenario.server("tls.key"))
    config = uvicorn.Config(
        Starlette(routes=[Route(TOKEN_PATH, floor.token, methods=["POST"])]),
        http=_Protocol,
        loop="uvloop",
        ssl_context_factory=lambda _config, _default: ListenerContext(files, ask_for_certificate=True),
        access_log=False,
        log_level="warning",
        timeout_keep_alive=60,  # seconds; connections are kept over the pauses between rounds
    )
    with socket.create_server(("127.0.0.1", 0)) as bound:
        print(bound.getsockname()[1], flush=True)
        uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
