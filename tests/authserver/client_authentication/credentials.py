"""What clients authenticate with: self-signed certificates of every make, keys as JSON, assertions."""

import base64
import itertools
import json
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import get_default_algorithms

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.oauth.jwks import Jwk, parse_jwk_set
from holdfast.policy.model import MTLS_METHODS, EffectivePolicy
from holdfast.x509.certificate import Certificate
from tests.authserver.running import client
from tests.core.x509.authority import DAY, NOW, Issued, Key, new_key

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
BY_ASSERTION = EffectivePolicy(
    trust_domain="cluster.local",
    cluster_domain="cluster.local",
    allowed_methods=MTLS_METHODS | {"private_key_jwt"},
    require_certificate_bound=False,
)
"""A policy under which clients may authenticate with assertions, and have tokens that are not bound."""
_NUMBERS = itertools.count()


def self_signed(
    cn: str = "client", *, key: Key | None = None, not_before: datetime = NOW - DAY, not_after: datetime = NOW + 30 * DAY
) -> Issued:
    """Version 3, without any extension."""
    key = key or new_key()
    name = x509.Name.from_rfc4514_string(f"CN={cn}")
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), not_before, not_after)
    return Issued(Certificate.from_der(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)), key)


def version_1() -> Issued:
    """The same without its version member, which is how X.509 writes version 1, signed anew."""
    issued = self_signed("version-1")
    assert isinstance(issued.key, ec.EllipticCurvePrivateKey)
    tbs = issued.certificate.parsed.tbs_certificate_bytes
    length = 2 if tbs[1] < 0x80 else 2 + (tbs[1] & 0x7F)
    version = bytes.fromhex("a003020102")
    assert tbs[length:].startswith(version)
    body = _der(0x30, tbs[length + len(version) :])
    signature = issued.key.sign(body, ec.ECDSA(hashes.SHA256()))
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    der = _der(0x30, body + ecdsa_with_sha256 + _der(0x03, b"\0" + signature))
    return Issued(Certificate.from_der(der), issued.key)


def openssl_default(folder: Path) -> Issued:
    """What `openssl req -x509` makes with the configuration it comes with: a CA, by its basic constraints."""
    key, certificate = folder / "openssl.key", folder / "openssl.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=made by openssl"]
    command += ["-addext", "basicConstraints=critical,CA:TRUE"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    return Issued(Certificate.from_pem(certificate.read_bytes()), private)  # type: ignore[arg-type]  # an RSA key


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def jwk(key: Any, algorithm: str = "ES256", **members: Any) -> dict[str, Any]:
    """The public half as JSON."""
    public: dict[str, Any] = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    return {**public, **members}


def certificate_jwk(issued: Issued, **members: Any) -> dict[str, Any]:
    """The key with its certificate (RFC 7517 section 4.7)."""
    algorithm = "ES256" if isinstance(issued.key, ec.EllipticCurvePrivateKey) else "PS256"
    return jwk(issued.key, algorithm, x5c=[base64.b64encode(issued.certificate.der).decode()], **members)


def keys(*members: Mapping[str, Any]) -> tuple[Jwk, ...]:
    """As they are registered by value."""
    return parse_jwk_set({"keys": list(members)})


def self_signed_client(client_id: str = "shop.orders", *certificates: Issued, **changes: Any) -> ClientMetadata:
    """Known by these certificates, unless `jwks_uri` is among the changes."""
    by_value = None if "jwks_uri" in changes else keys(*map(certificate_jwk, certificates))
    values = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "subject": None, "jwks": by_value}
    return client(client_id, anchors=[], **(values | changes))


def assertion_client(client_id: str = "shop.orders", *members: Mapping[str, Any], **changes: Any) -> ClientMetadata:
    """Known by these keys, unless `jwks_uri` is among the changes. Goes under `BY_ASSERTION`."""
    by_value = None if "jwks_uri" in changes else keys(*members)
    values = {"token_endpoint_auth_method": "private_key_jwt", "subject": None, "jwks": by_value}
    return client(client_id, anchors=[], **(values | changes))


def claims(issuer: str, at: datetime, client_id: str = "shop.orders", **changes: Any) -> dict[str, Any]:
    """Of a good assertion; a change to None leaves the claim out."""
    now = int(at.timestamp())
    values = {"iss": client_id, "sub": client_id, "aud": issuer, "iat": now, "exp": now + 60, "jti": f"n-{next(_NUMBERS)}"}
    return {name: value for name, value in (values | changes).items() if value is not None}


def assertion(key: Any, content: Mapping[str, Any], *, algorithm: str = "ES256", **header: Any) -> str:
    """Signed as any library does it; `kid` and other members go into the header."""
    return jwt.PyJWS().encode(json.dumps(content).encode(), key, algorithm=algorithm, headers=header)


def unsigned(content: Mapping[str, Any]) -> str:
    """With `alg` none, and no signature."""
    header, body = ({"alg": "none", "typ": "JWT"}, dict(content))
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, body))
    return ".".join(parts) + "."


def assertion_form(text: str, **form: str) -> dict[str, str]:
    """A token request that authenticates with `text` alone."""
    values = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": text}
    return values | form
