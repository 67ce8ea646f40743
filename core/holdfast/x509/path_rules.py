"""What a path has to satisfy beyond RFC 5280, as one value, and the error that says what it does not.

Owns the strength of keys and the words for it. Must not know where the numbers come from: a caller's policy.
Neighbours: `leaf` and `chain` apply it.
"""

from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from holdfast.x509.certificate import Certificate


class PathError(Exception):
    """The certificate is not accepted, or the anchor cannot be one. `reason` is for logs and conditions."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class PathRules:
    """`max_depth`: intermediates between leaf and anchor. Key sizes in bits, of every certificate of the path.

    `max_duration`: from the beginning of the leaf to its end; None: any. `require_client_auth_usage`: whether the leaf
    has to have an extended key usage; where it has one, it must hold clientAuth either way.
    """

    max_depth: int = 4
    min_rsa_bits: int = 2048
    min_ec_bits: int = 224
    max_duration: timedelta | None = None
    require_client_auth_usage: bool = True


def key_flaw(certificate: Certificate, rules: PathRules) -> str | None:
    """What is wrong with the public key; None: nothing."""
    key = certificate.parsed.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return _too_small("RSA", key.key_size, rules.min_rsa_bits)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _too_small("EC", key.curve.key_size, rules.min_ec_bits)
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return None
    return f"a key of a kind that is not accepted: {type(key).__name__}"


def key_shown(certificate: Certificate) -> str:
    """Kind and size of the public key."""
    key = certificate.parsed.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA of {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC of {key.curve.key_size} bits ({key.curve.name})"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def _too_small(kind: str, bits: int, least: int) -> str | None:
    return f"an {kind} key of {bits} bits; at least {least} are required" if bits < least else None
