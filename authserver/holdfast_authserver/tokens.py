"""Access tokens as this server writes and reads them: JWT (RFC 9068) or opaque, bound by `cnf` (RFC 8705 section 3.1).

Owns claims in, token out, and the way back for introspection and revocation. An opaque token holds the same claims, sealed:
nothing is stored for it, and only a server of this registry can read it. Decides nothing about who may have one
(`grants/`). Neighbour: `keys`, which knows no claims.
"""

import base64
import hashlib
import json
import os
from typing import NamedTuple

from holdfast.oauth.claims import AccessTokenClaims, ClaimsError, Confirmation
from holdfast.oauth.client_metadata import TokenFormat
from holdfast.oauth.deny_list import TYPE as DENY_LIST
from holdfast_authserver.compact_json import encode
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.sealing_key import PREFIX

_MAX_TOKEN = 8192  # characters; ours have about 700
_MAX_KNOWN = 10_000  # signatures remembered: about 10 MB
_JTI = 18  # octets, so 144 bits; RFC 6749 section 10.10 asks for 128
INTROSPECTION = "token-introspection+jwt"
"""The `typ` of a signed introspection answer (RFC 9701 section 5)."""
_OTHER_KINDS = (INTROSPECTION, DENY_LIST)


class NewToken(NamedTuple):
    """What a token shall say. `lifetime`: seconds. `thumbprint` None: not bound."""

    issuer: str
    client_id: str
    audience: str
    scope: tuple[str, ...]
    issued_at: int
    lifetime: int
    thumbprint: str | None
    format: TokenFormat


def issue(new: NewToken, ring: KeyRing) -> tuple[str, AccessTokenClaims]:
    """Sign or seal it. The subject is the client itself, as nobody else takes part (RFC 9068 section 2.2).

    Raises SigningKeyError.
    """
    claims = AccessTokenClaims(
        iss=new.issuer,
        sub=new.client_id,
        client_id=new.client_id,
        aud=(new.audience,),
        iat=new.issued_at,
        exp=new.issued_at + new.lifetime,
        jti=base64.urlsafe_b64encode(os.urandom(_JTI)).decode(),
        scope=new.scope,
        cnf=None if new.thumbprint is None else Confirmation(new.thumbprint),
    )
    payload = encode(claims.to_json())
    return ring.seal(payload) if new.format is TokenFormat.OPAQUE else ring.signing().sign(payload), claims


class TokenReader:
    """Reads this server's own tokens, and remembers which signatures it has verified."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, AccessTokenClaims]] = {}

    def read(self, token: str, ring: KeyRing, issuer: str) -> AccessTokenClaims | None:
        """The claims if a key of `ring` that still counts made the token for `issuer`; else None.

        Does not look at times, revocation or clients.
        """
        if len(token) > _MAX_TOKEN:
            return None
        claims = _parsed(ring.unseal(token)) if token.startswith(PREFIX) else self._signed(token, ring)
        return claims if claims is not None and claims.iss == issuer else None

    def _signed(self, token: str, ring: KeyRing) -> AccessTokenClaims | None:
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is not None:
            return known[1] if ring.find(known[0]) is not None else None
        key = ring.key_of(token)
        claims = None if key is None else _parsed(key.verified_payload(token))
        if key is None or claims is None:
            return None
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = (key.kid, claims)
        return claims


def is_of_another_kind(token: str, ring: KeyRing) -> bool:
    """Whether this server signed it, but not as an access token: such a one is never revoked."""
    for typ in _OTHER_KINDS:
        key = ring.key_of(token, typ=typ)
        if key is not None and key.verified_payload(token, typ=typ) is not None:
            return True
    return False


def _parsed(payload: bytes | None) -> AccessTokenClaims | None:
    if payload is None:
        return None
    try:
        return AccessTokenClaims.from_json(json.loads(payload))
    except (ClaimsError, ValueError, RecursionError):
        return None
