"""Access tokens as this server writes and reads them: JWT of RFC 9068, bound by `cnf` (RFC 8705 section 3.1).

Owns claims in, token out, and the way back for introspection and revocation. Decides nothing about who may have one
(`grants/`). Neighbour: `keys`, which knows no claims.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass

from holdfast.oauth.claims import AccessTokenClaims, ClaimsError, Confirmation
from holdfast_authserver.keys.signing_key import SigningKey

_MAX_TOKEN = 8192  # characters; ours have about 700
_MAX_KNOWN = 10_000  # signatures remembered: about 10 MB
_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What a token shall say. `lifetime`: seconds. `thumbprint` None: not bound."""

    issuer: str
    client_id: str
    audience: str
    scope: tuple[str, ...]
    issued_at: int
    lifetime: int
    thumbprint: str | None


def issue(new: NewToken, key: SigningKey) -> tuple[str, AccessTokenClaims]:
    """Sign it. The subject is the client itself, as nobody else takes part (RFC 9068 section 2.2)."""
    claims = AccessTokenClaims(
        iss=new.issuer,
        sub=new.client_id,
        client_id=new.client_id,
        aud=(new.audience,),
        iat=new.issued_at,
        exp=new.issued_at + new.lifetime,
        jti=base64.urlsafe_b64encode(os.urandom(18)).decode(),
        scope=new.scope,
        cnf=None if new.thumbprint is None else Confirmation(new.thumbprint),
    )
    return key.sign(_ENCODE(claims.to_json()).encode()), claims


class TokenReader:
    """Reads this server's own tokens, and remembers which signatures it has verified."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, AccessTokenClaims]] = {}

    def read(self, token: str, key: SigningKey, issuer: str) -> AccessTokenClaims | None:
        """The claims if `key` signed them for `issuer`; else None. Does not look at times, revocation or clients."""
        if len(token) > _MAX_TOKEN:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is not None and known[0] == key.kid:
            return known[1] if known[1].iss == issuer else None
        claims = _verified_claims(token, key)
        if claims is None or claims.iss != issuer:
            return None
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = (key.kid, claims)
        return claims


def _verified_claims(token: str, key: SigningKey) -> AccessTokenClaims | None:
    payload = key.verified_payload(token)
    if payload is None:
        return None
    try:
        return AccessTokenClaims.from_json(json.loads(payload))
    except (ClaimsError, ValueError, RecursionError):
        return None
