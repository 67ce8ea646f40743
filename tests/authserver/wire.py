"""Raw bytes over TLS, for what no HTTP client would send."""

import asyncio
import contextlib
import ssl
from typing import Any
from urllib.parse import urlsplit


def parts(url: str) -> tuple[str, int]:
    """Host and port of a URL."""
    split = urlsplit(url)
    assert split.hostname
    assert split.port
    return split.hostname, split.port


async def exchange(url: str, tls: ssl.SSLContext, data: bytes, *, end: bool = True) -> bytes:
    """Send `data`, and answer with all that comes back until the server closes (or, with `end`, is done with us)."""
    reader, writer = await asyncio.open_connection(*parts(url), ssl=tls)
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(15):
            return await (reader.read() if end else _one_answer(reader))
    except (ConnectionError, ssl.SSLError):
        return b""  # the server cut the connection off
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close, and wait for it, whatever the other side did."""
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        await writer.wait_closed()


async def _one_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def status_of(answer: bytes) -> int | None:
    """The status code; None when nothing came back."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def post(body: bytes, path: str = "/oauth2/token", *headers: Any) -> bytes:
    """A POST of a form that ends the connection."""
    lines = [f"POST {path} HTTP/1.1".encode(), b"host: x", b"connection: close",
             b"content-type: application/x-www-form-urlencoded", b"content-length: %d" % len(body), *headers]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
