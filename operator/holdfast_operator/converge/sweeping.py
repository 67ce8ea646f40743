"""The whole registry compared with the objects: orphans go, what is outdated is written, then the registry is confirmed.

Owns the order of that, which is the order of what could let anybody in. Neighbours: `reconcile.sweep` compares,
`reconciler` writes one client.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from holdfast.registry.port import RegistryUnavailable, StaleTerm
from holdfast.registry.records import ClientSummary
from holdfast_operator.converge.concurrency import together
from holdfast_operator.converge.denials import Denials
from holdfast_operator.converge.drifts import Drifts
from holdfast_operator.converge.fenced_registry import FencedRegistry
from holdfast_operator.converge.namespaces import labels_of_namespaces
from holdfast_operator.converge.outcome import SweepResult
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.drift import DriftKind
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import Cluster, ClusterUnavailable, Conflict, Key, Kind, Rejected
from holdfast_operator.reconcile.settings import ReconcileSettings
from holdfast_operator.reconcile.sweep import Objects, compare

log = logging.getLogger(__name__)

SWEEP_WIDTH = 8
"""Outdated clients that a sweep writes at a time."""


class Sweep:
    """`digests`: of the registrations that are known to be as their objects ask, by key. `write`: one pass over a client.

    `is_there`: whether the object of a registration is, looked for live.
    """

    def __init__(
        self,
        cluster: Cluster,
        registry: FencedRegistry,
        config_maps: PolicyConfigMaps,
        denials: Denials,
        settings: ReconcileSettings,
        *,
        digests: Mapping[Key, str],
        write: Callable[[Key], Awaitable[object]],
        is_there: Callable[[ClientSummary], Awaitable[bool]],
        drifts: Drifts,
    ) -> None:
        self._cluster, self._registry, self._config_maps, self._denials = cluster, registry, config_maps, denials
        self._settings, self._digests, self._write, self._is_there = settings, digests, write, is_there
        self._drifts = drifts

    async def run(self) -> SweepResult:
        """Raises ClusterError, RegistryUnavailable, StaleTerm; then nothing is confirmed."""
        described = await self._registry.describe()
        registered = await self._registry.list_clients()
        found = compare(registered, await self._objects(), self._settings)
        orphans = await self._without_object(found.orphans)
        for orphan in orphans:
            log.info("client %s has no object any more: deleted", orphan.client_id)
            await self._registry.delete(orphan.client_id, orphan.owner.uid)
            self._drifts.count(DriftKind.ORPHAN)
        for released in await self._without_object(found.released):
            log.info("client %s has no object any more: it goes on as nobody's", released.client_id)
            await self._registry.release(released.client_id, released.owner.uid)
        await self._denials.before_clients()
        left = await self._write_outdated(found.outdated)
        if not described.confirmed:
            await self._registry.confirm()
        if not left:
            await self._denials.after_clients()
        return SweepResult(deleted=tuple(o.client_id for o in orphans), look_at=(*left, *found.look_at))

    async def _without_object(self, found: Iterable[ClientSummary]) -> list[ClientSummary]:
        """Those whose object is not there when it is looked for live: nobody loses a registration to a late event."""
        return [summary for summary in found if not await self._is_there(summary)]

    async def _objects(self) -> Objects:
        clients = await self._cluster.list(Kind.OAUTH_CLIENT)
        policies = await self._cluster.list(Kind.MTLS_POLICY)
        sources = await self._config_maps.of(policies)
        return Objects(
            clients=clients,
            policies=tuple(in_force(p, sources) for p in policies),
            namespaces=await labels_of_namespaces(self._cluster),
            digests=self._digests,
        )

    async def _write_outdated(self, keys: Iterable[Key]) -> tuple[Key, ...]:
        """Answers those that could not be written; one client's trouble does not keep the others from being confirmed."""
        width = asyncio.Semaphore(SWEEP_WIDTH)
        left: list[Key] = []

        async def one(key: Key) -> None:
            async with width:
                try:
                    await self._write(key)
                except (Conflict, Rejected):
                    left.append(key)
                except (StaleTerm, ClusterUnavailable, RegistryUnavailable):
                    raise  # true of every client: the sweep itself has failed
                except Exception:
                    log.exception("%s/%s could not be written by the sweep", key.namespace, key.name)
                    left.append(key)

        async with together() as group:
            for key in keys:
                group.create_task(one(key))
        return tuple(left)
