"""What requests are served from: an immutable picture of the registry, replaced as a whole when something changed.

Owns the values and how rows become them. Must not know where rows come from (see `reading`).
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.decision import Decision
from holdfast.policy.evaluate import evaluate_client
from holdfast.policy.model import EffectivePolicy
from holdfast.x509.certificate import Certificate, CertificateError
from holdfast.x509.chain import PathError
from holdfast_authserver.registry.anchors import parse_anchors
from holdfast_authserver.registry.claims import allowed_audiences

_LOG = logging.getLogger(__name__)

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ServedClient:
    """A live client with all that a request needs to know of it, judged once, when it changed.

    `decision`: whether its policy lets it be what it is; a denied client is known and gets nothing. `since`: when this
    object took the client id, so that tokens of an earlier holder of the id can be told apart.
    """

    metadata: ClientMetadata
    policy: EffectivePolicy
    decision: Decision
    anchors: tuple[Certificate, ...]
    since: datetime
    audiences: tuple[str, ...] = ()
    """What it owns as an API: those of its `resourceServer` that it may own."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`instance_created`: tokens issued earlier are of a lost registry.

    `confirmed`: since this process opened it a writer has compared every client with its object.
    """

    revision: int
    instance: str
    instance_created: datetime
    clients: Mapping[str, ServedClient]
    confirmed: bool
    owners: Mapping[str, str] = field(repr=False)
    """Audience to the id of the client that owns it."""
    denied_thumbprints: frozenset[str] = frozenset()
    """Certificates (`x5t#S256`) that no client may use."""
    revocation_lists: tuple[bytes, ...] = field(default=(), repr=False)
    """CRLs (DER), whoever brought them: each speaks for the CA that signed it alone."""
    departed: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Ids of clients deleted lately, and when: tokens issued to them before are dead, also to those who knew them."""
    as_of: datetime = NEVER
    """When the store last said that this is current."""

    def audience_owner(self, audience: str) -> ServedClient | None:
        """The client whose `resourceServer` names this audience and may."""
        owner = self.owners.get(audience)
        return None if owner is None else self.clients.get(owner)


@dataclass(frozen=True, slots=True)
class ClientChange:
    """A client as it is now; `metadata` None: deleted."""

    client_id: str
    metadata: ClientMetadata | None
    policy: EffectivePolicy | None
    since: datetime
    deleted_at: datetime | None = None


def apply_changes(
    clients: Mapping[str, ServedClient], owners: Mapping[str, str], changes: Iterable[ClientChange]
) -> tuple[Mapping[str, ServedClient], Mapping[str, str]]:
    """Clients and owners of audiences after the changes, as new read-only mappings."""
    served, owned = dict(clients), dict(owners)
    found = {change.client_id: _serve(change) for change in changes}
    # All that leave before all that come: an audience may go from one client to another in one step.
    for client_id in found:
        before = served.pop(client_id, None)
        for audience in before.audiences if before else ():
            del owned[audience]
    for client_id, client in found.items():
        if client is not None:
            served[client.metadata.client_id] = client  # its own string: a second one for each would take memory
            owned.update(dict.fromkeys(client.audiences, client_id))
    return MappingProxyType(served), MappingProxyType(owned)


def apply_departures(departed: Mapping[str, datetime], changes: Iterable[ClientChange]) -> Mapping[str, datetime]:
    """Who has left, after the changes; whoever took the id again has not."""
    found = dict(departed)
    for change in changes:
        found.pop(change.client_id, None)
        if change.deleted_at is not None:
            found[change.client_id] = change.deleted_at
    return MappingProxyType(found)


def _serve(change: ClientChange) -> ServedClient | None:
    metadata, policy = change.metadata, change.policy
    if metadata is None or policy is None:
        return None
    try:
        anchors = parse_anchors(metadata.trust_anchors)
    except (CertificateError, PathError) as error:
        _LOG.error("client %s is not served: a stored trust anchor is %s", metadata.client_id, error)
        return None
    audiences = allowed_audiences(metadata, policy)
    return ServedClient(metadata, policy, evaluate_client(metadata, policy), anchors, change.since, audiences)
