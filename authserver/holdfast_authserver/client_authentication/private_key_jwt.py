"""`private_key_jwt` (RFC 7523 section 2.2, OpenID Connect Core section 9): a JWT signed with a key the client registered.

Owns the choice of the key, the signature and the one use. The certificate of the connection proves nothing here, but a
token can be bound to it (RFC 8705 section 3). Neighbours: `assertion` reads and judges claims, `registered_keys` finds keys.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import Algorithm, get_default_algorithms

from holdfast.oauth.errors import InvalidClient, TemporarilyUnavailable
from holdfast.oauth.jwks import ALGORITHMS, Jwk
from holdfast.oauth.refusal import Refusal
from holdfast.registry.port import RegistryUnavailable
from holdfast_authserver.client_authentication.assertion import Assertion, OneUse, check_claims, read_assertion
from holdfast_authserver.client_authentication.binding_certificate import BindingCertificates
from holdfast_authserver.client_authentication.presented import JWT_BEARER, PresentedCredentials
from holdfast_authserver.client_authentication.proof import Proof
from holdfast_authserver.client_authentication.registered_keys import RegisteredKeys
from holdfast_authserver.registry.snapshot import ServedClient

NAME = "private_key_jwt"
_VERIFIERS: Mapping[str, Algorithm] = {name: a for name, a in get_default_algorithms().items() if name in ALGORITHMS}
_NOBODYS_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


class AssertionMemory(Protocol):
    """Remembers which assertions were used, for every worker and replica, over restarts."""

    @property
    def remembers_since(self) -> datetime:
        """What was used earlier is forgotten: it was in a registry that is lost."""

    async def remember_assertion(self, client_id: str, jti: str, expires_at: datetime) -> bool:
        """False: it was used before. Raises RegistryUnavailable."""


class PrivateKeyJwt:
    """The method. `issuer`: what an assertion has to be made for. `algorithms`: what it may be signed with (A-06)."""

    def __init__(self, keys: RegisteredKeys, memory: AssertionMemory, issuer: str, algorithms: tuple[str, ...]) -> None:
        self.algorithms = algorithms
        self._keys = keys
        self._memory = memory
        self._issuer = issuer
        self._certificates = BindingCertificates()

    async def verify(self, client: ServedClient, presented: PresentedCredentials, at: datetime) -> Proof:
        """With the end of a certificate on the connection that a token can be bound to.

        Raises InvalidClient; TemporarilyUnavailable when nobody can say whether the assertion was used before.
        """
        if presented.assertion is None:
            raise InvalidClient(f"expected a client_assertion of type {JWT_BEARER}", reason=Refusal.WRONG_METHOD)
        client_id = client.metadata.client_id
        assertion = read_assertion(presented.assertion)
        await self._check_signature(client, assertion, at)
        once = check_claims(assertion.claims, client_id=client_id, issuer=self._issuer, at=at)
        await self._use_up(client_id, once)  # last: a refused one may be sent again, mended
        return Proof(None if presented.chain is None else self._certificates.end_of(presented.chain, at))

    async def _check_signature(self, client: ServedClient, assertion: Assertion, at: datetime) -> None:
        algorithm, kid = assertion.algorithm, assertion.kid
        registered = client.metadata.token_endpoint_auth_signing_alg
        if algorithm not in self.algorithms or registered not in (None, algorithm):
            expected = registered or ", ".join(self.algorithms)
            raise _unsigned(f"alg: expected {expected}, found {algorithm:.40}")
        key = await self._keys.find(client, lambda keys: key_for(keys, kid, algorithm, at), at)
        if key is None:
            raise _unsigned(f"kid {kid!r:.80} with alg {algorithm} is none of the client's keys")
        if not _verifies(assertion, key.key):
            raise _unsigned(f"the signature is not by the client's key {kid!r:.80}")

    async def _use_up(self, client_id: str, once: OneUse) -> None:
        try:
            fresh = await self._memory.remember_assertion(client_id, once.jti, once.expires)
        except RegistryUnavailable as error:
            raise TemporarilyUnavailable(
                f"used assertions: {error}",
                retry_after=int(error.retry_after or 1),
                reason=Refusal.REGISTRY_UNAVAILABLE,
            ) from error
        if not fresh:
            raise InvalidClient("assertion: jti: it was used before", reason=Refusal.ASSERTION_REPLAYED)
        self._check_memory(once)  # after it was written: the registry may have been lost just then

    def _check_memory(self, once: OneUse) -> None:
        """One that may be older than the registry may have been used in an earlier one. A new one is let in."""
        since = self._memory.remembers_since
        missing = since.timestamp() - once.earliest
        if missing > 0:
            raise TemporarilyUnavailable(
                f"assertion: it may be {missing:.0f} s older than this registry, which began at {since.isoformat()}; "
                "expected a new one, with iat",
                retry_after=max(1, math.ceil(missing)),
                reason=Refusal.ASSERTION_FORGOTTEN,
            )

    def refuse_like_a_wrong_one(self, text: str) -> None:
        """Spend on an assertion of nobody what a wrong one of a client costs, so that time does not tell (E-02).

        Raises InvalidClient when it is malformed.
        """
        assertion = read_assertion(text)
        _verifies(Assertion({"alg": "ES256"}, {}, assertion.signed, assertion.signature), _NOBODYS_KEY)


def key_for(keys: tuple[Jwk, ...], kid: str | None, algorithm: str, at: datetime) -> Jwk | None:
    """The one key with this `kid` that may verify `algorithm`. Without a `kid` the set must hold one key alone (A-07).

    A key that has ended by its own `exp` is none.
    """
    usable = [key for key in keys if key.for_signatures and key.counts_at(at)]
    fitting = [key for key in usable if (kid is None or key.kid == kid) and algorithm in key.algorithms]
    if len(fitting) != 1 or (kid is None and len(usable) != 1):
        return None
    return fitting[0]


def _unsigned(why: str) -> InvalidClient:
    return InvalidClient(f"assertion: {why}", reason=Refusal.ASSERTION_SIGNATURE)


def _verifies(assertion: Assertion, key: Any) -> bool:
    try:
        return bool(_VERIFIERS[assertion.algorithm].verify(assertion.signed, key, assertion.signature))
    except (ValueError, TypeError):
        return False
