"""The client certificate of a connection, from the ASGI scope.

Owns where it may come from: the TLS extension that the server itself has filled, never a header (RFC 8705 section 6.5).
Must not judge it: a resource needs the thumbprint, not the issuer (RFC 8705 section 6.2).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from holdfast.x509.certificate import Certificate, CertificateError


def client_certificate(scope: Mapping[str, Any]) -> Certificate | None:
    """The leaf of `scope["extensions"]["tls"]["client_cert_chain"]`, or None when the client has shown none.

    The ASGI TLS extension wants PEM texts, leaf first; DER as bytes is taken too. Raises CertificateError.
    """
    tls = (scope.get("extensions") or {}).get("tls") or {}
    chain: Iterable[str | bytes] = tls.get("client_cert_chain") or ()
    for leaf in chain:
        if not isinstance(leaf, str | bytes):
            raise CertificateError(f"client_cert_chain: expected PEM as text or DER as bytes, found {type(leaf).__name__}")
        return _parsed(leaf)
    return None


@lru_cache(maxsize=1024)  # a connection shows the same bytes with every request
def _parsed(leaf: str | bytes) -> Certificate:
    return Certificate.from_der(leaf) if isinstance(leaf, bytes) else Certificate.from_pem(leaf.encode())
