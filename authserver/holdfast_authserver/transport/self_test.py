"""The start-up self-test: a real handshake with a certificate nobody knows, through the event loop that will serve.

The transport leans on how uvicorn and the event loop drive `SSLContext.wrap_bio`. Should an upgrade break that, this
server must not start and refuse everybody, or worse, serve without seeing certificates.
"""

import asyncio
import socket
import ssl
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from holdfast.x509.thumbprint import x5t_s256
from holdfast_authserver.transport.listener import Listener, bind
from holdfast_authserver.transport.presented import presented_chain

_PATIENCE = 5  # seconds for a handshake and a request with ourselves; it takes a few milliseconds
_REQUEST = b"GET / HTTP/1.1\r\nhost: self-test\r\nconnection: close\r\n\r\n"
_VERSIONS = {"TLS 1.2": SSL.TLS1_2_VERSION, "TLS 1.3": SSL.TLS1_3_VERSION}


class SelfTestFailed(Exception):
    """The transport does not do what everything else relies on; says what was expected and what was seen."""


async def self_test(context: ssl.SSLContext, *, http: str = "httptools") -> None:
    """Show an unknown self-signed certificate to `context`, and see it arrive. Raises SelfTestFailed."""
    certificate, key = _unknown_certificate()
    expected = x5t_s256(certificate.public_bytes(Encoding.DER))
    listener = Listener(_echo_thumbprint, bind("127.0.0.1", 0), context, http=http)
    try:
        await listener.start()
        for name, version in _VERSIONS.items():
            client = _client_context(certificate, key, version)
            seen = await asyncio.to_thread(_ask, listener.address, client)
            if seen != expected:
                raise SelfTestFailed(f"{name}: expected the certificate {expected}, the server saw {seen!r}")
    except (OSError, SSL.Error) as error:
        raise SelfTestFailed(f"a handshake with an unknown client certificate failed: {error!r}") from error
    finally:
        await listener.stop()


async def _echo_thumbprint(scope: Any, receive: Any, send: Any) -> None:
    chain = presented_chain(scope)
    body = b"none" if chain is None else chain.thumbprint.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _client_context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, version: int) -> SSL.Context:
    """Of pyOpenSSL, which takes both from memory: no file to write on a read-only system."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    return context


def _ask(address: tuple[str, int], context: SSL.Context) -> str:
    """The body of the answer. Blocks, so it runs beside the event loop that answers. Raises OSError, SSL.Error."""
    with socket.create_connection(address) as raw:
        # pyOpenSSL wants a blocking socket, so the limit is the kernel's.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _PATIENCE, 0))
        connection = SSL.Connection(context, raw)
        connection.set_connect_state()
        connection.sendall(_REQUEST)
        return _read_to_end(connection).rpartition(b"\r\n\r\n")[2].decode("ascii", "replace")


def _read_to_end(connection: SSL.Connection) -> bytes:
    answer = b""
    try:
        while True:
            answer += connection.recv(4096)
    except SSL.ZeroReturnError:
        return answer


def _unknown_certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A fresh self-signed one: what the TLS layer must not judge."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "unknown")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256()), key
