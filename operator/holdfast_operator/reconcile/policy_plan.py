"""What an MTLSPolicy's status should say: whether it is in force, whom it matches, who breaks it. Pure.

Neighbours: `policies` judges the object; the clients' own conditions say who is denied.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast.policy.decision import DenialReason
from holdfast_operator.reconcile.actions import Plan
from holdfast_operator.reconcile.conditions import conditions, with_kstatus
from holdfast_operator.reconcile.events import transitions
from holdfast_operator.reconcile.finding import Finding, fine, stalled, waiting
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.policies import PolicyInForce, in_force
from holdfast_operator.reconcile.policy_sources import ConfigMaps
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.status import is_same_status

FIRST = 10
"""As many violations are named; the count tells of all."""
_DENIALS = frozenset(str(r.value) for r in DenialReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPolicy:
    """`namespaces`: labels by name. `clients`: every OAuthClient there is."""

    policy: Object
    namespaces: Mapping[str, Mapping[str, str]]
    clients: tuple[Object, ...]
    now: datetime
    config_maps: ConfigMaps = field(default_factory=dict)
    denials_pending: str = ""
    """Why the registry does not hold what policies deny; empty: it does."""


def plan_policy(observed: ObservedPolicy) -> Plan:
    """Never raises on a bad object."""
    found = in_force(observed.policy, observed.config_maps)
    accepted = found.problem or fine(Reason.ACCEPTED, "valid")
    matched = [c for c in observed.clients if _matches(found, observed.namespaces, c)]
    status = {
        **_conditions(observed, accepted, _ready(found, observed.denials_pending)),
        "matchedClients": len(matched),
        "violations": _violations(found.name, matched),
        **_last_accepted(observed.policy, found),
    }
    before = dict(mapping(observed.policy.get("status")))
    same = is_same_status(status, before)
    return Plan(status=None if same else status, events=() if same else transitions(before, status))


def _ready(found: PolicyInForce, pending: str) -> Finding:
    if pending and found.policy is not None and (found.policy.denied_thumbprints or found.lists):
        return waiting(Reason.REGISTRY_UNAVAILABLE, f"what the policy denies is not in force yet: {pending}")
    if found.problem is None:
        return fine(Reason.ENFORCED, "applies to every client it matches")
    then = "its clients are denied" if found.policy is None else "the last accepted form stays in force"
    return stalled(found.problem.reason, f"{found.problem.message}; until then {then}")


def _conditions(observed: ObservedPolicy, accepted: Finding, ready: Finding) -> Object:
    generation = int(observed.policy["metadata"].get("generation") or 0)
    found = with_kstatus({ConditionType.ACCEPTED: accepted}, ready)
    return {
        "observedGeneration": generation,
        "conditions": conditions(found, observed.policy, generation, observed.now),
    }


def _matches(found: PolicyInForce, namespaces: Mapping[str, Mapping[str, str]], client: Object) -> bool:
    metadata = client["metadata"]
    return found.matches(namespaces.get(metadata["namespace"], {}), metadata.get("labels") or {})


def _violations(name: str, matched: list[Object]) -> Object:
    denied = sorted((c for c in matched if _is_denied(c, name)), key=lambda c: _place(c))
    return {
        "count": len(denied),
        "first": [
            {"namespace": place[0], "name": place[1], "message": str(condition(c, "Accepted").get("message") or "")}
            for c in denied[:FIRST]
            for place in [_place(c)]
        ],
    }


def _is_denied(client: Object, policy: str) -> bool:
    """Denied by what all its policies come to, of which this is one."""
    accepted = condition(client, "Accepted")
    names = mapping(mapping(client.get("status")).get("effectivePolicy")).get("names") or ()
    return accepted.get("status") == "False" and accepted.get("reason") in _DENIALS and policy in names


def _place(client: Object) -> tuple[str, str]:
    return client["metadata"]["namespace"], client["metadata"]["name"]


def _last_accepted(policy: Object, found: PolicyInForce) -> Object:
    if found.problem is None:
        anchors = [base64.b64encode(der).decode() for der in found.anchors]
        return {"lastAccepted": {"spec": policy.get("spec") or {}, **({"trustAnchors": anchors} if anchors else {})}}
    before = mapping(policy.get("status")).get("lastAccepted")
    return {"lastAccepted": before} if before else {}
