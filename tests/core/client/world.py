"""A real authorization server and a real protected API, on 127.0.0.1 with TLS, and the files of one client."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.client import BoundTokenAuth
from holdfast.clock import Clock, system_clock
from holdfast.resource_server import BoundTokenMiddleware, Expected, InvalidToken, JwksCache, TokenVerifier, claims_of
from holdfast_authserver.transport.context import ListenerContext, TlsFiles
from holdfast_authserver.transport.listener import Listener, bind
from tests.authserver.running import RunningServer, client, running
from tests.core.x509.authority import Authority, Issued


@dataclass
class Api:
    """Answers with what it saw. `refused`: jti values that it will not have, as after a revocation; "*": none at all."""

    url: str = ""
    seen: list[str | None] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    redirects: dict[str, str] = field(default_factory=dict)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        claims = claims_of(scope)
        if claims.jti in self.refused or "*" in self.refused:
            raise InvalidToken("revoked")
        if (target := self.redirects.get(scope["path"])) is not None:
            location = [(b"location", target.encode()), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 307, "headers": location})
            await send({"type": "http.response.body", "body": b""})
            return
        body = json.dumps({"jti": claims.jti, "x5t": claims.cnf.x5t_s256 if claims.cnf else None, "scope": claims.scope})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/slow":
            await send({"type": "http.response.body", "body": b" " * 100_000, "more_body": True})
            await self.go_on.wait()
        await send({"type": "http.response.body", "body": body.encode()})


@dataclass
class World:
    """All of it. `folder` holds the client's `tls.crt`, `tls.key` and `ca.crt`."""

    server: RunningServer
    api: Api
    folder: Path
    clock: Clock

    def auth(self, **changes: Any) -> BoundTokenAuth:
        options: dict[str, Any] = {
            "issuer": self.server.issuer,
            "client_id": "shop.orders",
            "cert_file": self.folder / "tls.crt",
            "key_file": self.folder / "tls.key",
            "ca_file": self.folder / "ca.crt",
            "clock": self.clock,
        }
        return BoundTokenAuth(**(options | changes))

    def rotate(self, **changes: Any) -> Issued:
        """A new certificate and key in the place of the old ones, each file swapped at once."""
        issued = self.server.certificate(**changes)
        self.swap("tls.key", issued.key_pem)
        self.swap("tls.crt", issued.chain_pem)
        return issued

    def swap(self, name: str, content: bytes) -> None:
        new = self.folder / f".{name}.new"
        new.write_bytes(content)
        os.replace(new, self.folder / name)


@asynccontextmanager
async def world(folder: Path, clock: Clock = system_clock) -> AsyncIterator[World]:
    """Everything up, one client registered, its certificate in place."""
    async with running(folder / "server", clock=clock) as server:
        await server.put(client(anchors=[server.ca]))
        api = Api()
        async with protected(api, server, folder / "api", clock):
            (folder / "tls").mkdir()
            (folder / "tls" / "ca.crt").write_bytes(server.server_ca.pem)
            this = World(server, api, folder / "tls", clock)
            this.rotate()
            yield this


@asynccontextmanager
async def protected(api: Api, server: RunningServer, folder: Path, clock: Clock) -> AsyncIterator[None]:
    """The API behind the middleware, on a listener that takes any client certificate."""
    trust = ssl.create_default_context(cadata=server.server_ca.pem.decode())
    expected = Expected(issuer=server.issuer, audience=server.issuer)
    verifier = TokenVerifier(expected, JwksCache(f"{server.issuer}/oauth2/jwks", context=trust, clock=clock), clock=clock)
    app = BoundTokenMiddleware(api, verifier)

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        api.seen.append(next((v.decode() for n, v in scope["headers"] if n == b"authorization"), None))
        await app(scope, receive, send)

    async with listening(watched, server.server_ca, folder) as url:
        api.url = url
        yield
        api.go_on.set()


@asynccontextmanager
async def listening(app: Any, authority: Authority, folder: Path) -> AsyncIterator[str]:
    """Any ASGI application over TLS, with a certificate of `authority`; gives its URL."""
    issued = authority.issue("CN=localhost", dns=["localhost"], ips=["127.0.0.1"], client_auth=False, server=True)
    context = ListenerContext(TlsFiles(*issued.write(folder)), ask_for_certificate=True)
    listener = Listener(app, bind("127.0.0.1", 0), context)
    await listener.start()
    try:
        yield f"https://127.0.0.1:{listener.address[1]}"
    finally:
        await listener.stop()
