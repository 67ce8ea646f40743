"""Drift told: an event at the object, a line in the log, a count. And what statuses were left as, to see who changes them.

Owns the memory of statuses, which ends with leadership: another leader's writes are no drift. Neighbours:
`reconcile.drift` says what is drift; `reconciler`, `namespace_config`, `denials` and `sweeping` find it, `metrics` counts.
"""

import hashlib
import logging
from collections.abc import Callable

import orjson

from holdfast_operator.reconcile.drift import Drift, DriftKind
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Cluster, Key, Kind, Object

log = logging.getLogger(__name__)


class Drifts:
    """One for each reconciler."""

    def __init__(self, cluster: Cluster) -> None:
        self.on_correction: Callable[[DriftKind], None] = lambda kind: None
        """Told of each that was put right."""
        self._cluster = cluster
        self._statuses: dict[Key, tuple[str, bytes]] = {}
        """Uid and digest: an object that was made anew under a name has no status that anybody could have changed."""

    async def tell(self, kind: Kind, obj: Object, drift: Drift) -> None:
        """It was put right; `obj`: whom it concerns. Best effort."""
        metadata = obj["metadata"]
        log.warning("%s %s/%s: %s", kind.kind, metadata.get("namespace") or "", metadata["name"], drift.message)
        self.on_correction(drift.kind)
        await self.record(kind, obj, drift)

    async def record(self, kind: Kind, obj: Object, drift: Drift) -> None:
        """One event, of what concerns several objects and is counted once. Best effort."""
        told = drift.event
        await self._cluster.record_event(kind, obj, warning=told.warning, reason=told.reason, message=told.message)

    def count(self, kind: DriftKind) -> None:
        """Put right, and there is no object to tell it at."""
        self.on_correction(kind)

    def of_status(self, kind: Kind, obj: Object) -> Drift | None:
        """Whether the status, as it was read, is another than the one that was left."""
        left = self._statuses.get(_key(kind, obj))
        if left is None or left[0] != _uid(obj) or left[1] == _digest(obj):
            return None
        return Drift(DriftKind.STATUS, "the status had been changed by another writer: it is what was observed again")

    def left(self, kind: Kind, obj: Object) -> None:
        """The object has the status that it should have."""
        self._statuses[_key(kind, obj)] = _uid(obj), _digest(obj)

    def forget_status(self, kind: Kind, obj: Object) -> None:
        """What it is now is not known, or it is gone."""
        self._statuses.pop(_key(kind, obj), None)

    def forget(self) -> None:
        """Others may have written meanwhile."""
        self._statuses.clear()


def _key(kind: Kind, obj: Object) -> Key:
    return Key(kind, obj["metadata"].get("namespace") or "", obj["metadata"]["name"])


def _digest(obj: Object) -> bytes:
    """Eight bytes: of ten thousand objects there are as many."""
    said = orjson.dumps(mapping(obj.get("status")), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).digest()[:8]


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid") or "")
