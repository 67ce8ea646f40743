"""Findings to conditions, in the form that kstatus and people read.

Owns which condition is in the way of Ready, when Reconciling and Stalled are there, and that a transition time changes
only with its status. Pure. Neighbour: `holdfast.api.v1alpha1.conditions` owns the words.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast_operator.reconcile.finding import Finding, fine, stalled, waiting
from holdfast_operator.reconcile.issued import timestamp
from holdfast_operator.reconcile.ports import Object

Condition = dict[str, Any]  # a condition in its wire form
MAX_MESSAGE = 1024
"""Characters; conditions are read in terminals."""


_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*", re.DOTALL)


def presentable(message: str) -> str:
    """As conditions and events may show it: of bounded length, and without the key that somebody put into a wrong field."""
    return _PRIVATE_KEY.sub("(a private key, left out)", message)[:MAX_MESSAGE]


def first_in_the_way(findings: Iterable[Finding]) -> Finding | None:
    """The first finding that does not hold: its reason is the reason of Ready."""
    return next((f for f in findings if f.holds is not True), None)


def with_kstatus(findings: Mapping[ConditionType, Finding], ready: Finding) -> dict[ConditionType, Finding]:
    """Add Ready in front, and Stalled or Reconciling where work cannot or can go on by itself."""
    extra: dict[ConditionType, Finding] = {}
    if ready.holds is not True and ready.stalled:
        extra[ConditionType.STALLED] = fine(ready.reason, ready.message)
    elif ready.holds is not True:
        extra[ConditionType.RECONCILING] = fine(ready.reason, ready.message)
    return {ConditionType.READY: ready, **findings, **extra}


def conditions(found: Mapping[ConditionType, Finding], before: Object, generation: int, now: datetime) -> list[Condition]:
    """`before`: the object as it was read, whose transition times are kept where the status is the same."""
    old = {c.get("type"): c for c in (before.get("status") or {}).get("conditions") or ()}
    return [_condition(kind, finding, old.get(str(kind), {}), generation, now) for kind, finding in found.items()]


def _condition(kind: ConditionType, finding: Finding, old: Mapping[str, Any], generation: int, now: datetime) -> Condition:
    status = {True: "True", False: "False", None: "Unknown"}[finding.holds]
    changed = old.get("status") != status or not old.get("lastTransitionTime")
    return {
        "type": str(kind),
        "status": status,
        "reason": str(finding.reason),
        "message": presentable(finding.message),
        "observedGeneration": generation,
        "lastTransitionTime": timestamp(now) if changed else old["lastTransitionTime"],
    }


def suspended() -> Finding:
    """All is as it was asked for, which a rollout that suspends a client waits for."""
    return fine(Reason.SUSPENDED, "spec.suspend is true: every request is refused")


def ready(in_the_way: Finding | None, *, suspend: bool, reservation: str = "") -> Finding:
    """Ready of a client. `reservation`: what it says instead where something is left out."""
    if in_the_way is not None:
        make = stalled if in_the_way.stalled else waiting
        return make(in_the_way.reason, in_the_way.message)
    return suspended() if suspend else fine(Reason.READY, reservation or "the client can get tokens")
