"""Objects that are declared, over those that a cluster has: what is declared counts.

Owns what a server would fill in of a declared object. Reads only. Neighbour: `plan`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from holdfast_operator.reconcile.ports import ClusterReads, Key, Kind, Object

_ISSUERS = (Kind.ISSUER, Kind.CLUSTER_ISSUER)


class NoCluster:
    """Files alone. Issuers are taken to be there: they are the platform's, and seldom stand beside clients."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        if kind not in _ISSUERS or not name:
            return None
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        return []


class Remembered:
    """A cluster at one moment: what was asked once is not asked again."""

    def __init__(self, cluster: ClusterReads) -> None:
        self._cluster = cluster
        self._found: dict[Key, Object | None] = {}
        self._listed: dict[tuple[Any, ...], Sequence[Object]] = {}

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        key = Key(kind, namespace, name)
        if key not in self._found:
            self._found[key] = await self._cluster.get(kind, namespace, name)
        return self._found[key]

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        asked = (kind, namespace, tuple(sorted((labels or {}).items())))
        if asked not in self._listed:
            self._listed[asked] = await self._cluster.list(kind, namespace, labels)
        return self._listed[asked]


class World:
    """`declared`: by key, as `as_stored` gives them."""

    def __init__(self, declared: Mapping[Key, Object], beneath: ClusterReads) -> None:
        self._declared = dict(declared)
        self._beneath = beneath

    def add(self, key: Key, obj: Object) -> None:
        """Count one more object as declared."""
        self._declared[key] = obj

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        found = self._declared.get(Key(kind, namespace, name))
        return found if found is not None else await self._beneath.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        beneath = [o for o in await self._beneath.list(kind, namespace, labels) if key_of(kind, o) not in self._declared]
        wanted = (labels or {}).items()
        ours = [
            obj
            for key, obj in self._declared.items()
            if key.kind is kind
            and namespace in (None, key.namespace)
            and wanted <= (obj["metadata"].get("labels") or {}).items()
        ]
        return [*beneath, *ours]


def key_of(kind: Kind, obj: Object) -> Key:
    """Where the object is kept."""
    return Key(kind, str(obj["metadata"].get("namespace") or "") if kind.namespaced else "", obj["metadata"]["name"])


def as_stored(key: Key, declared: Object, live: Object | None = None) -> Object:
    """The object as the server would have it after an apply; a change of its content is a new generation.

    What `declared` does not say of labels and annotations stays, as with an apply by another owner of those.
    """
    if live is None:
        fresh = {"uid": f"new:{key.kind.plural}/{key.namespace}/{key.name}", "generation": 1}
        return {**declared, "metadata": {**declared["metadata"], **fresh}}
    kept, own = live["metadata"], declared["metadata"]
    metadata = {**kept, **own} | {m: {**(kept.get(m) or {}), **(own.get(m) or {})} for m in ("labels", "annotations")}
    if _content(live) != _content(declared):
        metadata["generation"] = int(kept.get("generation") or 0) + 1
        metadata.pop("resourceVersion", None)  # that of the live content: what is remembered by it is not this object's
    return {**declared, "metadata": metadata, **({"status": live["status"]} if "status" in live else {})}


def _content(obj: Object) -> dict[str, Any]:
    return {member: value for member, value in obj.items() if member not in ("metadata", "status")}


def stored_objects(declared: Iterable[tuple[Key, Object]]) -> dict[Key, Object]:
    """Objects that nobody has applied before; of several documents of one object the last counts, as with an apply."""
    return {key: as_stored(key, obj) for key, obj in declared}


def bare_namespace(name: str) -> Object:
    """As bare as the API server makes it."""
    metadata = {"name": name, "labels": {"kubernetes.io/metadata.name": name}}
    return {"apiVersion": Kind.NAMESPACE.api_version, "kind": Kind.NAMESPACE.kind, "metadata": metadata}
