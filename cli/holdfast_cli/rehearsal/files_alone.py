"""Every declared client as the operator would judge it if the files were all there is, applied in their order.

Owns that order: the first to claim a client id, an audience or a Secret has it. Neighbours: `world`, `registry`; the
operator's `observe` and `plan`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast_cli.rehearsal.registry import ImaginedRegistry, first_holders, first_owners
from holdfast_cli.rehearsal.world import NoCluster, World, bare_namespace, key_of, stored_objects
from holdfast_operator.converge.observe import observe
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.shared_anchors import SharedAnchors
from holdfast_operator.reconcile.actions import ApplyCertificate, Plan
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.names import references
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One client and what its status would say. `owners_known`: whether each of its resources is a declared client's."""

    key: Key
    client: Object
    status: Object
    owners_known: bool
    config_maps: frozenset[str]
    """Those of its namespace that are declared."""

    def condition(self, kind: str) -> Mapping[str, Any]:
        """{} where it has none of that type."""
        return condition({"status": self.status}, kind)


def rehearse(declared: Mapping[Key, Object], settings: ReconcileSettings, now: datetime) -> list[Rehearsal]:
    """`declared`: valid objects with their defaults, in the order in which they would be applied."""
    return asyncio.run(_rehearse(declared, settings, now))


async def _rehearse(declared: Mapping[Key, Object], settings: ReconcileSettings, now: datetime) -> list[Rehearsal]:
    stage = _Stage(stored_objects(declared.items()), settings, now)
    return [await stage.apply(client) for client in stage.clients]


class _Stage:
    """The world while one client after the other comes into it."""

    def __init__(self, objects: Mapping[Key, Object], settings: ReconcileSettings, now: datetime) -> None:
        namespaces = {Key(Kind.NAMESPACE, "", key.namespace) for key in objects if key.namespace} - set(objects)
        self._declared = frozenset(objects)
        self._world = World({**objects, **{key: bare_namespace(key.name) for key in namespaces}}, NoCluster())
        self._settings, self._now = settings, now
        self.clients = [obj for key, obj in objects.items() if key.kind is Kind.OAUTH_CLIENT]
        self._owners = first_owners(self.clients, settings)
        self._registry = ImaginedRegistry(first_holders(self.clients, settings), self._owners)
        self._shared = SharedAnchors(self._world, lambda: now, settings.shared_anchors_age)
        self._config_maps = PolicyConfigMaps(self._world, lambda: now, settings.config_map_age)

    async def apply(self, client: Object) -> Rehearsal:
        """Judge it; a Certificate that it would have is there for those that come after it."""
        planned = await self._plan(client)
        for action in planned.actions:
            if isinstance(action, ApplyCertificate):
                self._world.add(key_of(Kind.CERTIFICATE, action.certificate), action.certificate)
        key = key_of(Kind.OAUTH_CLIENT, client)
        return Rehearsal(
            key=key,
            client=client,
            status=planned.status or {},
            owners_known=references(client).resources <= set(self._owners),
            config_maps=frozenset(
                k.name for k in self._declared if (k.kind, k.namespace) == (Kind.CONFIG_MAP, key.namespace)
            ),
        )

    async def _plan(self, client: Object) -> Plan:
        return plan(
            await observe(
                client,
                cluster=self._world,
                registry=self._registry,
                shared_anchors=self._shared,
                policy_config_maps=self._config_maps,
                settings=self._settings,
                now=self._now,
            )
        )
