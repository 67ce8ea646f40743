"""A cluster as its events and its own writes show it: what a pass reads costs no request.

Owns what is answered from memory, and when that may be done: a kind is, once it was listed whole while its events were
taken in, and where its resourceVersions are numbers that say which is newer. ConfigMaps are kept one by one as they are
asked for, since a cluster may have many that concern nobody here. A write that shows that memory is behind has the object
read afresh. What a gap in the events hides is found by the next listing (`refresh`).
Neighbours: `shelf` keeps the objects; `adapters.kubernetes` is the cluster behind; the engine feeds it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

import orjson

from holdfast_operator.converge.shelf import Place, Shelf, place_of, version_of
from holdfast_operator.reconcile.permission import on
from holdfast_operator.reconcile.ports import Cluster, Conflict, Kind, Object

MIRRORED = (
    Kind.NAMESPACE,
    Kind.MTLS_POLICY,
    Kind.ISSUER,
    Kind.CLUSTER_ISSUER,
    Kind.CERTIFICATE,
    Kind.CERTIFICATE_REQUEST,
    Kind.OAUTH_CLIENT,
)
"""Kinds that are known whole."""
_FEW = frozenset({Kind.NAMESPACE, Kind.MTLS_POLICY})
"""Kinds whose objects every pass looks at: they are kept parsed as well."""
PERMISSIONS = (*(on(kind, "list") for kind in MIRRORED), on(Kind.CONFIG_MAP, "get"))
CONFIG_MAP_AGE = 600.0
"""Seconds for which a ConfigMap is believed where no event says that it changed."""


class Pages(Cluster, Protocol):
    """A cluster that lists without holding everything at once."""

    def each(self, kind: Kind, namespace: str | None = None, *, name: str = "") -> AsyncIterator[Object]:
        """Every object of a kind, or the one of that name, page by page. Raises ClusterUnavailable."""


PAGE = 500
"""Objects of a listing after which it pauses: as many as the cluster sends at once."""
PAUSE, LONGEST_RENEWAL = 5.0, 120.0
"""Seconds between two pages of a listing that nobody waits for, and of all its pauses: an API server keeps what it lists
from for some minutes."""

OnNews = Callable[[Kind, Object, bool], None]
"""Kind, object, and whether it is gone: what a listing shows that no event had."""
OnWrite = Callable[[Kind, Object, bool], None]
"""Kind, object as it is now, and whether somebody else had changed it meanwhile."""


class Mirror:
    """`holdfast_operator.reconcile.ports.Cluster`. Belongs to one event loop."""

    def __init__(self, cluster: Pages, *, config_map_age: float = CONFIG_MAP_AGE) -> None:
        self.on_write: OnWrite = lambda kind, obj, foreign: None
        """Told of each object that was written here; the event that says the same comes later and is nothing new."""
        self.on_news: OnNews = lambda kind, obj, deleted: None
        """Told of what a renewal finds; it has been taken in already."""
        self._cluster = cluster
        self._age = config_map_age
        self._shelves = {kind: Shelf(kind) for kind in MIRRORED}
        self._whole: set[Kind] = set()
        self._config_maps: dict[Place, tuple[float, bytes | None]] = {}
        self._changes: dict[Place, int] = {}
        self._parsed: dict[Kind, tuple[Object, ...]] = {}

    def observe(self, kind: Kind, obj: Object, *, deleted: bool = False) -> bool:
        """Take in an event; whether it says anything new."""
        if kind is Kind.CONFIG_MAP:
            self._keep_config_map(obj, deleted=deleted)
            return True
        if not version_of(obj):
            self._whole.discard(kind)
            return True
        shelf = self._shelves[kind]
        self._parsed.pop(kind, None)
        return shelf.drop(place_of(obj), version_of(obj)) if deleted else shelf.put(obj)

    @property
    def whole(self) -> bool:
        """Whether every mirrored kind was listed."""
        return len(self._whole) == len(MIRRORED)

    async def fill(self) -> None:
        """List every kind for the first time, those first that others are judged by. Raises ClusterUnavailable."""
        for kind in MIRRORED:
            await self.refresh(kind)

    async def renew(self) -> None:
        """List every kind afresh, and tell `on_news` what no event has shown. Takes its time. Raises ClusterUnavailable."""
        for kind in MIRRORED:
            pages = 1 + len(self._shelves[kind]) // PAGE
            await self.refresh(kind, self.on_news, min(PAUSE, LONGEST_RENEWAL / pages))

    async def refresh(self, kind: Kind, news: OnNews | None = None, pause: float = 0.0) -> None:
        """List everything of a kind, `pause` seconds apart from page to page.

        Raises ClusterUnavailable; then what was listed so far is known, and everything else stays as it was.
        """
        shelf, was_whole, comparable, count = self._shelves[kind], kind in self._whole, True, 0
        left = shelf.versions()
        async for obj in self._cluster.each(kind):
            comparable, count = comparable and bool(version_of(obj)), count + 1
            left.pop(place_of(obj), None)
            if shelf.put(obj) and news is not None:
                news(kind, obj, False)
            if pause and count % PAGE == 0:
                await asyncio.sleep(pause)
        self._drop_ghosts(kind, left, news)
        self._parsed.pop(kind, None)
        if was_whole:
            shelf.forget_deletions()
        if comparable:
            self._whole.add(kind)

    def _drop_ghosts(self, kind: Kind, left: Mapping[Place, int], news: OnNews | None) -> None:
        """`left`: what was known before a listing and was not in it. What has changed since then is no ghost."""
        shelf = self._shelves[kind]
        known = shelf.versions()
        for place in [place for place, version in left.items() if known.get(place) == version]:
            ghost = shelf.get(place)
            shelf.drop(place)
            if news is not None and ghost is not None:
                news(kind, ghost, True)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        if kind is Kind.CONFIG_MAP:
            return await self._config_map((namespace, name))
        if kind not in self._whole:
            return await self._one(kind, (namespace, name))
        return self._shelves[kind].get((namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        if kind not in self._whole:
            return await self._cluster.list(kind, namespace, labels)
        if kind in _FEW and namespace is None and not labels:
            if kind not in self._parsed:
                self._parsed[kind] = tuple(self._shelves[kind].all())
            return self._parsed[kind]
        found = self._shelves[kind].all(namespace)
        return [obj for obj in found if _has(obj, labels)] if labels else found

    async def apply(self, kind: Kind, obj: Object) -> Object:
        return self._written(kind, await self._cluster.apply(kind, obj), foreign=False)

    async def apply_status(self, kind: Kind, obj: Object) -> Object:
        before = None if kind is Kind.CONFIG_MAP else self._shelves[kind].get(place_of(obj))
        try:
            applied = await self._cluster.apply_status(kind, obj)
        except Conflict:
            await self.look_again(kind, place_of(obj))
            raise
        return self._written(kind, applied, foreign=before is None or _outline(before) != _outline(applied))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        await self._cluster.delete(kind, namespace, name, uid)
        await self.look_again(kind, (namespace, name))

    async def set_finalizers(self, kind: Kind, obj: Object, finalizers: Sequence[str]) -> Object | None:
        try:
            found = await self._cluster.set_finalizers(kind, obj, finalizers)
        except Conflict:
            await self.look_again(kind, place_of(obj))
            raise
        if found is None:
            self._shelves[kind].drop(place_of(obj))
            return None
        return self._written(kind, found, foreign=False)  # it tests that nobody else has written

    async def record_event(self, kind: Kind, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        await self._cluster.record_event(kind, obj, warning=warning, reason=reason, message=message)

    def _written(self, kind: Kind, obj: Object, *, foreign: bool) -> Object:
        if self.observe(kind, obj) and kind is not Kind.CONFIG_MAP:
            self.on_write(kind, obj, foreign)
        return obj

    async def look_again(self, kind: Kind, place: Place) -> None:
        """Read one object live, whatever is known of it. Raises ClusterUnavailable."""
        if kind is Kind.CONFIG_MAP:
            self._config_maps.pop(place, None)
            return
        found = await self._one(kind, place)
        if found is None:
            self._shelves[kind].drop(place)
        else:
            self.observe(kind, found)

    async def _one(self, kind: Kind, place: Place) -> Object | None:
        """Live, as a listing of one: who lists and watches a kind needs no other verb to read it."""
        namespace, name = place
        async for found in self._cluster.each(kind, namespace or None, name=name):
            return found
        return None

    async def _config_map(self, place: Place) -> Object | None:
        at, text = self._config_maps.get(place, (None, None))
        if at is not None and time.monotonic() - at < self._age:
            return None if text is None else orjson.loads(text)
        change = self._changes.setdefault(place, 0)
        found = await self._cluster.get(Kind.CONFIG_MAP, *place)
        if self._changes[place] == change:  # an event that came meanwhile is newer
            self._config_maps[place] = (time.monotonic(), None if found is None else orjson.dumps(found))
        return found

    def _keep_config_map(self, obj: Object, *, deleted: bool) -> None:
        """Only of those that were asked for."""
        place = place_of(obj)
        if place in self._changes:
            self._changes[place] += 1
            self._config_maps[place] = (time.monotonic(), None if deleted else orjson.dumps(obj))


def _has(obj: Object, labels: Mapping[str, str]) -> bool:
    found = obj["metadata"].get("labels") or {}
    return all(found.get(key) == value for key, value in labels.items())


def _outline(obj: Object) -> tuple[object, ...]:
    """What others write, of an object whose status is ours."""
    metadata = obj["metadata"]
    members = ("uid", "generation", "labels", "annotations", "finalizers", "deletionTimestamp")
    return (obj.get("spec"), *(metadata.get(member) for member in members))
