"""The check of an API as one object: expectations, the issuer's keys, and the signatures that were verified already.

Owns what may be remembered: a signature, as long as the key set is the same. Issuer, audience, time, binding and scope
are judged anew for every request, since the certificate is another one on another connection.
"""

import hashlib
import threading
from collections import OrderedDict

from holdfast.clock import Clock, system_clock
from holdfast.oauth.claims import AccessTokenClaims
from holdfast.resource_server.jwks import JwksCache
from holdfast.resource_server.keys import KeySet
from holdfast.resource_server.verification import Expected, SignedToken, check_claims, key_id, verify_signature
from holdfast.x509.certificate import Certificate

_REMEMBERED = 10_000  # tokens; about 10 MB


class TokenVerifier:
    """Verifies access tokens for one API. Safe to share between threads and tasks."""

    def __init__(self, expected: Expected, jwks: JwksCache, *, clock: Clock = system_clock) -> None:
        self.expected = expected
        self._jwks = jwks
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[bytes, tuple[KeySet, SignedToken]] = OrderedDict()

    def verify(self, token: str, certificate: Certificate | None) -> AccessTokenClaims:
        """Raises a Refusal: InvalidToken, InsufficientScope, or KeysUnavailable."""
        return self._judge(token, certificate, self._jwks.keys(key_id(token)))

    async def averify(self, token: str, certificate: Certificate | None) -> AccessTokenClaims:
        """As `verify`, for asyncio."""
        return self._judge(token, certificate, await self._jwks.akeys(key_id(token)))

    def _judge(self, token: str, certificate: Certificate | None, keys: KeySet) -> AccessTokenClaims:
        return check_claims(self._signed(token, keys), certificate, expected=self.expected, at=self._clock())

    def _signed(self, token: str, keys: KeySet) -> SignedToken:
        digest = hashlib.sha256(token.encode()).digest()
        with self._lock:
            known = self._seen.get(digest)
        if known is not None and known[0] is keys:
            return known[1]
        signed = verify_signature(token, keys, self.expected.algorithms)
        self._remember(digest, keys, signed)
        return signed

    def _remember(self, digest: bytes, keys: KeySet, signed: SignedToken) -> None:
        with self._lock:
            self._seen[digest] = (keys, signed)
            self._seen.move_to_end(digest)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
