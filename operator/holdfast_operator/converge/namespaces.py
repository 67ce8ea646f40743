"""The labels of all namespaces, which policies select by."""

from holdfast_operator.reconcile.ports import Cluster, Kind


async def labels_of_namespaces(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Labels by the name of the namespace. Raises ClusterUnavailable."""
    listed = await cluster.list(Kind.NAMESPACE)
    return {n["metadata"]["name"]: dict(n["metadata"].get("labels") or {}) for n in listed}
