"""What the endpoints need from the rest of the server, put together once in `app.py`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from holdfast.clock import Clock
from holdfast.oauth.errors import InvalidRequest, TemporarilyUnavailable
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient, ClientAuthentication
from holdfast_authserver.client_authentication.presented import read_credentials
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.urls import ServerUrls
from holdfast_authserver.grants.grant import Grants
from holdfast_authserver.metrics import Metrics
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.snapshot import Snapshot
from holdfast_authserver.signing import SigningKey, SigningKeyError, SigningKeys
from holdfast_authserver.tokens import TokenReader


class StartupHold:
    """Holds tokens back after a start until the operator has confirmed the registry, for at most so many seconds.

    A client that was released while the server was down is swept before it can get a token.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = monotonic() + seconds
        self._over = False

    def over(self, snapshot: Snapshot) -> bool:
        """Whether tokens may be issued. Once over, it stays over."""
        if not self._over:
            self._over = snapshot.confirmed or self._monotonic() >= self._until
        return self._over


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointContext:
    """Shared by the endpoints of all listeners. `default_lifetime`: seconds of a token whose client does not say."""

    urls: ServerUrls
    keeper: RegistryKeeper
    keys: SigningKeys
    reader: TokenReader
    authentication: ClientAuthentication
    grants: Grants
    hold: StartupHold
    audit: AuditLog
    metrics: Metrics
    clock: Clock
    default_lifetime: int

    @property
    def key(self) -> SigningKey:
        """The key of the registry instance that is served now. Raises TemporarilyUnavailable when it cannot be kept."""
        try:
            return self.keys.of_instance(self.keeper.snapshot.instance)
        except SigningKeyError as error:
            raise TemporarilyUnavailable(f"signing key: {error}") from error

    def authenticate(self, received: Received, at: datetime) -> AuthenticatedClient:
        """The same at every direct endpoint (M-09). Raises InvalidClient, InvalidRequest, UnauthorizedClient."""
        if received.form is None:
            raise InvalidRequest("the form was not read")
        presented = read_credentials(received.form, received.authorization, received.chain)
        return self.authentication.authenticate(presented, self.keeper.snapshot, at)

    def check_hold(self) -> None:
        """Raises TemporarilyUnavailable."""
        if not self.hold.over(self.keeper.snapshot):
            raise TemporarilyUnavailable("the registry has not been confirmed since the start")
