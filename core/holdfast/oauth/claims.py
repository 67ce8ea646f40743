"""The claims of an access token (RFC 9068) and its confirmation (RFC 7800, RFC 8705 section 3.1), as values.

Owns their JSON form. Knows nothing of signatures: whoever calls `AccessTokenClaims.from_json` has verified one, or
says that it has not.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


class ClaimsError(ValueError):
    """These are not the claims of an access token; names the claim, the expected and the actual."""


class Confirmation(NamedTuple):
    """Whose key a token is for: base64url, without padding, of SHA-256 over the certificate's DER."""

    x5t_s256: str

    def to_json(self) -> dict[str, str]:
        """The value of the `cnf` claim."""
        return {"x5t#S256": self.x5t_s256}

    @classmethod
    def from_json(cls, value: object) -> "Confirmation":
        """Read a `cnf` claim. Raises ClaimsError: a confirmation that is not understood is never "unbound" (M-54)."""
        thumbprint = value.get("x5t#S256") if isinstance(value, Mapping) else None
        if isinstance(thumbprint, str) and _THUMBPRINT.fullmatch(thumbprint):
            return cls(thumbprint)
        raise ClaimsError("cnf: expected an object with x5t#S256 of 43 base64url characters")


class AccessTokenClaims(NamedTuple):
    """What an access token says (RFC 9068 section 2.2). Times are seconds since the epoch.

    `scope`: the scope values, empty when none were granted. `cnf` None: the token is not bound.
    """

    iss: str
    sub: str
    client_id: str
    aud: tuple[str, ...]
    iat: int
    exp: int
    jti: str
    scope: tuple[str, ...] = ()
    cnf: Confirmation | None = None

    def to_json(self) -> dict[str, Any]:
        """The claims set; one audience is written as a string, no scope and no confirmation not at all."""
        claims: dict[str, Any] = {
            "iss": self.iss,
            "sub": self.sub,
            "client_id": self.client_id,
            "aud": self.aud[0] if len(self.aud) == 1 else list(self.aud),
            "iat": self.iat,
            "exp": self.exp,
            "jti": self.jti,
        }
        if self.scope:
            claims["scope"] = " ".join(self.scope)
        if self.cnf is not None:
            claims["cnf"] = self.cnf.to_json()
        return claims

    @classmethod
    def from_json(cls, value: object) -> "AccessTokenClaims":
        """Read a claims set. Raises ClaimsError. Does not check a signature, an issuer, an audience or a time."""
        if not isinstance(value, Mapping):
            raise ClaimsError(f"claims: expected an object, found {type(value).__name__}")
        return cls(
            iss=_text(value, "iss"),
            sub=_text(value, "sub"),
            client_id=_text(value, "client_id"),
            aud=_audiences(value.get("aud")),
            iat=_seconds(value, "iat"),
            exp=_seconds(value, "exp"),
            jti=_text(value, "jti"),
            scope=tuple(_text(value, "scope").split()) if "scope" in value else (),
            cnf=Confirmation.from_json(value["cnf"]) if "cnf" in value else None,
        )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if isinstance(value, str):
        return value
    raise ClaimsError(f"{name}: expected a string, found {type(value).__name__}")


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    """A NumericDate; others may write one with a fraction (RFC 7519 section 2), which is cut off."""
    value = claims.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53:
        return int(value)
    raise ClaimsError(f"{name}: expected seconds since the epoch, found {type(value).__name__}")


def _audiences(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise ClaimsError(f"aud: expected a string or a list of strings, found {type(value).__name__}")
