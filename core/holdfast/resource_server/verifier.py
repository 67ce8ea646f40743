"""The check of an API as one object: expectations, the issuer's keys and deny-list, and the signatures verified already.

Owns what may be remembered: a signature, as long as the key set is the same. Issuer, audience, time, binding, scope and
the deny-list are judged anew for every request, since the certificate is another one on another connection.
"""

import hashlib
import threading
from collections import OrderedDict
from typing import NamedTuple

from holdfast.clock import Clock, system_clock
from holdfast.oauth.claims import AccessTokenClaims
from holdfast.oauth.deny_list import DenyList
from holdfast.resource_server.deny_list import DenyListCache
from holdfast.resource_server.errors import InvalidToken
from holdfast.resource_server.jwks import JwksCache
from holdfast.resource_server.keys import KeySet
from holdfast.resource_server.verification import Expected, SignedToken, check_claims, key_id, verify_signature
from holdfast.x509.certificate import Certificate

_REMEMBERED = 10_000  # tokens; about 10 MB
_DENY_LIST = "/oauth2/deny-list"  # where this project's server has it; another one's is named by its metadata


class TokenVerifier:
    """Verifies access tokens for one API. Safe to share between threads and tasks."""

    def __init__(
        self,
        expected: Expected,
        jwks: JwksCache,
        *,
        deny_list: DenyListCache | bool = False,
        clock: Clock = system_clock,
    ) -> None:
        """`deny_list` True: the issuer's, under the usual path, with the default rules. False: tokens live until `exp`."""
        self.expected = expected
        self._jwks = jwks
        self._clock = clock
        self._denied = deny_list if isinstance(deny_list, DenyListCache) else None
        if deny_list is True:
            self._denied = DenyListCache(expected.issuer + _DENY_LIST, expected.issuer, jwks, clock=clock)
        self._lock = threading.Lock()
        self._seen: OrderedDict[bytes, _Known] = OrderedDict()

    def verify(self, token: str, certificate: Certificate | None) -> AccessTokenClaims:
        """Raises a Refusal: InvalidToken, InsufficientScope, KeysUnavailable or DenyListUnavailable."""
        digest, kid = self._named(token)
        claims = self._judge(digest, token, certificate, self._jwks.keys(kid))
        return claims if self._denied is None else _refuse_denied(claims, self._denied.current())

    async def averify(self, token: str, certificate: Certificate | None) -> AccessTokenClaims:
        """As `verify`, for asyncio."""
        digest, kid = self._named(token)
        claims = self._judge(digest, token, certificate, await self._jwks.akeys(kid))
        return claims if self._denied is None else _refuse_denied(claims, await self._denied.acurrent())

    def _named(self, token: str) -> tuple[bytes, str]:
        """Under what it is remembered, and its `kid`. Raises InvalidToken."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._seen.get(digest)
        return digest, key_id(token) if known is None else known.kid

    def _judge(self, digest: bytes, token: str, certificate: Certificate | None, keys: KeySet) -> AccessTokenClaims:
        known = self._seen.get(digest)
        if known is None or known.keys is not keys:
            signed = verify_signature(token, keys, self.expected.algorithms)
            known = _Known(key_id(token), keys, signed)
            self._remember(digest, known)
        return check_claims(known.signed, certificate, expected=self.expected, at=self._clock())

    def _remember(self, digest: bytes, known: "_Known") -> None:
        with self._lock:
            self._seen[digest] = known
            self._seen.move_to_end(digest)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)


class _Known(NamedTuple):
    kid: str
    keys: KeySet
    signed: SignedToken


def _refuse_denied(claims: AccessTokenClaims, denied: DenyList | None) -> AccessTokenClaims:
    """The claims, unless the list names them. Raises InvalidToken."""
    reason = None if denied is None else denied.why_denied(claims)
    if reason is not None:
        raise InvalidToken(f"deny-list: {reason}")
    return claims
