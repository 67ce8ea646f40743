"""The certificates a peer presented, as the bytes it sent, and the ASGI extension that carries them.

Neighbours: `connection.py` reads them from OpenSSL, `protocol.py` puts them into the scope.
"""

import base64
import hashlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

from holdfast.x509.thumbprint import x5t_s256

IGNORED = "holdfast.ignored_certificate"
"""In `scope["extensions"]`: why a forwarded certificate does not count, for the log."""


class PresentedChain(Sequence[str]):
    """Leaf first, then what the peer sent with it. Possession of the leaf's key was proved in the handshake (M-06).

    As a sequence it is `client_cert_chain` of the ASGI TLS extension (PEM); `ders` are the bytes as received, which is
    what thumbprints are over (RFC 8705 section 3.1).
    """

    def __init__(self, ders: tuple[bytes, ...]) -> None:
        self.ders = ders

    @cached_property
    def thumbprint(self) -> str:
        """`x5t#S256` of the leaf: worked out once a connection, since every token names it."""
        return x5t_s256(self.ders[0])

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over all of it: the same digest means the same certificates in the same order."""
        return hashlib.sha256(b"".join(hashlib.sha256(der).digest() for der in self.ders)).digest()

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [_pem(der) for der in self.ders[index]]
        return _pem(self.ders[index])

    def __len__(self) -> int:
        return len(self.ders)

    def __iter__(self) -> Iterator[str]:
        return map(_pem, self.ders)


def _pem(der: bytes) -> str:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def tls_extension(chain: PresentedChain | None, tls_version: int | None, error: str | None = None) -> dict[str, Any]:
    """`scope["extensions"]["tls"]` as the ASGI TLS extension names its members. `error`: why no certificate can be read."""
    return {
        "server_cert": None,
        "client_cert_chain": () if chain is None else chain,
        "client_cert_name": None,
        "client_cert_error": error,
        "tls_version": tls_version,
        "cipher_suite": None,
    }


def presented_chain(scope: Mapping[str, Any]) -> PresentedChain | None:
    """What the peer of this connection presented, or None. Only the transport's own value counts (M-06)."""
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain")
    return chain if isinstance(chain, PresentedChain) else None


def certificate_error(scope: Mapping[str, Any]) -> str | None:
    """Why the certificate that a terminator forwarded cannot be read; for the log."""
    error = scope.get("extensions", {}).get("tls", {}).get("client_cert_error")
    return None if error is None else str(error)


def ignored_certificate(scope: Mapping[str, Any]) -> str | None:
    """Why a certificate header was there and does not count; for the log."""
    ignored = scope.get("extensions", {}).get(IGNORED)
    return None if ignored is None else str(ignored)
