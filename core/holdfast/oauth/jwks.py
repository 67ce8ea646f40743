"""Public keys as JSON (RFC 7517): one key, checked in whole, and a set of them.

Owns what a usable key is: its members, the algorithms it may verify, and the certificate it carries (`x5c`). A set that
a person wrote is read strictly, one that was fetched leniently. Must not fetch, nor know whose keys they are.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from holdfast.x509.certificate import Certificate, CertificateError

_ALGORITHMS: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("RSA", None): ("PS256", "RS256"),
}
"""What a key of each type and curve may verify; HMAC and `none` prove nobody's identity."""

ALGORITHMS = tuple(dict.fromkeys(name for names in _ALGORITHMS.values() for name in names))
MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
MAX_KEYS = 100  # a bound on work; a set in use has two or three
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_TEXT = 64 * 1024  # characters of one key; a chain of ten certificates has a quarter


class JwkError(ValueError):
    """This is no key, or no set of keys, that could be used; names the member, the expected and the found."""


@dataclass(frozen=True)
class Jwk:
    """One public key. Two are equal when their canonical JSON is. Made by `from_json`, which checks all of it."""

    text: str
    """The key as JSON with sorted members and no blanks."""

    @classmethod
    def from_json(cls, value: object) -> "Jwk":
        """Raises JwkError. The first certificate of `x5c` must be one for this very key (RFC 7517 section 4.7)."""
        if not isinstance(value, Mapping):
            raise JwkError(f"expected an object, found {type(value).__name__}")
        jwk = cls(_canonical(value))
        jwk._check_members()
        _ = jwk.key
        jwk._check_certificate()
        return jwk

    @cached_property
    def _members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.text)
        return members

    def to_json(self) -> dict[str, Any]:
        """The members as they were given."""
        return dict(self._members)

    @cached_property
    def kid(self) -> str | None:
        value = self._members.get("kid")
        return value if isinstance(value, str) else None

    @cached_property
    def algorithms(self) -> tuple[str, ...]:
        """What it may verify: what its type and curve allow, and `alg` where it is named."""
        kind, curve, named = (self._members.get(name) for name in ("kty", "crv", "alg"))
        possible = _ALGORITHMS.get((str(kind), curve if isinstance(curve, str) else None), ())
        return possible if named is None else tuple(name for name in possible if name == named)

    @cached_property
    def for_signatures(self) -> bool:
        """Whether `use` and `key_ops` let it verify signatures (RFC 7517 sections 4.2 and 4.3)."""
        operations = self._members.get("key_ops", ["verify"])
        return self._members.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations

    @cached_property
    def expires_at(self) -> datetime | None:
        """From when it counts no more (`exp`, OpenID Federation 1.0 section 8.7.2); None: never by itself."""
        value = self._members.get("exp")
        if value is None:
            return None
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            pass
        raise JwkError(f"exp: expected seconds since 1970, found {value!r:.40}")

    def counts_at(self, at: datetime) -> bool:
        """Whether its own `exp` leaves it in force."""
        return self.expires_at is None or at < self.expires_at

    @cached_property
    def key(self) -> Any:
        """The public key as `cryptography` has it."""
        try:
            key = jwt.PyJWK(self._members, self.algorithms[0]).key
        except Exception as error:
            # Odd members make the decoder raise a handful of types; to us they mean one thing.
            raise JwkError(f"its members make no public key ({type(error).__name__})") from error
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
            raise JwkError(f"n: expected an RSA key of at least {MIN_RSA_BITS} bits, found {key.key_size}")
        return key

    @cached_property
    def certificate(self) -> Certificate | None:
        """The first of `x5c`; None without one."""
        chain = self._members.get("x5c")
        if chain is None:
            return None
        if not isinstance(chain, list) or not chain or not all(isinstance(entry, str) for entry in chain):
            raise JwkError("x5c: expected a list of one or more strings")
        try:
            return Certificate.from_der(base64.b64decode(chain[0], validate=True))
        except binascii.Error as error:
            raise JwkError("x5c[0]: expected standard base64 of DER, without PEM armour (RFC 7517 section 4.7)") from error
        except CertificateError as error:
            raise JwkError(f"x5c[0]: {error}") from error

    def _check_members(self) -> None:
        members = self._members
        if private := sorted(_PRIVATE & members.keys()):
            raise JwkError(f"expected a public key, found the private member {private[0]}")
        if "kid" in members and self.kid is None:
            raise JwkError(f"kid: expected a string, found {type(members['kid']).__name__}")
        _ = self.expires_at
        if not self.algorithms:
            found = ", ".join(f"{name} {members.get(name)!r:.40}" for name in ("kty", "crv", "alg"))
            raise JwkError(f"expected a key for one of {', '.join(ALGORITHMS)}, found {found}")

    def _check_certificate(self) -> None:
        certificate = self.certificate
        if certificate is not None and _spki(certificate.parsed.public_key()) != _spki(self.key):
            raise JwkError("x5c[0]: expected a certificate for this key, found one for another")


def _canonical(value: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise JwkError(f"expected a JSON object ({type(error).__name__})") from error
    if len(text) > _MAX_TEXT:
        raise JwkError(f"expected at most {_MAX_TEXT} characters, found {len(text)}")
    return text


def _spki(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def parse_jwk_set(value: object) -> tuple[Jwk, ...]:
    """Every key of a set, for one that somebody registers. Raises JwkError at the first that cannot be used."""
    return tuple(_read(entry, f"keys[{number}]") for number, entry in enumerate(_entries(value)))


def read_jwk_set(value: object) -> tuple[tuple[Jwk, ...], tuple[str, ...]]:
    """The keys that can be used, and what was wrong with the others, so that one odd key makes no other useless.

    Raises JwkError when the document is no set at all.
    """
    keys: list[Jwk] = []
    problems: list[str] = []
    for number, entry in enumerate(_entries(value)):
        try:
            keys.append(_read(entry, f"keys[{number}]"))
        except JwkError as error:
            problems.append(str(error))
    return tuple(keys), tuple(problems)


def _entries(value: object) -> Iterator[object]:
    entries = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(entries, list | tuple) or len(entries) > MAX_KEYS:
        raise JwkError(f"expected an object with a list keys of at most {MAX_KEYS} entries")
    return iter(entries)


def _read(entry: object, where: str) -> Jwk:
    try:
        return Jwk.from_json(entry)
    except JwkError as error:
        raise JwkError(f"{where}: {error}") from error


def jwk_set_to_json(keys: tuple[Jwk, ...]) -> dict[str, Any]:
    """The set as a document (RFC 7517 section 5)."""
    return {"keys": [key.to_json() for key in keys]}
