"""The ConfigMaps that policies refer to, read when they are first needed and again when they have changed.

Every pass over every client looks at them, and a CRL may have a megabyte, so they are kept until an event says that they
changed, and never longer than `max_age`. Owns that memory. Neighbours: `observe` asks, the engine passes events on.
"""

import asyncio
from collections.abc import Iterable

from holdfast.clock import Clock
from holdfast_operator.reconcile.policies import config_maps_of
from holdfast_operator.reconcile.ports import ClusterReads, Kind, Object

Place = tuple[str, str]


class PolicyConfigMaps:
    """`max_age`: seconds, for what a watch may have missed."""

    def __init__(self, cluster: ClusterReads, clock: Clock, max_age: float) -> None:
        self._cluster, self._clock, self._max_age = cluster, clock, max_age
        self._kept: dict[Place, tuple[float, Object | None]] = {}
        self._changes: dict[Place, int] = {}

    def changed(self, namespace: str, name: str) -> None:
        """What is kept of it, or being read right now, is not to be used again."""
        place = (namespace, name)
        self._kept.pop(place, None)
        if place in self._changes:
            self._changes[place] += 1

    async def of(self, policies: Iterable[Object]) -> dict[Place, Object | None]:
        """Everything that these policies, in any of their forms, refer to. Raises ClusterUnavailable."""
        places = sorted(config_maps_of(policies))
        found = await asyncio.gather(*(self._get(place) for place in places))
        return dict(zip(places, found, strict=True))

    async def _get(self, place: Place) -> Object | None:
        now = self._clock().timestamp()
        made, kept = self._kept.get(place, (None, None))
        if made is not None and 0 <= now - made < self._max_age:
            return kept
        change = self._changes.setdefault(place, 0)
        found = await self._cluster.get(Kind.CONFIG_MAP, *place)
        if self._changes[place] == change:
            self._kept[place] = (now, found)
        return found
