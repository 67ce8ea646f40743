"""The Lease as an object of `coordination.k8s.io/v1`, replaced whole under its resourceVersion.

Must not decide who may have it: `engine.lease` does.
"""

from datetime import UTC, datetime

from holdfast_operator.adapters.kubernetes_api import Json, KubernetesApi, NotFound, resource_path
from holdfast_operator.engine.lease import LeaseRecord
from holdfast_operator.reconcile.permission import Permission
from holdfast_operator.reconcile.ports import Conflict, Object

_LEASES = {"group": "coordination.k8s.io", "resource": "leases"}
PERMISSIONS = (
    Permission(**_LEASES, verbs=("create",), namespaced=True, why="RBAC cannot name an object that is about to be created"),
    Permission(**_LEASES, verbs=("get", "update"), namespaced=True, name="lease_name"),
)

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class KubernetesLeaseStore:
    """One Lease by namespace and name."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str) -> None:
        self._api, self._namespace, self._name = api, namespace, name

    async def read(self) -> LeaseRecord | None:
        try:
            return _record(await self._api.call("GET", self._path(self._name)))
        except NotFound:
            return None

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        body = self._object(record)
        try:
            if record.version is None:
                return _record(await self._api.call("POST", self._path(), body=body))
            return _record(await self._api.call("PUT", self._path(self._name), body=body))
        except NotFound as error:
            raise Conflict(f"Lease {self._namespace}/{self._name} is gone: {error}") from error

    def _path(self, *rest: str) -> str:
        return resource_path("coordination.k8s.io", "v1", "leases", self._namespace, rest)

    def _object(self, record: LeaseRecord) -> Object:
        metadata: Object = {"namespace": self._namespace, "name": self._name}
        if record.version is not None:
            metadata["resourceVersion"] = record.version
        spec = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.duration,
            "acquireTime": record.acquired_at.astimezone(UTC).strftime(_FORMAT),
            "renewTime": record.renewed_at.astimezone(UTC).strftime(_FORMAT),
            "leaseTransitions": record.transitions,
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _record(lease: Json) -> LeaseRecord:
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or None,
        duration=int(spec.get("leaseDurationSeconds") or 1),
        acquired_at=_moment(spec.get("acquireTime")),
        renewed_at=_moment(spec.get("renewTime")),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=lease["metadata"]["resourceVersion"],
    )


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC) if text else datetime.fromtimestamp(0, UTC)
