"""The small API of the demo: JSON behind `BoundTokenMiddleware`, over TLS that asks for any client certificate.

Owns its listener and its server certificate. The check itself is the library's. Neighbour: `demo` starts and stops it.
"""

import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from holdfast.clock import system_clock
from holdfast.resource_server import BoundTokenMiddleware, Expected, JwksCache, TokenVerifier, claims_of
from holdfast_authserver.transport.context import ListenerContext, TlsFiles
from holdfast_authserver.transport.listener import Listener, bind
from holdfast_operator.adapters.folder.authority import Authority
from holdfast_operator.adapters.folder.certificate_spec import CertificateSpec, IssuerRef


@dataclass(frozen=True, slots=True)
class ProtectedApi:
    """Where the API is, and the CA of its listener."""

    url: str
    ca_file: Path


@asynccontextmanager
async def protected_api(folder: Path, issuer: str, issuer_ca: str, audience: str, scope: str) -> AsyncIterator[ProtectedApi]:
    """Run the API in this event loop; its files go below `folder`."""
    files, ca_file = _server_certificate(folder)
    verifier = TokenVerifier(
        Expected(issuer=issuer, audience=audience, scopes=(scope,)),
        JwksCache(f"{issuer}/oauth2/jwks", context=ssl.create_default_context(cafile=issuer_ca)),
    )
    context = ListenerContext(files, ask_for_certificate=True)
    listener = Listener(BoundTokenMiddleware(_invoices, verifier), bind("127.0.0.1", 0), context)
    await listener.start()
    try:
        yield ProtectedApi(f"https://127.0.0.1:{listener.address[1]}/invoices", ca_file)
    finally:
        await listener.stop()


async def _invoices(scope: Any, _: Any, send: Any) -> None:
    body = json.dumps({"invoices": [1, 2, 3], "for": claims_of(scope).client_id}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _server_certificate(folder: Path) -> tuple[TlsFiles, Path]:
    authority = Authority(folder / "ca", "demo API", system_clock)
    spec = CertificateSpec(
        secret_name="api",  # noqa: S106  a name
        issuer=IssuerRef(name="demo", kind="Issuer"),
        duration=timedelta(hours=1),
        usages=frozenset({"server auth", "digital signature"}),
        names=(x509.IPAddress(ipaddress.ip_address("127.0.0.1")),),
    )
    issued = authority.sign(spec)
    files = TlsFiles(folder / "tls.crt", folder / "tls.key")
    (folder / "tls.crt").write_bytes(issued.certificate)
    (folder / "tls.key").write_bytes(issued.key)
    return files, authority.certificate_file
