"""What people should hear of: transitions, each once, with the reasons of the conditions.

Pure: compares the status as it was read with the one about to be written.
"""

from typing import Any

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast_operator.reconcile.actions import Event
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Object

_QUIET = frozenset({Reason.CERTIFICATE_PENDING, Reason.REGISTRATION_PENDING})
"""What every client passes through on its way. Ready after nothing else is no news to who reads the status, and an event
would be a write for each new client."""


def transitions(before: Object, after: Object) -> tuple[Event, ...]:
    """`before`, `after`: statuses."""
    return (
        *_of_ready(before, after),
        *_of_warning(before, after),
        *_of_certificate(before, after),
        *_of_expiry(before, after),
    )


def _of_ready(before: Object, after: Object) -> tuple[Event, ...]:
    was, now = _condition(before, ConditionType.READY), _condition(after, ConditionType.READY)
    if (was.get("status"), was.get("reason")) == (now.get("status"), now.get("reason")):
        return ()
    if now.get("reason") in _QUIET or (now.get("status") == "True" and (not was or was.get("reason") in _QUIET)):
        return ()
    return (Event(now.get("status") != "True", str(now["reason"]), str(now["message"])),)


def _of_warning(before: Object, after: Object) -> tuple[Event, ...]:
    was, now = _condition(before, ConditionType.ACCEPTED), _condition(after, ConditionType.ACCEPTED)
    if now.get("reason") != Reason.POLICY_WARNING or was.get("reason") == Reason.POLICY_WARNING:
        return ()
    return (Event(True, str(now["reason"]), str(now["message"])),)


def _of_certificate(before: Object, after: Object) -> tuple[Event, ...]:
    was, now = _thumbprint(before), _thumbprint(after)
    if not now or not was or was == now:
        return ()  # of the first one cert-manager tells at the Certificate, and the status here
    return (Event(False, str(Reason.CERTIFICATE_RENEWED), f"certificate with x5t#S256 {now}"),)


def _of_expiry(before: Object, after: Object) -> tuple[Event, ...]:
    """Once for each certificate: the message names it, and says the same as long as it is that one."""
    kind = ConditionType.CERTIFICATE_EXPIRING
    was, now = _condition(before, kind), _condition(after, kind)
    if not now or was.get("message") == now.get("message"):
        return ()
    return (Event(True, str(now["reason"]), str(now["message"])),)


def _condition(status: Object, kind: ConditionType) -> dict[str, Any]:
    found = (c for c in status.get("conditions") or () if c.get("type") == kind)
    return next(found, {})


def _thumbprint(status: Object) -> str:
    """Of a certificate that was issued: of one that the client registered itself there is nothing to tell."""
    shown = mapping(status.get("certificate"))
    return str(shown.get("thumbprint") or "") if shown.get("secretName") else ""
