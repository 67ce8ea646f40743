"""What the endpoints need from the rest of the server, put together once in `app.py`."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.clock import Clock
from holdfast.oauth.claims import AccessTokenClaims
from holdfast.oauth.errors import InvalidClient, InvalidRequest, TemporarilyUnavailable, TooManyFailures
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient, ClientAuthentication
from holdfast_authserver.client_authentication.presented import read_credentials
from holdfast_authserver.client_authentication.throttle import FailureThrottle
from holdfast_authserver.endpoints.decisions import Decisions
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.urls import ServerUrls
from holdfast_authserver.grants.grant import Grants
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.signing_key import SigningKey, SigningKeyError
from holdfast_authserver.metrics import Metrics
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.snapshot import Snapshot
from holdfast_authserver.registry.startup_hold import StartupHold
from holdfast_authserver.tokens import TokenReader


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointContext:
    """Shared by the endpoints of all listeners. `default_lifetime`: seconds of a token whose client does not say."""

    urls: ServerUrls
    keeper: RegistryKeeper
    keys: KeyRing
    reader: TokenReader
    authentication: ClientAuthentication
    throttle: FailureThrottle
    grants: Grants
    hold: StartupHold
    audit: AuditLog
    metrics: Metrics
    decisions: Decisions
    clock: Clock
    default_lifetime: int
    max_staleness: float
    """Seconds; what the registry said longer ago answers nobody."""
    ready_staleness: float
    """Seconds after which the server says that it is not ready."""

    def signing_key(self, algorithm: str | None = None) -> SigningKey:
        """The key in use: of `algorithm`, else of the first one. Raises TemporarilyUnavailable when there is none."""
        try:
            return self.keys.signing(algorithm)
        except SigningKeyError as error:
            raise TemporarilyUnavailable(f"signing key: {error}", reason=Refusal.SIGNING_KEY) from error

    def read_token(self, token: str) -> AccessTokenClaims | None:
        """What a token of this server says; None for every other text. Raises TemporarilyUnavailable without any key."""
        claims = self.reader.read(token, self.keys, self.urls.issuer)
        if claims is None and not self.keys.published():
            raise TemporarilyUnavailable("the keys have not been read yet", reason=Refusal.SIGNING_KEY)
        return claims

    async def authenticate(self, received: Received, at: datetime) -> AuthenticatedClient:
        """The same at every direct endpoint (M-09).

        Raises InvalidClient, InvalidRequest, UnauthorizedClient, TemporarilyUnavailable, TooManyFailures.
        """
        if received.form is None:
            raise InvalidRequest("the form was not read")
        self.check_fresh()
        presented = read_credentials(received.form, received.authorization, received.chain)
        received.named_client = presented.client_id
        attempt = received.attempt_of(presented.client_id)
        try:
            self.throttle.check(attempt, at)
            snapshot = self.keeper.snapshot
            client = await self.authentication.authenticate(presented, snapshot, at)
        except InvalidClient:
            self.throttle.failed(attempt, at)
            raise
        except TooManyFailures:
            self.metrics.event("request_throttled")
            raise
        self.throttle.succeeded(attempt)
        self._check_unchanged(client, snapshot)
        return client

    def _check_unchanged(self, client: AuthenticatedClient, seen: Snapshot) -> None:
        """A client can hold its own request up, by the endpoint of its keys: what was taken away meanwhile is gone.

        Raises TemporarilyUnavailable.
        """
        now = self.keeper.snapshot
        if now is seen:
            return
        was, found = client.served, now.clients.get(client.served.metadata.client_id)
        same = found is was or (found and (found.since, found.metadata.digest) == (was.since, was.metadata.digest))
        if not same or (client.thumbprint in now.denied_thumbprints and client.thumbprint not in seen.denied_thumbprints):
            raise TemporarilyUnavailable("the client was changed while it authenticated", retry_after=1)

    def check_fresh(self) -> None:
        """Raises TemporarilyUnavailable."""
        age = self.keeper.age
        if age > self.max_staleness:
            detail = f"the registry was last seen {age:.0f} s ago, max_staleness is {self.max_staleness:.0f} s"
            raise TemporarilyUnavailable(detail, retry_after=5, reason=Refusal.REGISTRY_STALE)

    def check_hold(self) -> None:
        """Raises TemporarilyUnavailable."""
        self.check_fresh()
        if not self.hold.over(self.keeper.snapshot):
            raise TemporarilyUnavailable(
                "the registry has not been confirmed since it was opened", reason=Refusal.REGISTRY_UNCONFIRMED
            )
