"""What an action puts right that somebody else had changed or deleted, as opposed to what the object asks for anew. Pure.

Owns telling the two apart, by what the status says that was in place: same generation, same policies, and yet there is
something to write. What cannot be told for sure is not called drift, and put right all the same. Neighbours: `actions`;
`converge.drifts` tells.
"""

from dataclasses import dataclass, fields
from enum import StrEnum

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast.oauth.client_metadata import ClientMetadata
from holdfast_operator.reconcile.actions import Action, ApplyCertificate, Event, PutClient
from holdfast_operator.reconcile.certificate import find_certificate
from holdfast_operator.reconcile.certificate_intent import differing
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.policies import effective_policy, in_force
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.registration import is_of_this_life, own_record


class DriftKind(StrEnum):
    """What somebody else had touched; the label of a metric."""

    REGISTRATION = "Registration"
    CERTIFICATE = "Certificate"
    CONFIG_MAP = "ConfigMap"
    STATUS = "Status"
    DENIALS = "Denials"
    ORPHAN = "Orphan"
    """A registration without an object."""


@dataclass(frozen=True, slots=True)
class Drift:
    """`message`: what was found, for people."""

    kind: DriftKind
    message: str

    @property
    def event(self) -> Event:
        return Event(True, Reason.DRIFT_CORRECTED, self.message)


def drift_corrected_by(action: Action, observed: Observed) -> Drift | None:
    """What `action` puts right in the world as it was before it; None: it does what is asked for anew."""
    match action:
        case PutClient(wanted, policy, False):
            was_right = _holds(observed.client, ConditionType.REGISTERED) and _policy_shown(observed.client) == policy.hash
            return _registration(wanted, observed) if was_right else None
        case ApplyCertificate(intent):
            had_one = bool(mapping(mapping(observed.client.get("status")).get("certificate")).get("secretName"))
            was_right = had_one and _holds(observed.client, ConditionType.CERTIFICATE_READY)
            return _certificate(intent, observed) if was_right and _same_policy(observed) else None
        case _:
            return None


def _registration(wanted: ClientMetadata, observed: Observed) -> Drift | None:
    stored, shown = own_record(observed), mapping(mapping(observed.client.get("status")).get("registration"))
    if stored is None:
        message = "the authorization server did not have the client any more: it is registered again"
        return Drift(DriftKind.REGISTRATION, message)
    if not is_of_this_life(stored, observed.client) or stored.revision == shown.get("revision"):
        return None  # as we wrote it: what it is made from has changed, such as a certificate
    changed = ", ".join(f.name for f in fields(wanted) if getattr(wanted, f.name) != getattr(stored.metadata, f.name))
    message = f"the client's registration had been changed by another writer ({changed}): it is as the object asks again"
    return Drift(DriftKind.REGISTRATION, message)


def _certificate(intent: Object, observed: Observed) -> Drift:
    live, name = find_certificate(observed), intent["metadata"]["name"]
    if live is None:
        return Drift(DriftKind.CERTIFICATE, f"the Certificate {name} had been deleted: it is asked for again")
    changed = ", ".join(differing(intent, live))
    return Drift(DriftKind.CERTIFICATE, f"the Certificate {name} had been changed ({changed}): it is as asked for again")


def _holds(client: Object, kind: ConditionType) -> bool:
    """Whether the status says so of the spec as it is now."""
    generation = client["metadata"].get("generation")
    current = mapping(client.get("status")).get("observedGeneration") == generation
    return current and condition(client, kind).get("status") == "True"


def _policy_shown(client: Object) -> object:
    return mapping(mapping(client.get("status")).get("effectivePolicy")).get("hash")


def _same_policy(observed: Observed) -> bool:
    policies = [in_force(p, observed.policy_config_maps) for p in observed.policies]
    labels = observed.client["metadata"].get("labels") or {}
    policy = effective_policy(policies, observed.namespace_labels, labels, observed.settings)
    return _policy_shown(observed.client) == policy.hash
