"""The algorithms that tokens may be signed with (RFC 7518 section 3, RFC 8037 section 3): one class for each.

Owns how a key is made, how it signs and checks, and its public members as JWK. Knows no header, no `kid` and no store.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from holdfast.base64url import to_base64url

_RSA_BITS = 2048  # what RFC 7518 section 3.3 asks for; a longer key costs four times as much and lives only weeks
_P256_SIZE = 32  # octets of r and of s (RFC 7518 section 3.4)


def _number(value: int, size: int | None = None) -> str:
    """Base64urlUInt (RFC 7518 section 2); `size` octets where the curve fixes it."""
    return to_base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big")).decode()


class KeyPair(Protocol):
    """A private key that knows the one algorithm it is for. `private` must never leave the store."""

    private: PrivateKeyTypes

    @classmethod
    def generate(cls) -> Self: ...

    @classmethod
    def of(cls, private: PrivateKeyTypes) -> Self:
        """Raises ValueError when the key is of another kind; says what was expected."""
        ...

    @property
    def members(self) -> dict[str, str]:
        """The required public members, ordered as the thumbprint needs them (RFC 7638 section 3.2)."""
        ...

    def sign(self, message: bytes) -> bytes: ...

    def verify(self, signature: bytes, message: bytes) -> bool: ...


class Es256:
    """ECDSA on P-256 with SHA-256."""

    _SCHEME: ClassVar = ec.ECDSA(hashes.SHA256())

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self.private: PrivateKeyTypes = private
        self._signer = private
        self._public = private.public_key()

    @classmethod
    def generate(cls) -> Self:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def of(cls, private: PrivateKeyTypes) -> Self:
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise ValueError("expected a P-256 key")
        return cls(private)

    @property
    def members(self) -> dict[str, str]:
        point = self._public.public_numbers()
        return {"crv": "P-256", "kty": "EC", "x": _number(point.x, _P256_SIZE), "y": _number(point.y, _P256_SIZE)}

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._signer.sign(message, self._SCHEME))
        return r.to_bytes(_P256_SIZE, "big") + s.to_bytes(_P256_SIZE, "big")

    def verify(self, signature: bytes, message: bytes) -> bool:
        if len(signature) != 2 * _P256_SIZE:
            return False
        r, s = (int.from_bytes(half, "big") for half in (signature[:_P256_SIZE], signature[_P256_SIZE:]))
        try:
            self._public.verify(encode_dss_signature(r, s), message, self._SCHEME)
        except InvalidSignature:
            return False
        return True


class EdDsa:
    """Ed25519, under the name that RFC 8037 gives it."""

    def __init__(self, private: ed25519.Ed25519PrivateKey) -> None:
        self.private: PrivateKeyTypes = private
        self._signer = private
        self._public = private.public_key()

    @classmethod
    def generate(cls) -> Self:
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: PrivateKeyTypes) -> Self:
        if not isinstance(private, ed25519.Ed25519PrivateKey):
            raise ValueError("expected an Ed25519 key")
        return cls(private)

    @property
    def members(self) -> dict[str, str]:
        return {"crv": "Ed25519", "kty": "OKP", "x": to_base64url(self._public.public_bytes_raw()).decode()}

    def sign(self, message: bytes) -> bytes:
        return self._signer.sign(message)

    def verify(self, signature: bytes, message: bytes) -> bool:
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class _Rsa:
    """What PS256 and RS256 share."""

    _padding: ClassVar[padding.AsymmetricPadding]

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self.private: PrivateKeyTypes = private
        self._signer = private
        self._public = private.public_key()

    @classmethod
    def generate(cls) -> Self:
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS))

    @classmethod
    def of(cls, private: PrivateKeyTypes) -> Self:
        if not isinstance(private, rsa.RSAPrivateKey) or private.key_size < _RSA_BITS:
            raise ValueError(f"expected an RSA key of at least {_RSA_BITS} bits")
        return cls(private)

    @property
    def members(self) -> dict[str, str]:
        numbers = self._public.public_numbers()
        return {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}

    def sign(self, message: bytes) -> bytes:
        return self._signer.sign(message, self._padding, hashes.SHA256())

    def verify(self, signature: bytes, message: bytes) -> bool:
        try:
            self._public.verify(signature, message, self._padding, hashes.SHA256())
        except InvalidSignature:
            return False
        return True


class Ps256(_Rsa):
    """RSASSA-PSS with SHA-256 and a salt of the same length (RFC 7518 section 3.5)."""

    _padding = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)


class Rs256(_Rsa):
    """RSASSA-PKCS1-v1_5 with SHA-256, for readers that know nothing newer."""

    _padding = padding.PKCS1v15()


ALGORITHMS: Mapping[str, type[KeyPair]] = MappingProxyType({"ES256": Es256, "EdDSA": EdDsa, "PS256": Ps256, "RS256": Rs256})
"""By registered name. Never `none`, never HMAC (RFC 9068 section 2.1)."""
