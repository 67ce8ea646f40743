"""A real server with its forwarded listener, and requests to it as a terminator would send them."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.authserver.running import RunningServer, client, running, token_form
from tests.authserver.transport.forwarding import Header
from tests.authserver.wire import close, status_of

BODY = urlencode(token_form()).encode()


@dataclass
class Answer:
    status: int | None
    json: dict[str, Any]
    head: bytes


@asynccontextmanager
async def forwarding(folder: Path, form: str = "RFC9440", **settings: Any) -> AsyncIterator[RunningServer]:
    """A server that is reached by a Unix socket, unless told otherwise, with the client `shop.orders`."""
    where: dict[str, Any] = {} if "forwarded_port" in settings else {"forwarded_socket": folder / "forwarded.sock"}
    async with running(folder, forwarded_format=form, **where, **settings) as server:
        await server.put(client(anchors=[server.ca]))
        yield server


async def ask(
    server: RunningServer,
    headers: Sequence[Header] = (),
    *,
    listener: str = "forwarded",
    tls: ssl.SSLContext | None = None,
    body: bytes = BODY,
    raw: bytes = b"",
) -> Answer:
    """Ask for a token with these headers, as a terminator would. `raw`: header lines as they stand."""
    host, port = server.server.addresses[listener]
    if port:
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    else:
        reader, writer = await asyncio.open_unix_connection(host)
    lines = [b"POST /oauth2/token HTTP/1.1", b"host: x", b"content-type: application/x-www-form-urlencoded",
             b"content-length: %d" % len(body), *(f"{n}: {v}".encode("latin-1") for n, v in headers)]  # fmt: skip
    if not any(name.lower() == "connection" for name, _ in headers) and b"onnection" not in raw:
        lines.append(b"connection: close")
    writer.write(b"\r\n".join(lines) + b"\r\n" + raw + b"\r\n" + body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    content = await reader.readexactly(length)
    await close(writer)
    return Answer(status_of(head), json.loads(content) if content else {}, head)


def thumbprint_of(token: str) -> str:
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["cnf"]["x5t#S256"])


async def last_audit(server: RunningServer, event: str = "token.refused") -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            lines = [json.loads(line) for line in server.audit_log.read_text().splitlines()]
            if found := [line for line in lines if line["event"] == event]:
                return dict(found[-1])
            await asyncio.sleep(0.01)
