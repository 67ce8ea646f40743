"""The deny-list: which of a server's access tokens must not be taken although they have not expired.

Owns the document's members and what each means; a JWS of type `deny-list+jwt` carries it. Entries are hashes, so that
the document, which anybody may read, names no token, client or certificate to whom does not know it already.
Neighbours: the authorization server writes it, `holdfast.resource_server.deny_list` reads it.

    {"iss": "https://as.example", "iat": 1767225600, "exp": 1767226200, "valid_from": 1767000000, "complete": true,
     "tokens": ["<hash of a jti>"], "clients": {"<hash of a client id>": 1767225000, "<another>": null},
     "certificates": ["<hash of an x5t#S256>"]}
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeGuard

from holdfast.base64url import to_base64url
from holdfast.oauth.claims import AccessTokenClaims

TYPE = "deny-list+jwt"
"""The `typ` of the JWS, which no other kind of token of the server has (RFC 8725 section 3.11)."""


class DenyListError(ValueError):
    """This is no deny-list; names the member, the expected and the actual."""


def entry(text: str) -> str:
    """The form of a `jti`, a client id or a thumbprint in the list: 128 bits of SHA-256, base64url without padding."""
    return to_base64url(hashlib.sha256(text.encode()).digest()[:16]).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyList:
    """Times are seconds since the epoch.

    `valid_from`: tokens issued earlier are of a registry that was lost. `clients`: tokens of this client issued earlier
    are dead; None: all are. `complete` False: there was more to name than the document may hold, so it proves nothing.
    """

    iss: str
    iat: int
    exp: int
    valid_from: int
    tokens: frozenset[str]
    clients: Mapping[str, int | None]
    certificates: frozenset[str]
    complete: bool = True

    def why_denied(self, claims: AccessTokenClaims) -> str | None:
        """Why a token is dead; None when it is not listed. For the log: names what is listed."""
        if claims.iat < self.valid_from:
            return "it was issued before the issuer's registry began"
        if entry(claims.jti) in self.tokens:
            return f"token {claims.jti!r:.80} is revoked"
        before = self.clients.get(entry(claims.client_id), 0)
        if before is None or claims.iat < before:
            return f"client {claims.client_id!r:.100} lost its tokens"
        if claims.cnf is not None and entry(claims.cnf.x5t_s256) in self.certificates:
            return f"certificate {claims.cnf.x5t_s256} is denied"
        return None

    def to_json(self) -> dict[str, Any]:
        """The payload of the JWS; the same content is the same text."""
        return {
            "iss": self.iss,
            "iat": self.iat,
            "exp": self.exp,
            "valid_from": self.valid_from,
            "complete": self.complete,
            "tokens": sorted(self.tokens),
            "clients": dict(sorted(self.clients.items())),
            "certificates": sorted(self.certificates),
        }

    @classmethod
    def from_json(cls, value: object) -> "DenyList":
        """Read what `to_json` wrote. Raises DenyListError. Checks neither issuer nor time."""
        if not isinstance(value, Mapping):
            raise DenyListError(f"deny-list: expected an object, found {type(value).__name__}")
        if not isinstance(iss := value.get("iss"), str) or not isinstance(complete := value.get("complete"), bool):
            raise DenyListError("iss, complete: expected a string and a boolean")
        return cls(
            iss=iss,
            iat=_seconds(value, "iat"),
            exp=_seconds(value, "exp"),
            valid_from=_seconds(value, "valid_from"),
            tokens=_entries(value, "tokens"),
            clients=_clients(value.get("clients")),
            certificates=_entries(value, "certificates"),
            complete=complete,
        )


def _seconds(value: Mapping[str, Any], name: str) -> int:
    found = value.get(name)
    if _is_seconds(found):
        return found
    raise DenyListError(f"{name}: expected whole seconds since the epoch, found {type(found).__name__}")


def _is_seconds(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53


def _entries(value: Mapping[str, Any], name: str) -> frozenset[str]:
    found = value.get(name)
    if isinstance(found, list) and all(isinstance(each, str) for each in found):
        return frozenset(found)
    raise DenyListError(f"{name}: expected a list of strings, found {type(found).__name__}")


def _clients(found: object) -> Mapping[str, int | None]:
    if isinstance(found, Mapping) and all(before is None or _is_seconds(before) for before in found.values()):
        return MappingProxyType(dict(found))
    raise DenyListError("clients: expected an object of seconds since the epoch or null")
