"""Objects as they would be written: without what a server fills in, and without what tools leave behind.

Owns that cut, and the order: policies, then clients by name. Neighbour: `holdfast_cli.export`.
"""

from collections.abc import Collection

from holdfast_operator.reconcile.ports import ClusterReads, Kind, Object

_TOOLS = ("kubectl.kubernetes.io/last-applied-configuration",)
"""Annotations that say again what the object says."""


async def export_objects(cluster: ClusterReads, namespaces: Collection[str]) -> list[Object]:
    """Every MTLSPolicy, and the OAuthClients of these namespaces, or of all. Raises ClusterUnavailable."""
    policies = sorted(await cluster.list(Kind.MTLS_POLICY), key=_order)
    clients = sorted(await cluster.list(Kind.OAUTH_CLIENT), key=_order)
    wanted = [c for c in clients if not namespaces or c["metadata"]["namespace"] in namespaces]
    return [as_written(obj) for obj in [*policies, *wanted] if not obj["metadata"].get("deletionTimestamp")]


def _order(obj: Object) -> tuple[str, str]:
    return str(obj["metadata"].get("namespace") or ""), obj["metadata"]["name"]


def as_written(obj: Object) -> Object:
    """What a person would keep of it."""
    metadata = {m: obj["metadata"][m] for m in ("name", "namespace", "labels") if obj["metadata"].get(m)}
    annotations = {k: v for k, v in (obj["metadata"].get("annotations") or {}).items() if k not in _TOOLS}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, "spec": obj["spec"]}
