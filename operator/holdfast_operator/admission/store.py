"""What the injector knows of the cluster: namespaces, policies, and who claims what. Kept warm by watches and listings.

Owns taking in events and listings, and reading again what a refusal rests on: an event may be late, and what is certain
has to be so now. Neighbours: `claimants` and `ruling` hold, `review` asks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Protocol

from holdfast.clock import Clock
from holdfast_operator.admission.claimants import Claimants, claimant_of, key_of
from holdfast_operator.admission.objection import ALL_POLICIES
from holdfast_operator.admission.ruling import Ruling, RulingPolicies
from holdfast_operator.admission.world import World
from holdfast_operator.reconcile.ports import ClusterReads, Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

FOLLOWED = (Kind.NAMESPACE, Kind.MTLS_POLICY, Kind.OAUTH_CLIENT)
"""Kinds that are watched. ConfigMaps are read when one is needed."""

_A_TURN = 100
"""Clients that are taken in before the event loop does something else: some milliseconds."""

Place = tuple[str, str]


class Reads(ClusterReads, Protocol):
    """The reading half of a cluster, with listings that need not fit into memory."""

    def each(self, kind: Kind) -> AsyncIterator[Object]:
        """All objects of a kind, one after the other. Raises ClusterUnavailable."""


class Store:
    """Belongs to one event loop."""

    def __init__(self, reads: Reads, settings: ReconcileSettings, clock: Clock) -> None:
        self.claimants = Claimants()
        self.policies = RulingPolicies(reads, clock)
        self.listed = False
        """Whether everything was listed once. Before that, what is not known says nothing."""
        self._namespaces: dict[str, dict[str, str]] = {}
        self._touched: set[Key] = set()
        self._reads, self._settings, self._clock = reads, settings, clock

    def observe(self, kind: Kind, obj: Object, *, deleted: bool = False) -> None:
        """One object, as an event shows it."""
        if kind is Kind.OAUTH_CLIENT:
            self._touched.add(key_of(obj))
        match kind:
            case Kind.NAMESPACE if deleted:
                self._namespaces.pop(obj["metadata"]["name"], None)
            case Kind.NAMESPACE:
                self._namespaces[obj["metadata"]["name"]] = dict(obj["metadata"].get("labels") or {})
            case Kind.MTLS_POLICY:
                self.policies.observe(obj, deleted=deleted)
            case Kind.OAUTH_CLIENT if deleted:
                self.claimants.drop(key_of(obj))
            case Kind.OAUTH_CLIENT:
                self.claimants.put(claimant_of(obj))
            case _:
                pass

    async def list_all(self) -> None:
        """Everything afresh, which finds what a watch has missed. Raises ClusterUnavailable."""
        for kind in FOLLOWED:
            await self._list(kind)
        self.listed = True

    async def _list(self, kind: Kind) -> None:
        match kind:
            case Kind.NAMESPACE:
                listed = [namespace async for namespace in self._reads.each(kind)]
                self._namespaces = {o["metadata"]["name"]: dict(o["metadata"].get("labels") or {}) for o in listed}
            case Kind.MTLS_POLICY:
                self.policies.replace([policy async for policy in self._reads.each(kind)])
            case _:
                await self._list_clients()

    async def _list_clients(self) -> None:
        """But for those that an event has shown since the listing began: it may be newer. Thousands take a while, so a page
        of them is in memory at a time, and reviews have their turn in between."""
        self._touched.clear()
        listed: set[Key] = set()
        async for client in self._reads.each(Kind.OAUTH_CLIENT):
            key = key_of(client)
            listed.add(key)
            if key not in self._touched:
                self.claimants.put(claimant_of(client))
            if len(listed) % _A_TURN == 0:
                await asyncio.sleep(0)
        for gone in self.claimants.keys() - listed - self._touched:
            self.claimants.drop(gone)

    async def read_again(self, keys: Iterable[Key]) -> None:
        """Have these, and the sources of policies, as they are now. Raises ClusterUnavailable."""
        wanted = set(keys)
        if ALL_POLICIES in wanted:
            self.policies.forget_sources()
            await self._list(Kind.MTLS_POLICY)
        await asyncio.gather(*(self._read(key) for key in wanted - {ALL_POLICIES}))

    async def _read(self, key: Key) -> None:
        found = await self._reads.get(key.kind, key.namespace, key.name)
        gone = {"metadata": {"namespace": key.namespace, "name": key.name}}
        self.observe(key.kind, found or gone, deleted=found is None)

    async def config_maps(self, places: Iterable[Place]) -> dict[Place, Object | None]:
        """As they are now; None: not found. Raises ClusterUnavailable."""
        wanted = sorted(set(places))
        found = await asyncio.gather(*(self._reads.get(Kind.CONFIG_MAP, *place) for place in wanted))
        return dict(zip(wanted, found, strict=True))

    def knows_namespace(self, name: str) -> bool:
        """Whether its labels are known."""
        return name in self._namespaces

    def world(self, ruling: Ruling, config_maps: dict[Place, Object | None]) -> World:
        """What a change is judged against, now."""
        return World(
            namespaces=self._namespaces,
            policies=ruling.policies,
            claimants=self.claimants,
            settings=self._settings,
            now=self.now(),
            config_maps=config_maps,
            shared_keys=ruling.shared_keys,
        )

    def now(self) -> datetime:
        """The moment."""
        return self._clock()
