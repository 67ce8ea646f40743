"""The start-up self-test: a real handshake with a certificate nobody knows, through the event loop that will serve.

The transport leans on how uvicorn and the event loop drive `SSLContext.wrap_bio`. Should an upgrade break that, this
server must not start and refuse everybody, or worse, serve without seeing certificates.
"""

import asyncio
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from holdfast.x509.thumbprint import x5t_s256
from holdfast_authserver.transport.listener import Listener, bind
from holdfast_authserver.transport.presented import presented_chain

_PATIENCE = 5.0  # seconds for a handshake and a request with ourselves; it takes a few milliseconds


class SelfTestFailed(Exception):
    """The transport does not do what everything else relies on; says what was expected and what was seen."""


async def self_test(context: ssl.SSLContext, *, http: str = "httptools") -> None:
    """Show an unknown self-signed certificate to `context`, and see it arrive. Raises SelfTestFailed."""
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "unknown.pem"
        thumbprint = _write_unknown_certificate(pem)
        listener = Listener(_echo_thumbprint, bind("127.0.0.1", 0), context, http=http)
        try:
            await listener.start()
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                seen = await _ask(listener.address, _client_context(pem, version))
                if seen != thumbprint:
                    raise SelfTestFailed(f"{version.name}: expected the certificate {thumbprint}, the server saw {seen!r}")
        except (OSError, TimeoutError) as error:
            raise SelfTestFailed(f"a handshake with an unknown client certificate failed: {error!r}") from error
        finally:
            await listener.stop()


async def _echo_thumbprint(scope: Any, receive: Any, send: Any) -> None:
    chain = presented_chain(scope)
    body = b"none" if chain is None else chain.thumbprint.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _ask(address: tuple[str, int], context: ssl.SSLContext) -> str:
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(*address, ssl=context)
        try:
            writer.write(b"GET / HTTP/1.1\r\nhost: self-test\r\nconnection: close\r\n\r\n")
            answer = await reader.read()
        finally:
            writer.close()
    return answer.rpartition(b"\r\n\r\n")[2].decode("ascii", "replace")


def _client_context(pem: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the peer is this process; what is tested is what it sees of us
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(pem)
    return context


def _write_unknown_certificate(pem: Path) -> str:
    """A fresh self-signed certificate with its key; answers with its `x5t#S256`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "unknown")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem.touch(mode=0o600)
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return x5t_s256(certificate.public_bytes(serialization.Encoding.DER))
