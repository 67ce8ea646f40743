"""The floor: the least that this stack costs for one certificate-bound token, as a yardstick for the real server.

    python -m benchmarks.floor FOLDER     serves what `scenario` laid out there; prints its port, then runs

One raw ASGI function under uvicorn, uvloop and httptools, the product's own TLS context without session tickets, orjson,
one ES256 signature for a request, a frozen garbage collector; introspection keeps the outcome of a signature by the
token's digest. No registry, no policy, no path validation, no audit log, no metrics, no limits: what a real server adds
shows as distance from it.
"""

import asyncio
import base64
import gc
import hashlib
import os
import socket
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.scenario import CLIENT_ID, LIFETIME, SCOPE, Scenario
from holdfast_authserver.transport.context import ListenerContext, TlsFiles

_ES256 = ec.ECDSA(hashes.SHA256())
_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"pragma", b"no-cache")]


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Floor:
    """Knows one client by its certificate's thumbprint."""

    def __init__(self, thumbprint: str) -> None:
        self._thumbprint = thumbprint
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key()
        self._header = _b64(orjson.dumps({"alg": "ES256", "typ": "at+jwt", "kid": "floor"})) + b"."
        self._seen: dict[bytes, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        form = dict(urllib.parse.parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=32))
        thumbprint = _b64(hashlib.sha256(scope["state"]["leaf"]).digest()).decode()
        if form.get("client_id") != CLIENT_ID or thumbprint != self._thumbprint:
            status, answer = 401, {"error": "invalid_client"}
        elif scope["path"] == "/introspect":
            status, answer = 200, self._introspect(form["token"].encode())
        else:
            status, answer = self._token(form, thumbprint)
        data = orjson.dumps(answer)
        headers = [*_HEADERS, (b"content-length", b"%d" % len(data))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    def _token(self, form: dict[str, str], thumbprint: str) -> tuple[int, dict[str, Any]]:
        if form.get("grant_type") != "client_credentials" or form.get("scope") != SCOPE:
            return 400, {"error": "invalid_request"}
        now = int(time.time())
        claims = {
            "iss": "https://127.0.0.1",
            "sub": CLIENT_ID,
            "client_id": CLIENT_ID,
            "aud": "https://127.0.0.1",
            "iat": now,
            "exp": now + LIFETIME,
            "jti": _b64(os.urandom(18)).decode(),
            "scope": SCOPE,
            "cnf": {"x5t#S256": thumbprint},
        }
        message = self._header + _b64(orjson.dumps(claims))
        r, s = decode_dss_signature(self._key.sign(message, _ES256))
        token = (message + b"." + _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, "scope": SCOPE}

    def _introspect(self, token: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(token).digest()
        claims = self._seen.get(digest)
        if claims is None:
            message, _, signature = token.rpartition(b".")
            raw = base64.urlsafe_b64decode(signature + b"==")
            pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            self._public.verify(pair, message, _ES256)
            claims = self._seen[digest] = orjson.loads(base64.urlsafe_b64decode(message.split(b".")[1] + b"=="))
        if claims["exp"] <= time.time():
            return {"active": False}
        return {"active": True, "token_type": "Bearer", **claims}


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
    files = TlsFiles(scenario.server("tls.crt"), scenario.server("tls.key"))
    config = uvicorn.Config(
        Floor(scenario.client_certificate.x5t_s256),
        http=_Protocol,
        loop="uvloop",
        lifespan="off",
        ssl_context_factory=lambda _config, _default: ListenerContext(files, ask_for_certificate=True),
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        timeout_keep_alive=600,  # seconds; connections are kept over the pauses between rounds
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        print(f"listening on 127.0.0.1:{bound.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
