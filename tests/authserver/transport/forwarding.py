"""How terminators put certificates into headers: the encoders to our parsers, each as its vendor documents it."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from urllib.parse import quote

from holdfast.x509.certificate import Certificate
from tests.core.x509.authority import Issued

Header = tuple[str, str]


def byte_sequence(certificate: Certificate) -> str:
    return f":{base64.b64encode(certificate.der).decode()}:"


def rfc9440(issued: Issued) -> list[Header]:
    headers = [("Client-Cert", byte_sequence(issued.certificate))]
    return headers + ([("Client-Cert-Chain", ", ".join(map(byte_sequence, issued.chain)))] if issued.chain else [])


def envoy_pem(certificates: Sequence[Certificate]) -> str:
    return quote(b"".join(c.pem for c in certificates).decode(), safe="")


def xfcc_element(issued: Issued, *, chain: bool = True) -> str:
    pairs = [f"Hash={hashlib.sha256(issued.certificate.der).hexdigest()}", f'Cert="{envoy_pem([issued.certificate])}"']
    if chain:
        pairs.append(f'Chain="{envoy_pem([issued.certificate, *issued.chain])}"')
    return ";".join(pairs)


def xfcc(issued: Issued) -> list[Header]:
    return [("X-Forwarded-Client-Cert", xfcc_element(issued))]


def nginx(issued: Issued) -> list[Header]:
    """`$ssl_client_escaped_cert`: everything but unreserved characters is escaped."""
    return [("ssl-client-cert", quote(issued.cert_pem.decode(), safe=""))]


def traefik(issued: Issued) -> list[Header]:
    parts = (base64.b64encode(c.der).decode() for c in (issued.certificate, *issued.chain))
    return [("X-Forwarded-Tls-Client-Cert", ",".join(parts))]


def alb(issued: Issued) -> list[Header]:
    """AWS: URL-encoded PEM with `+=/` as safe characters."""
    return [("X-Amzn-Mtls-Clientcert-Leaf", quote(issued.cert_pem.decode(), safe="+=/-"))]


ENCODERS: dict[str, Callable[[Issued], list[Header]]] = {
    "RFC9440": rfc9440,
    "XFCC": xfcc,
    "NginxEscapedPEM": nginx,
    "TraefikPEM": traefik,
    "ALBLeaf": alb,
}
"""By the name of the format."""
