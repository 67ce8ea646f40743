"""What a pass tells people: the status of the object, and the events of its transitions.

Owns how both are written, for every kind. Must not decide what they say (`reconcile`).
"""

import logging
from collections.abc import Iterable

from holdfast.api.v1alpha1.conditions import ConditionType
from holdfast_operator.converge.drifts import Drifts
from holdfast_operator.reconcile.actions import Event, Plan
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.permission import Permission, on
from holdfast_operator.reconcile.ports import Cluster, Kind, Object

log = logging.getLogger(__name__)

PERMISSIONS = (
    on(Kind.OAUTH_CLIENT, "patch", subresource="status"),
    on(Kind.MTLS_POLICY, "patch", subresource="status"),
    Permission(group="events.k8s.io", resource="events", verbs=("create",), namespaced=True),
)


async def write_status(cluster: Cluster, kind: Kind, obj: Object, planned: Plan, drifts: Drifts) -> bool:
    """Whether there was anything to write. Raises ClusterError."""
    if planned.status is None:
        drifts.left(kind, obj)
    else:
        await _write(cluster, kind, obj, planned.status, drifts)
        _log(kind, obj, planned.status)
    await record(cluster, kind, obj, planned.events)
    return planned.status is not None


async def _write(cluster: Cluster, kind: Kind, obj: Object, status: Object, drifts: Drifts) -> None:
    found = drifts.of_status(kind, obj)
    drifts.forget_status(kind, obj)  # a write that fails may have been made
    metadata = {k: obj["metadata"][k] for k in ("namespace", "name") if k in obj["metadata"]}
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "status": status}
    drifts.left(kind, await cluster.apply_status(kind, body))
    if found is not None:
        await drifts.tell(kind, obj, found)


def _log(kind: Kind, obj: Object, status: Object) -> None:
    """What became of an object, once for each change of its status."""
    metadata, ready = obj["metadata"], condition({"status": status}, ConditionType.READY)
    name = "/".join(part for part in (kind.kind, metadata.get("namespace"), metadata["name"]) if part)
    decision = f"Ready={ready.get('status')} {ready.get('reason')}"
    about = {"object": name, "generation": metadata.get("generation"), "decision": decision}
    log.info("%s: %s: %s", name, decision, ready.get("message"), extra=about)


async def record(cluster: Cluster, kind: Kind, obj: Object, events: Iterable[Event]) -> None:
    """Events of an object, best effort."""
    for event in events:
        await cluster.record_event(kind, obj, warning=event.warning, reason=event.reason, message=event.message)
