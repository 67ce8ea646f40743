"""A real HTTPS server on 127.0.0.1 at which clients publish their keys, and which may be as odd as the network is.

async with publishing(authority) as publisher:
    url = publisher.publish("/keys", {"keys": []})
"""

import asyncio
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.core.x509.authority import Authority


class Publisher:
    """Counts what it was asked. `certificate`: of its listener, and so of its name."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[str] = []
        self.headers: list[bytes] = []
        self._answers: dict[str, bytes | None] = {}
        self.release = asyncio.Event()
        self.asked = asyncio.Event()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"

    def publish(self, path: str, document: Any, *, status: str = "200 OK", **headers: str) -> str:
        """Answer with this document as JSON, or with these bytes. The URL."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._answers[path] = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        return self.url(path)

    def hold(self, path: str) -> str:
        """Take the request and answer nothing until `release` is set; then what was published meanwhile, if anything was."""
        self._answers[path] = None
        return self.url(path)

    def count(self, path: str) -> int:
        return self.requests.count(path)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request for each connection."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self.requests.append(path)
            self.headers.append(head)
            self.asked.set()
            found = self._answers.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            if found is None:
                await self.release.wait()
                found = self._answers[path]
            if found is not None:
                writer.write(found)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side went away, as some tests want it
        finally:
            writer.close()


@asynccontextmanager
async def publishing(authority: Authority, *, dns: tuple[str, ...] = ()) -> AsyncIterator[Publisher]:
    """Under a certificate of `authority` for 127.0.0.1 and these names."""
    publisher = Publisher()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        issued = authority.issue("CN=keys", dns=dns, ips=["127.0.0.1"], server=True)
        context.load_cert_chain(*issued.write(Path(folder)))
    server = await asyncio.start_server(publisher.answer, "127.0.0.1", 0, ssl=context)
    publisher.port = server.sockets[0].getsockname()[1]
    try:
        yield publisher
    finally:
        publisher.release.set()
        server.close()
        await server.wait_closed()
