"""The phase every direct endpoint shares: from what a request presents to a client that is who it says.

The method is the one in the client's record, never guessed from what was sent (M-07, M-46). Unknown, suspended and
wrongly authenticated clients cannot be told apart from outside (E-02).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, NoReturn, Protocol

from holdfast.oauth.errors import InvalidClient, InvalidRequest, UnauthorizedClient
from holdfast.oauth.refusal import Refusal
from holdfast.policy.model import MTLS_METHODS
from holdfast_authserver.client_authentication import private_key_jwt, self_signed_tls_client_auth, tls_client_auth
from holdfast_authserver.client_authentication.presented import CLIENT_ASSERTION, PresentedCredentials
from holdfast_authserver.client_authentication.private_key_jwt import AssertionMemory, PrivateKeyJwt
from holdfast_authserver.client_authentication.proof import Proof
from holdfast_authserver.client_authentication.registered_keys import RegisteredKeys
from holdfast_authserver.client_authentication.self_signed_tls_client_auth import SelfSignedTlsClientAuth
from holdfast_authserver.client_authentication.tls_client_auth import TlsClientAuth
from holdfast_authserver.registry.snapshot import ServedClient, Snapshot


class Method(Protocol):
    """How a client proves who it is."""

    async def verify(self, client: ServedClient, presented: PresentedCredentials, at: datetime) -> Proof:
        """Raises InvalidClient."""


class AuthenticatedClient(NamedTuple):
    """A client that proved who it is. `method`: how.

    `thumbprint` and `expires` are of the certificate on the connection, whichever method: a token may be bound to it
    (RFC 8705 section 3). `thumbprint` None: there is none to bind to. `expires` None: no end limits a token.
    `holds_until`: as the `Proof` has it.
    """

    served: ServedClient
    method: str
    thumbprint: str | None
    expires: datetime | None
    holds_until: datetime | None = None


class ClientAuthentication:
    """The table of methods; the metadata document is computed from it.

    `by_path`: of clients with a CA. `keys`: of clients that registered theirs. `memory`: of assertions that were used.
    `issuer`: what they have to be made for. `signing_algorithms`: what they may be signed with.
    """

    def __init__(
        self,
        by_path: TlsClientAuth,
        keys: RegisteredKeys,
        memory: AssertionMemory,
        *,
        issuer: str,
        signing_algorithms: tuple[str, ...],
    ) -> None:
        self.signing_algorithms = signing_algorithms
        self._keys = keys
        self._by_assertion = PrivateKeyJwt(keys, memory, issuer, signing_algorithms)
        self.methods: Mapping[str, Method] = {
            tls_client_auth.NAME: by_path,
            self_signed_tls_client_auth.NAME: SelfSignedTlsClientAuth(keys),
            private_key_jwt.NAME: self._by_assertion,
        }

    async def authenticate(self, presented: PresentedCredentials, snapshot: Snapshot, at: datetime) -> AuthenticatedClient:
        """Raises InvalidClient, InvalidRequest (two methods at once, M-08), UnauthorizedClient (a policy says no), and
        TemporarilyUnavailable where an assertion cannot be held against those that were used.
        """
        client = snapshot.clients.get(presented.client_id)
        if client is None or client.metadata.suspended:
            self._refuse(presented, client)
        name = client.metadata.token_endpoint_auth_method
        method = self.methods.get(name)
        if method is None:
            raise InvalidClient(f"method {name!r} is not served", reason=Refusal.METHOD_NOT_SERVED)
        if name in MTLS_METHODS:
            thumbprint, proof = await _by_certificate(method, client, presented, snapshot, at)
        else:
            thumbprint, proof = await _explicitly(method, client, presented, snapshot, at)
        if not client.decision.allowed:
            raise UnauthorizedClient(f"policy: {client.decision.reason}: {client.decision.message}")
        return AuthenticatedClient(client, name, thumbprint, proof.expires, proof.holds_until)

    async def close(self) -> None:
        """End the fetches that are going on."""
        await self._keys.close()

    def _refuse(self, presented: PresentedCredentials, client: ServedClient | None) -> NoReturn:
        if presented.assertion is not None:
            self._by_assertion.refuse_like_a_wrong_one(presented.assertion)
        if client is None:
            raise InvalidClient("unknown client", reason=Refusal.UNKNOWN_CLIENT)
        raise InvalidClient("the client is suspended", reason=Refusal.CLIENT_SUSPENDED)


async def _by_certificate(
    method: Method, client: ServedClient, presented: PresentedCredentials, snapshot: Snapshot, at: datetime
) -> tuple[str | None, Proof]:
    thumbprint = None if presented.chain is None else presented.chain.thumbprint
    if thumbprint in snapshot.denied_thumbprints:
        raise InvalidClient(f"certificate {thumbprint} is denied", reason=Refusal.CERTIFICATE_DENIED)
    proof = await method.verify(client, presented, at)
    if presented.explicit:
        # Said only to one who proved to be the client, so that a secret in the dark tells nobody who exists (E-02).
        raise InvalidRequest(
            f"{presented.explicit[0]} beside a client certificate",
            description="use one authentication method",
            reason=Refusal.SEVERAL_METHODS,
        )
    return thumbprint, proof


async def _explicitly(
    method: Method, client: ServedClient, presented: PresentedCredentials, snapshot: Snapshot, at: datetime
) -> tuple[str | None, Proof]:
    """A certificate that is merely on the connection is no second method (M-08); a denied one is as none at all."""
    if presented.explicit not in ((), (CLIENT_ASSERTION,)):
        raise InvalidClient(f"{presented.explicit[0]} is not the method of this client", reason=Refusal.WRONG_METHOD)
    proof = await method.verify(client, presented, at)
    if proof.expires is None or presented.chain is None or presented.chain.thumbprint in snapshot.denied_thumbprints:
        return None, Proof(None)
    return presented.chain.thumbprint, proof
