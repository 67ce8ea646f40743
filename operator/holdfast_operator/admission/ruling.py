"""The policies in force, made anew when one of them, or a ConfigMap that one names, has changed.

Owns that memory: reading a policy and its certificates takes longer than judging a client by it.
Neighbours: `store` feeds it with what watches show, `reconcile.policies` owns the forms of a policy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.clock import Clock
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.policies import PolicyInForce, config_maps_of, in_force, pinned_keys
from holdfast_operator.reconcile.ports import ClusterReads, ClusterUnavailable, Object

SOURCES_AGE = 10.0
"""Seconds for which a policy's ConfigMap is used before it is read again: there is no watch on all of a cluster's."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """`shared_keys`: SHA-256 of the public keys of the anchors that policies pin."""

    policies: tuple[PolicyInForce, ...] = ()
    shared_keys: frozenset[str] = frozenset()


class RulingPolicies:
    """Events in, the policies in force out."""

    def __init__(self, reads: ClusterReads, clock: Clock) -> None:
        self._sources = PolicyConfigMaps(reads, clock, SOURCES_AGE)
        self._objects: dict[str, Object] = {}
        self._made_of: tuple[dict[str, Object], Mapping[tuple[str, str], Object | None]] | None = None
        self._ruling = Ruling()

    def observe(self, policy: Object, *, deleted: bool = False) -> None:
        """One of them, as an event shows it."""
        name = policy["metadata"]["name"]
        if deleted:
            self._objects.pop(name, None)
        else:
            self._objects[name] = policy

    def replace(self, policies: Iterable[Object]) -> None:
        """All of them, as a listing shows them."""
        self._objects = {policy["metadata"]["name"]: policy for policy in policies}

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def last(self) -> Ruling:
        """As they were made last, whatever has changed since; none before the first time."""
        return self._ruling

    def forget_sources(self) -> None:
        """Have every ConfigMap read anew."""
        for place in config_maps_of(self._objects.values()):
            self._sources.changed(*place)

    async def current(self) -> Ruling:
        """While the API server is away: as their sources were read last, and where they never were, by their last
        accepted forms, which need none."""
        objects = dict(self._objects)
        try:
            sources: Mapping[tuple[str, str], Object | None] = await self._sources.of(objects.values())
        except ClusterUnavailable:
            sources = {} if self._made_of is None else self._made_of[1]
        if (objects, sources) != self._made_of:
            policies = tuple(in_force(obj, sources) for obj in objects.values())
            self._ruling, self._made_of = Ruling(policies, pinned_keys(policies)), (objects, sources)
        return self._ruling
