"""A client assertion (RFC 7523 section 3) as a value: read strictly once, and judged by its times and names.

Owns the form of the JWT and the claims. Must not know keys: a claim read here is believed only when `private_key_jwt`
has found the signature right. Neighbour: `presented` takes the client id from one whose form does not name it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.base64url import from_base64url
from holdfast.oauth.errors import InvalidClient
from holdfast.oauth.refusal import Refusal

MAX_LIFETIME = 300
"""Seconds from now to `exp`: an assertion is made for one request, and its `jti` has to be remembered that long."""
MAX_AHEAD = 30
"""Seconds by which a client's clock may be ahead: 10 must pass and 60 must not (FAPI 2.0 section 5.3.2.1)."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_MAX_TEXT = 8192  # characters; with a few claims and an RSA signature it has about 900
_MAX_JTI = 256  # characters; a UUID has 36
_TYPES = frozenset({"jwt", "client-authentication+jwt"})  # an access token of this server (at+jwt) is no assertion


@dataclass(frozen=True, slots=True)
class Assertion:
    """The parts of a JWS in compact form (RFC 7515 section 7.1), with nothing believed yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """`alg`; whether it may be used is for others to say."""
        return str(self.header.get("alg"))

    @property
    def kid(self) -> str | None:
        """`kid`; None without one. The one member of the header that helps to find a key (A-07)."""
        return self.header.get("kid")


@dataclass(frozen=True, slots=True)
class OneUse:
    """What makes an assertion good for once: its `jti`, and the moment after which it is refused anyway.

    `earliest`: seconds since the epoch; it was made no earlier, so nobody can have used it before.
    """

    jti: str
    expires: datetime
    earliest: float


def read_assertion(text: str) -> Assertion:
    """Raises InvalidClient: not a JWS in compact form, members that repeat, another type, critical members."""
    found = _COMPACT.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise _malformed("expected a JWS in compact form")
    header, claims = _json(found[1], "header"), _json(found[2], "claims")
    if "crit" in header:
        raise _malformed("crit: no critical member is understood here")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise _malformed(f"typ: expected JWT or client-authentication+jwt, found {kind!r:.40}")
    if not isinstance(header.get("kid", ""), str):
        raise _malformed("kid: expected a string")
    return Assertion(header, claims, text[: found.end(2)].encode(), _decode(found[3], "signature"))


def claimed_subject(text: str) -> str:
    """The `sub`, which is the client id where the form has none (RFC 7521 section 4.2). Raises InvalidClient."""
    subject = read_assertion(text).claims.get("sub")
    if isinstance(subject, str) and subject:
        return subject
    raise _malformed("sub: expected the client id")


def check_claims(claims: Mapping[str, Any], *, client_id: str, issuer: str, at: datetime) -> OneUse:
    """Every claim of RFC 7523 section 3 as this server wants it. Raises InvalidClient with the first that is wrong."""
    for name in ("iss", "sub"):
        if claims.get(name) != client_id:
            raise _wrong(f"{name}: expected {client_id}, found {claims.get(name)!r:.80}")
    if claims.get("aud") != issuer:
        # Not an endpoint, nor a list: whoever else is named could use it here, too (RFC 7523bis section 4).
        raise _wrong(f"aud: expected the string {issuer}, found {claims.get('aud')!r:.120}")
    now = at.timestamp()
    begins = [_seconds(claims, name) for name in ("nbf", "iat") if name in claims]
    if max(begins, default=now) > now + MAX_AHEAD:
        raise _wrong(f"nbf, iat: expected at most {MAX_AHEAD} seconds ahead")
    expiry = _expiry(claims, now)
    earliest = max(begins, default=expiry - MAX_LIFETIME - MAX_AHEAD)
    return OneUse(_jti(claims), datetime.fromtimestamp(expiry, UTC), earliest)


def _expiry(claims: Mapping[str, Any], now: float) -> float:
    expiry = _seconds(claims, "exp")
    if expiry <= now:
        raise _wrong("exp: it has expired")
    if expiry > now + MAX_LIFETIME + MAX_AHEAD:
        raise _wrong(f"exp: expected at most {MAX_LIFETIME} seconds ahead, found {expiry - now:.0f}")
    return expiry


def _jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if isinstance(jti, str) and 1 <= len(jti) <= _MAX_JTI and jti.isprintable():
        return jti
    raise _wrong(f"jti: expected a string of 1 to {_MAX_JTI} printable characters")


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 section 2)."""
    value = claims.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53:
        return value
    raise _wrong(f"{name}: expected seconds since the epoch, found {type(value).__name__}")


def _json(part: str, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(_decode(part, what), object_pairs_hook=_each_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"{what}: expected a JSON object") from error
    if isinstance(value, dict):
        return value
    raise _malformed(f"{what}: expected a JSON object, found {type(value).__name__}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that repeats would mean one thing here and another thing elsewhere (RFC 7519 section 4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member repeats")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _decode(part: str, what: str) -> bytes:
    try:
        return from_base64url(part.encode())
    except ValueError as error:
        raise _malformed(f"{what}: expected base64url") from error


def _malformed(why: str) -> InvalidClient:
    return InvalidClient(f"assertion: {why}", reason=Refusal.ASSERTION_MALFORMED)


def _wrong(why: str) -> InvalidClient:
    return InvalidClient(f"assertion: {why}", reason=Refusal.ASSERTION_CLAIMS)
