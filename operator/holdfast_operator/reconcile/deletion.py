"""How an object goes: its registration first, then its finalizer, and never hostage to a registry that is away.

Pure. What is released while the registry cannot be reached is deleted by the sweep at its return.
"""

from holdfast.api.v1alpha1.conditions import Reason
from holdfast_operator.reconcile.actions import FINALIZER, Action, Event, Plan, RemoveFinalizer
from holdfast_operator.reconcile.issued import moment
from holdfast_operator.reconcile.names import deletion_policy_of
from holdfast_operator.reconcile.observed import Observed, RegistryUnreachable
from holdfast_operator.reconcile.registration import end, is_of_this_life, own_record

ASK_AGAIN = 2.0
"""Seconds between two attempts while a deletion waits."""


def plan_deletion(observed: Observed) -> Plan:
    """Of an object with a deletionTimestamp. Its status is left alone."""
    if FINALIZER not in (observed.client["metadata"].get("finalizers") or ()):
        return Plan()
    if isinstance(observed.registry, RegistryUnreachable):
        return _without_registry(observed, observed.registry)
    stored = own_record(observed)
    actions: list[Action] = []
    if stored is not None:
        own = is_of_this_life(stored, observed.client)
        actions.append(end(stored, deletion_policy_of(observed.client) if own else stored.metadata.deletion_policy))
    return Plan(actions=(*actions, RemoveFinalizer()))


def _without_registry(observed: Observed, registry: RegistryUnreachable) -> Plan:
    since = moment(observed.client["metadata"]["deletionTimestamp"]) or observed.now
    left = observed.settings.release_after - (observed.now - since).total_seconds()
    if left > 0:
        return Plan(requeue_after=min(ASK_AGAIN, left))
    message = f"let go while the registration could not be ended ({registry.message}); it is at the server's return"
    return Plan(actions=(RemoveFinalizer(),), events=(Event(True, Reason.REGISTRY_UNAVAILABLE, message),))
