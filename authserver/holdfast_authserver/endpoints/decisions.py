"""Where a decision is told: one line of the audit log, and the counts, both under the same words.

Owns which members every line has, so that a decision can be explained later: who, by which method, with which certificate,
under which policy, by which revision of the registry, from where. Must not decide. Neighbours: `surface.py` tells
refusals, the endpoints tell what they granted.
"""

from collections.abc import Callable
from typing import Any

from holdfast.oauth.errors import OAuthError
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.client_authentication.authenticate import AuthenticatedClient
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.metrics import Metrics
from holdfast_authserver.registry.snapshot import Snapshot
from holdfast_authserver.transport.presented import ignored_certificate


class Decisions:
    """Shared by all endpoints. `snapshot`: what is served now. `remote_address`: whether lines name the peer's (no port)."""

    def __init__(
        self, audit: AuditLog, metrics: Metrics, snapshot: Callable[[], Snapshot], *, remote_address: bool = True
    ) -> None:
        self._audit = audit
        self._metrics = metrics
        self._snapshot = snapshot
        self._remote_address = remote_address

    def tell(self, event: str, received: Received, client: AuthenticatedClient, **members: Any) -> None:
        """Something was granted to a client, or answered. Members of None are left out."""
        self._audit.record(
            event,
            received.decision,
            client_id=client.served.metadata.client_id,
            method=client.method,
            thumbprint=client.thumbprint,
            **members,
            policy=client.served.metadata.policy,
            revision=self._snapshot().revision,
            remote=self._remote(received),
            ignored=ignored_certificate(received.scope),
        )

    def refused(self, endpoint: str, received: Received, error: OAuthError, *, audited: bool) -> None:
        """An endpoint said no. What the caller claims to be is written as a claim: `client_id` may be anybody's."""
        claimed = received.claimed_client_id
        snapshot = self._snapshot()
        served = None if claimed is None else snapshot.clients.get(claimed)
        self._metrics.refused(endpoint, error, None if served is None else claimed)
        if not audited:
            return
        self._audit.record(
            f"{endpoint}.refused",
            received.decision,
            client_id=claimed,
            method=None if served is None else served.metadata.token_endpoint_auth_method,
            thumbprint=None if received.chain is None else received.chain.thumbprint,
            error=error.code,
            reason=error.reason,
            detail=error.detail or None,
            policy=None if served is None else served.metadata.policy,
            revision=snapshot.revision,
            remote=self._remote(received),
            ignored=ignored_certificate(received.scope),
        )

    def _remote(self, received: Received) -> str | None:
        peer = received.scope.get("client") if self._remote_address else None
        return None if peer is None else str(peer[0])
