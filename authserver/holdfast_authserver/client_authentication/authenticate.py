"""The phase every direct endpoint shares: from what a request presents to a client that is who it says.

The method is the one in the client's record, never guessed from what was sent (M-07, M-46). Unknown, suspended and
wrongly authenticated clients cannot be told apart from outside (E-02).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, Protocol

from holdfast.oauth.errors import InvalidClient, InvalidRequest, UnauthorizedClient
from holdfast.policy.model import MTLS_METHODS
from holdfast_authserver.client_authentication import tls_client_auth
from holdfast_authserver.client_authentication.presented import PresentedCredentials
from holdfast_authserver.registry.snapshot import ServedClient, Snapshot


class Method(Protocol):
    """How a client proves who it is."""

    async def verify(self, client: ServedClient, presented: PresentedCredentials, at: datetime) -> datetime | None:
        """The moment at which the certificate that tokens are bound to ends (None: no certificate). Raises InvalidClient."""


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that proved who it is. `method`: how.

    `thumbprint` and `expires` are of the certificate on the connection, whichever method: a token may be bound to it
    (RFC 8705 section 3). None: there is none to bind to.
    """

    served: ServedClient
    method: str
    thumbprint: str | None
    expires: datetime | None


class ClientAuthentication:
    """The table of methods; the metadata document is computed from it."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {tls_client_auth.NAME: tls_client_auth.TlsClientAuth()}

    async def authenticate(self, presented: PresentedCredentials, snapshot: Snapshot, at: datetime) -> AuthenticatedClient:
        """Raises InvalidClient, InvalidRequest (two methods at once, M-08), UnauthorizedClient (a policy says no)."""
        client = snapshot.clients.get(presented.client_id)
        if client is None:
            raise InvalidClient("unknown client")
        if client.metadata.suspended:
            raise InvalidClient("the client is suspended")
        name = client.metadata.token_endpoint_auth_method
        method = self.methods.get(name)
        if method is None:
            raise InvalidClient(f"method {name!r} is not served")
        expires = await method.verify(client, presented, at)
        if presented.explicit and name in MTLS_METHODS:
            _refuse_second(presented.explicit[0])
        if not client.decision.allowed:
            raise UnauthorizedClient(f"policy: {client.decision.reason}: {client.decision.message}")
        thumbprint = None if presented.chain is None else presented.chain.thumbprint
        return AuthenticatedClient(client, name, thumbprint, expires)


def _refuse_second(explicit: str) -> NoReturn:
    """Only who proved to be the client by its certificate is told that something stands beside it (M-08, E-02)."""
    raise InvalidRequest(f"{explicit} beside a client certificate", description="use one authentication method")
