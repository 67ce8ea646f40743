"""From a request to the client that sent it: the phase that every direct endpoint shares (M-09).

Owns the order: is the registry fresh, has this peer failed too often, is the client who it says, and is it so still.
Neighbours: `client_authentication/` knows the methods, `received.py` has read the request.
"""

from datetime import datetime

from holdfast.oauth.errors import (
    InvalidClient,
    InvalidRequest,
    TemporarilyUnavailable,
    TooManyFailures,
    UnauthorizedClient,
)
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient, ClientAuthentication
from holdfast_authserver.client_authentication.presented import read_credentials
from holdfast_authserver.client_authentication.throttle import FailureThrottle
from holdfast_authserver.endpoints.availability import Availability
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.metrics import Metrics
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.snapshot import Snapshot


class RequestAuthentication:
    """Of one server; all its listeners share the counts of failures."""

    def __init__(
        self,
        methods: ClientAuthentication,
        throttle: FailureThrottle,
        keeper: RegistryKeeper,
        availability: Availability,
        metrics: Metrics,
    ) -> None:
        self._methods = methods
        self._throttle = throttle
        self._keeper = keeper
        self._availability = availability
        self._metrics = metrics

    async def __call__(self, received: Received, at: datetime) -> AuthenticatedClient:
        """Raises InvalidClient, InvalidRequest, UnauthorizedClient, TemporarilyUnavailable, TooManyFailures."""
        if received.form is None:
            raise InvalidRequest("the form was not read")
        self._availability.check_fresh()
        presented = read_credentials(received.form, received.authorization, received.chain)
        received.named_client = presented.client_id
        attempt = received.attempt_of(presented.client_id)
        try:
            self._throttle.check(attempt, at)
            snapshot = self._keeper.snapshot
            client = await self._methods.authenticate(presented, snapshot, at)
        except InvalidClient:
            self._throttle.failed(attempt, at)
            raise
        except TooManyFailures:
            self._metrics.event("request_throttled")
            raise
        except UnauthorizedClient:
            received.proven = True  # only then it learns that a policy denies it
            raise
        received.proven = True
        self._throttle.succeeded(attempt)
        self._check_unchanged(client, snapshot)
        return client

    def _check_unchanged(self, client: AuthenticatedClient, seen: Snapshot) -> None:
        """A client can hold its own request up, by the endpoint of its keys: what was taken away meanwhile is gone.

        Raises TemporarilyUnavailable.
        """
        now = self._keeper.snapshot
        if now is seen:
            return
        was, found = client.served, now.clients.get(client.served.metadata.client_id)
        same = found is was or (found and (found.since, found.metadata.digest) == (was.since, was.metadata.digest))
        if not same or (client.thumbprint in now.denied_thumbprints and client.thumbprint not in seen.denied_thumbprints):
            raise TemporarilyUnavailable("the client was changed while it authenticated", retry_after=1)
