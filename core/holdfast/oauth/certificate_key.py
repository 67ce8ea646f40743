"""A certificate as a registered key: the JWK of its public key with itself in `x5c` (RFC 7517 section 4.7).

Owns that one form. Who registers it, and until when, is the caller's to say. Neighbour: `jwks` checks what it makes.
"""

import base64
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from holdfast.oauth.jwks import Jwk, JwkError
from holdfast.x509.certificate import Certificate

_ENCODERS: tuple[tuple[type, str], ...] = (
    (ec.EllipticCurvePublicKey, "ES256"),
    (rsa.RSAPublicKey, "RS256"),
    (ed25519.Ed25519PublicKey, "EdDSA"),
)
"""The encoder of a kind of key goes by the name of one of its algorithms, whatever its curve."""


def certificate_key(certificate: Certificate, **members: Any) -> Jwk:
    """The key, named (`kid`) by the certificate's `x5t#S256`; `members` are added. Raises JwkError."""
    public = certificate.parsed.public_key()
    name = next((name for kind, name in _ENCODERS if isinstance(public, kind)), None)
    if name is None:
        raise JwkError(f"expected a certificate with an EC, RSA or Ed25519 key, found {type(public).__name__}")
    value: dict[str, Any] = jwt.get_algorithm_by_name(name).to_jwk(public, as_dict=True)
    chain = [base64.b64encode(certificate.der).decode("ascii")]
    return Jwk.from_json({**value, "kid": certificate.x5t_s256, "x5c": chain, **members})
