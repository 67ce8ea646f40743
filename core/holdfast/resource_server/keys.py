"""The issuer's public keys (RFC 7517), as a value: which keys count, and for which algorithm.

Owns the judgement on a JWK Set. Must not fetch: `jwks` does. A key that cannot verify an access token is left out and
named, so that one odd key never makes the others unusable.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

_ALGORITHMS: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("RSA", None): ("PS256", "RS256"),
}
"""What a key of each type and curve may verify; HMAC and `none` are no signatures of an issuer (RFC 9068 section 4)."""

ALGORITHMS = tuple(dict.fromkeys(name for names in _ALGORITHMS.values() for name in names))
_MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
_MAX_KEYS = 100  # a bound on work; an issuer publishes two or three
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


class KeySetError(ValueError):
    """The document is no JWK Set with a usable key; says what was expected."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key and the algorithms it may be used with."""

    kid: str
    algorithms: tuple[str, ...]
    key: Any


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys by `kid`. `ignored` says which were left out and why."""

    keys: Mapping[str, VerificationKey]
    ignored: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str | bytes) -> "KeySet":
        """Read a JWK Set. Raises KeySetError when it is none, or holds no usable key."""
        keys: dict[str, VerificationKey] = {}
        ignored: list[str] = []
        for number, jwk in enumerate(_members(text)):
            try:
                key = _read(jwk)
                if key.kid in keys:
                    raise KeySetError("its kid repeats")
                keys[key.kid] = key
            except KeySetError as error:
                ignored.append(f"keys[{number}]: {error}")
        if not keys:
            raise KeySetError("expected at least one usable key, found " + ("; ".join(ignored)[:500] or "none"))
        return cls(MappingProxyType(keys), tuple(ignored))


def _members(text: str | bytes) -> list[Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeySetError("expected a JSON document") from error
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list) or len(members) > _MAX_KEYS:
        raise KeySetError(f"expected an object with a list of at most {_MAX_KEYS} keys")
    return members


def _read(jwk: object) -> VerificationKey:
    if not isinstance(jwk, dict) or not isinstance(kid := jwk.get("kid"), str) or not kid:
        raise KeySetError("expected an object with a kid")
    if _PRIVATE & jwk.keys():
        raise KeySetError("it holds private members")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise KeySetError("it is not for signatures")
    algorithms = _algorithms(jwk)
    return VerificationKey(kid, algorithms, _public_key(jwk, algorithms[0]))


def _algorithms(jwk: dict[str, Any]) -> tuple[str, ...]:
    kind, curve = jwk.get("kty"), jwk.get("crv")
    possible = _ALGORITHMS.get((str(kind), curve if isinstance(curve, str) else None), ())
    named = jwk.get("alg")
    algorithms = possible if named is None else tuple(name for name in possible if name == named)
    if not algorithms:
        raise KeySetError(f"kty {kind!r}, crv {curve!r}, alg {named!r} fit no algorithm of {', '.join(ALGORITHMS)}")
    return algorithms


def _public_key(jwk: dict[str, Any], algorithm: str) -> Any:
    try:
        key = jwt.PyJWK(jwk, algorithm).key
    except Exception as error:
        # Odd members make the decoder raise a handful of types; to us they mean one thing.
        raise KeySetError(f"it cannot be read ({type(error).__name__})") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        raise KeySetError(f"expected an RSA key of at least {_MIN_RSA_BITS} bits, found {key.key_size}")
    return key
