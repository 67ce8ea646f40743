"""What an MTLSPolicy's status should say: whether it is in force, whom it matches, who breaks it. Pure.

Neighbours: `policies` judges the object, `census` finds who breaks it; the clients' own conditions say who is denied.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast.policy.model import PolicyMode
from holdfast_operator.reconcile.actions import Plan
from holdfast_operator.reconcile.census import Count
from holdfast_operator.reconcile.conditions import conditions, with_kstatus
from holdfast_operator.reconcile.events import transitions
from holdfast_operator.reconcile.finding import Finding, fine, stalled, waiting
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.policies import PolicyInForce
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.status import is_same_status

FIRST = 20
"""As many violations are named; the count tells of all."""
MAX_MESSAGE = 1024
"""Characters of one violation: twenty of them have to stay readable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPolicy:
    """`found`: how the object was judged. `count`: whom it matches, and who breaks it."""

    policy: Object
    found: PolicyInForce
    now: datetime
    count: Count = field(default_factory=Count)
    denials_pending: str = ""
    """Why the registry does not hold what policies deny; empty: it does."""


def plan_policy(observed: ObservedPolicy) -> Plan:
    """Never raises on a bad object."""
    found = observed.found
    accepted = found.problem or fine(Reason.ACCEPTED, "valid")
    status = {
        **_conditions(observed, accepted, _ready(found, observed.denials_pending)),
        "matchedClients": observed.count.matched,
        "violations": _violations(observed.count),
        **_last_accepted(observed.policy, found),
    }
    before = dict(mapping(observed.policy.get("status")))
    same = is_same_status(status, before)
    return Plan(status=None if same else status, events=() if same else transitions(before, status))


def _ready(found: PolicyInForce, pending: str) -> Finding:
    denies = found.policy is not None and found.enforced and (found.policy.denied_thumbprints or found.lists)
    if pending and denies:
        return waiting(Reason.REGISTRY_UNAVAILABLE, f"what the policy denies is not in force yet: {pending}")
    if found.problem is None:
        return _in_mode(found.mode)
    return stalled(found.problem.reason, f"{found.problem.message}; until then {_until_then(found)}")


def _in_mode(mode: PolicyMode) -> Finding:
    match mode:
        case PolicyMode.ENFORCE:
            return fine(Reason.ENFORCED, "applies to every client it matches")
        case PolicyMode.WARN:
            return fine(Reason.OBSERVED, "mode Warn: tells clients that break it, and refuses nobody")
        case PolicyMode.AUDIT:
            return fine(Reason.OBSERVED, "mode Audit: counts clients that break it, and refuses nobody")


def _until_then(found: PolicyInForce) -> str:
    if found.policy is not None:
        return "the last accepted form stays in force"
    return "its clients are denied" if found.enforced else "nobody is judged by it"


def _conditions(observed: ObservedPolicy, accepted: Finding, ready: Finding) -> Object:
    generation = int(observed.policy["metadata"].get("generation") or 0)
    found = with_kstatus({ConditionType.ACCEPTED: accepted}, ready)
    return {
        "observedGeneration": generation,
        "conditions": conditions(found, observed.policy, generation, observed.now),
    }


def _violations(count: Count) -> Object:
    return {
        "count": len(count.broken),
        "first": [
            {"namespace": namespace, "name": name, "message": count.broken[namespace, name][:MAX_MESSAGE]}
            for namespace, name in sorted(count.broken)[:FIRST]
        ],
    }


def _last_accepted(policy: Object, found: PolicyInForce) -> Object:
    if found.problem is None:
        anchors = [base64.b64encode(der).decode() for der in found.anchors]
        return {"lastAccepted": {"spec": policy.get("spec") or {}, **({"trustAnchors": anchors} if anchors else {})}}
    before: Mapping[str, object] | None = mapping(policy.get("status")).get("lastAccepted")
    return {"lastAccepted": before} if before else {}
