"""The issuer's public keys (RFC 7517), as a value: which keys count, and for which algorithm.

Owns which keys of a JWK Set may verify an access token. Must not fetch: `jwks` does. A key that cannot is left out and
named, so that one odd key never makes the others unusable. Neighbour: `holdfast.oauth.jwks` reads a single key.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from holdfast.oauth.jwks import ALGORITHMS, Jwk, JwkError, read_jwk_set

__all__ = ["ALGORITHMS", "KeySet", "KeySetError", "VerificationKey"]


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
        found, problems = _read(text)
        keys: dict[str, VerificationKey] = {}
        ignored = list(problems)
        for jwk in found:
            if jwk.kid and jwk.kid not in keys and jwk.for_signatures:
                keys[jwk.kid] = VerificationKey(jwk.kid, jwk.algorithms, jwk.key)
            else:
                ignored.append(f"kid {jwk.kid!r:.80}: expected a kid of its own and a key for signatures")
        if not keys:
            raise KeySetError("expected at least one usable key, found " + ("; ".join(ignored)[:500] or "none"))
        return cls(MappingProxyType(keys), tuple(ignored))


def _read(text: str | bytes) -> tuple[tuple[Jwk, ...], tuple[str, ...]]:
    try:
        return read_jwk_set(json.loads(text))
    except JwkError as error:
        raise KeySetError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise KeySetError("expected a JSON document") from error
