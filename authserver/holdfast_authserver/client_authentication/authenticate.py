"""The phase every direct endpoint shares: from what a request presents to a client that is who it says.

The method is the one in the client's record, never guessed from what was sent (M-07, M-46). Unknown, suspended and
wrongly authenticated clients cannot be told apart from outside (E-02).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from holdfast.oauth.errors import InvalidClient, InvalidRequest, UnauthorizedClient
from holdfast.policy.model import MTLS_METHODS
from holdfast_authserver.client_authentication import tls_client_auth
from holdfast_authserver.client_authentication.presented import PresentedCredentials
from holdfast_authserver.registry.snapshot import ServedClient, Snapshot
from holdfast_authserver.transport.presented import PresentedChain


class Method(Protocol):
    """How a client proves who it is."""

    def verify(self, client: ServedClient, chain: PresentedChain | None, at: datetime) -> datetime:
        """The moment at which the proof ends. Raises InvalidClient."""


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that proved who it is. `thumbprint`, `expires`: of the certificate it proved it with."""

    served: ServedClient
    thumbprint: str
    expires: datetime


class ClientAuthentication:
    """The table of methods; the metadata document is computed from it."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {tls_client_auth.NAME: tls_client_auth.TlsClientAuth()}

    def authenticate(self, presented: PresentedCredentials, snapshot: Snapshot, at: datetime) -> AuthenticatedClient:
        """Raises InvalidClient, InvalidRequest (two methods at once, M-08), UnauthorizedClient (a policy says no)."""
        client = snapshot.clients.get(presented.client_id)
        if presented.explicit:
            _refuse_explicit(presented, client)
        if client is None:
            raise InvalidClient("unknown client")
        if client.metadata.suspended:
            raise InvalidClient("the client is suspended")
        method = self.methods.get(client.metadata.token_endpoint_auth_method)
        if method is None:
            raise InvalidClient(f"method {client.metadata.token_endpoint_auth_method!r} is not served")
        expires = method.verify(client, presented.chain, at)
        if not client.decision.allowed:
            raise UnauthorizedClient(f"policy: {client.decision.reason}: {client.decision.message}")
        assert presented.chain is not None  # every method of the table verified one
        return AuthenticatedClient(client, presented.chain.thumbprint, expires)


def _refuse_explicit(presented: PresentedCredentials, client: ServedClient | None) -> None:
    """Nobody is registered with an explicit method; with a certificate beside it, it is a second one (M-08)."""
    by_certificate = client is None or client.metadata.token_endpoint_auth_method in MTLS_METHODS
    if by_certificate and presented.chain is not None:
        raise InvalidRequest(
            f"{presented.explicit[0]} beside a client certificate", description="use one authentication method"
        )
    raise InvalidClient(f"{presented.explicit[0]} is not the method of this client")
