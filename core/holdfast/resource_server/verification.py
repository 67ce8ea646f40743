"""From a token and the certificate of its connection to claims, or a refusal (RFC 9068 section 4, RFC 8705 section 3).

Owns every check of an access token, as one pure function: keys, expectations and the moment are arguments. Must not
fetch or know HTTP. Neighbours: `keys` (which keys count), `verifier` (fetches them and remembers signatures).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from holdfast.oauth.claims import AccessTokenClaims, ClaimsError
from holdfast.resource_server.errors import InsufficientScope, InvalidToken
from holdfast.resource_server.keys import ALGORITHMS, KeySet
from holdfast.x509.certificate import Certificate
from holdfast.x509.thumbprint import thumbprints_equal

MAX_TOKEN = 16 * 1024
"""Characters. More than any token an HTTP header can carry."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # the decoder would skip other characters
_TYPE = "at+jwt"  # RFC 9068 section 2.1; anything else is another kind of token


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say. `scopes`: all of them. `leeway`: seconds by which clocks may differ.

    `require_binding`: refuse a token without `cnf`. A token that has one is held to it either way.
    """

    issuer: str
    audience: str
    scopes: tuple[str, ...] = ()
    require_binding: bool = True
    leeway: int = 30
    algorithms: tuple[str, ...] = ALGORITHMS


@dataclass(frozen=True, slots=True)
class SignedToken:
    """Claims that the issuer has signed, with nothing else checked. `not_before`: seconds since the epoch."""

    claims: AccessTokenClaims
    not_before: int | None


def verify(
    token: str, certificate: Certificate | None, *, keys: KeySet, expected: Expected, at: datetime
) -> AccessTokenClaims:
    """Check `token` as presented over a connection whose peer proved possession of `certificate`'s key.

    Raises InvalidToken; InsufficientScope when only a scope is missing. `at`: aware.
    """
    signed = verify_signature(token, keys, expected.algorithms)
    return check_claims(signed, certificate, expected=expected, at=at)


def key_id(token: str, *, limit: int = MAX_TOKEN) -> str:
    """The `kid` that the token's header names, unverified. `limit`: characters. Raises InvalidToken."""
    return _key_id(_header(token, limit))


def verify_signature(token: str, keys: KeySet, algorithms: tuple[str, ...] = ALGORITHMS) -> SignedToken:
    """Check that it is an access token signed by the issuer. Raises InvalidToken."""
    return _signed(verified_payload(token, keys, algorithms))


def verified_payload(
    token: str, keys: KeySet, algorithms: tuple[str, ...] = ALGORITHMS, *, typ: str = _TYPE, limit: int = MAX_TOKEN
) -> bytes:
    """What the issuer has signed under exactly this type (with or without `application/`, RFC 7515 section 4.1.9).

    The key comes from `keys` alone, never from the header. `limit`: characters. Raises InvalidToken.
    """
    header = _header(token, limit)
    kid = _key_id(header)
    if str(header.get("typ")).lower().removeprefix("application/") != typ:
        raise InvalidToken(f"typ: expected {typ}, found {header.get('typ')!r:.40}")
    if "crit" in header:
        raise InvalidToken("the header has critical members, of which none is understood")
    key = keys.keys.get(kid)
    if key is None:
        raise InvalidToken(f"kid {kid!r:.80} is none of the issuer's")
    allowed = [name for name in key.algorithms if name in algorithms]
    if header.get("alg") not in allowed:
        raise InvalidToken(f"alg: expected one of {allowed}, found {header.get('alg')!r:.40}")
    return _payload(token, key.key, allowed)


def _header(token: str, limit: int) -> Mapping[str, Any]:
    if len(token) > limit or not _COMPACT.fullmatch(token):
        raise InvalidToken("expected a JWS in compact form")
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise InvalidToken(f"the header cannot be read ({type(error).__name__})") from error


def _key_id(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise InvalidToken("the header has no kid")
    return kid


def _payload(token: str, key: Any, algorithms: list[str]) -> bytes:
    try:
        payload: bytes = jwt.PyJWS().decode(token, key, algorithms=algorithms)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise InvalidToken(f"the signature does not verify ({type(error).__name__})") from error
    return payload


def _signed(payload: bytes) -> SignedToken:
    try:
        document = json.loads(payload)
        claims = AccessTokenClaims.from_json(document)
    except (ClaimsError, ValueError, RecursionError) as error:
        raise InvalidToken(f"the claims cannot be used: {error}") from error
    not_before = document.get("nbf")
    if not_before is None:
        return SignedToken(claims, None)
    if isinstance(not_before, bool) or not isinstance(not_before, int | float) or abs(not_before) >= 1 << 53:
        raise InvalidToken("nbf: expected seconds since the epoch")
    return SignedToken(claims, int(not_before))


def check_claims(
    signed: SignedToken, certificate: Certificate | None, *, expected: Expected, at: datetime
) -> AccessTokenClaims:
    """All that depends on the request: issuer, audience, time, binding, scope. Raises InvalidToken, InsufficientScope."""
    claims = signed.claims
    if claims.iss != expected.issuer:
        raise InvalidToken(f"iss: expected {expected.issuer!r}, found {claims.iss!r:.200}")
    if expected.audience not in claims.aud:
        raise InvalidToken(f"aud: expected {expected.audience!r}, found {claims.aud!r:.200}")
    _check_times(signed, at.timestamp(), expected.leeway)
    _check_binding(claims, certificate, expected.require_binding)
    missing = [scope for scope in expected.scopes if scope not in claims.scope]
    if missing:
        raise InsufficientScope(expected.scopes, f"scope: {' '.join(missing)} is missing")
    return claims


def _check_times(signed: SignedToken, now: float, leeway: int) -> None:
    claims = signed.claims
    if now >= claims.exp + leeway:
        raise InvalidToken(f"exp: expired {int(now) - claims.exp} s ago")
    begins = max(claims.iat, claims.iat if signed.not_before is None else signed.not_before)
    if now < begins - leeway:
        raise InvalidToken(f"iat or nbf: not valid for another {begins - int(now)} s")


def _check_binding(claims: AccessTokenClaims, certificate: Certificate | None, required: bool) -> None:
    if claims.cnf is None:
        if required:
            raise InvalidToken("cnf: the token is not bound, and here it must be")
        return
    if certificate is None:
        raise InvalidToken("the token is bound, and the connection has no client certificate")
    if not thumbprints_equal(claims.cnf.x5t_s256, certificate.x5t_s256):
        raise InvalidToken(
            f"the token of client {claims.client_id!r:.100} is bound to another certificate than {certificate.x5t_s256}"
        )
