"""A server that is not ours, and answers as it likes: fixed bytes over TLS, one answer a connection."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.core.x509.authority import Authority

GRANTED = b'{"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 60}'


@dataclass(frozen=True)
class ForeignServer:
    """`ca_file`: whom to trust; `cert_file`, `key_file`: a client certificate, which it does not look at."""

    url: str
    ca_file: Path
    cert_file: Path
    key_file: Path

    def token_arguments(self, *arguments: str) -> list[str]:
        """`holdfast token` with this server as token endpoint."""
        files = ["--cert", str(self.cert_file), "--key", str(self.key_file), "--ca", str(self.ca_file)]
        return ["token", *files, "--client-id", "shop.orders", "--token-endpoint", f"{self.url}/token", *arguments]


def answer(status: bytes, body: bytes, *headers: bytes) -> bytes:
    """An HTTP/1.1 answer that ends the connection. `status`: code and reason phrase."""
    lines = [b"HTTP/1.1 " + status, b"connection: close", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def foreign_server(folder: Path, *, post: bytes, get: bytes = b"") -> Iterator[ForeignServer]:
    """Answers every POST with `post` and every GET with `get`."""
    ca = Authority.root()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("CN=server", ips=["127.0.0.1"], server=True).write(folder / "server"))
    (folder / "ca.crt").write_bytes(ca.pem)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, context, post, get), daemon=True)
        thread.start()
        host, port = listening.getsockname()
        cert_file, key_file = ca.issue("CN=client").write(folder / "client")
        try:
            yield ForeignServer(f"https://{host}:{port}", folder / "ca.crt", cert_file, key_file)
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve(listening: socket.socket, context: ssl.SSLContext, post: bytes, get: bytes) -> None:
    while True:
        try:
            raw, _ = listening.accept()
        except OSError:
            return
        with raw, context.wrap_socket(raw, server_side=True) as connection:
            asked = _request(connection)
            connection.sendall(post if asked.startswith(b"POST") else get)


def _request(connection: ssl.SSLSocket) -> bytes:
    """Head and body, so that closing afterwards resets nothing."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head
