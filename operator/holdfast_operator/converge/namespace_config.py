"""One ConfigMap for each namespace with a client, so that its applications need nothing from outside it.

Owns its reads and writes, and knowing when all of them have to change. Decides nothing. Neighbours:
`reconcile.namespace_config` judges, the engine asks for a pass where a client came or went, or the ConfigMap changed.
"""

import logging

from holdfast.api.v1alpha1.conditions import Reason
from holdfast_operator.converge.drifts import Drifts
from holdfast_operator.converge.fenced_registry import FencedRegistry
from holdfast_operator.converge.outcome import Outcome
from holdfast_operator.converge.server_ca import ServerCa
from holdfast_operator.reconcile.drift import Drift, DriftKind
from holdfast_operator.reconcile.namespace_config import Remove, ServerConfig, Write, config_map, judge
from holdfast_operator.reconcile.permission import on
from holdfast_operator.reconcile.ports import Cluster, Kind, Object

log = logging.getLogger(__name__)

UNREADABLE_RETRY = 5.0
"""Seconds until the CA's file is looked at again."""
PERMISSIONS = (
    on(Kind.CONFIG_MAP, "create", why="RBAC cannot name an object that is about to be created"),
    on(Kind.CONFIG_MAP, "patch", "delete", name="config_map_name"),
)


class NamespaceConfigs:
    """`name`: of the ConfigMap in each namespace."""

    def __init__(self, cluster: Cluster, registry: FencedRegistry, server_ca: ServerCa, name: str, drifts: Drifts) -> None:
        self._cluster, self._registry, self._server_ca, self._name = cluster, registry, server_ca, name
        self._drifts = drifts
        self._told: dict[str, str] = {}
        self._left: dict[str, int] = {}
        """What each namespace's was last seen to say, where that was right: to have to write it again is another's doing."""
        self._last: ServerConfig | None = None

    async def changed(self) -> bool:
        """Whether what the ConfigMaps should say is another than at the last question. Raises RegistryUnavailable."""
        now, before = await self._config(), self._last
        self._last = now or before
        return before is not None and now is not None and before != now

    def forget(self) -> None:
        """Others may have written meanwhile."""
        self._left.clear()

    async def over(self, namespace: str) -> Outcome:
        """One pass over one namespace. Raises ClusterError, RegistryUnavailable."""
        live = await self._cluster.get(Kind.CONFIG_MAP, namespace, self._name)
        wanted = None
        if await self._has_clients(namespace):
            config = await self._config()
            if config is None:
                return Outcome(requeue_after=UNREADABLE_RETRY)
            wanted = config_map(namespace, self._name, config)
        return await self._carry_out(namespace, live, wanted)

    async def _carry_out(self, namespace: str, live: Object | None, wanted: Object | None) -> Outcome:
        left = self._left.pop(namespace, None)
        match judge(live, wanted):
            case None:
                if wanted is not None:
                    self._left[namespace] = _content(wanted)
                return Outcome(gone=wanted is None)
            case Write(intent):
                if live is None and await self._ends(namespace):
                    return Outcome(gone=True)
                await self._cluster.apply(Kind.CONFIG_MAP, intent)
            case Remove(name, uid):
                await self._cluster.delete(Kind.CONFIG_MAP, namespace, name, uid)
            case _:
                assert live is not None
                await self._tell(namespace, live)
                return Outcome()
        self._told.pop(namespace, None)
        if wanted is not None and left == _content(wanted):
            found = "deleted" if live is None else "changed"
            message = f"the ConfigMap {self._name} had been {found}: it says where the server is again"
            await self._drifts.tell(Kind.CONFIG_MAP, live or wanted, Drift(DriftKind.CONFIG_MAP, message))
        return Outcome(gone=wanted is None, wrote=True)

    async def _config(self) -> ServerConfig | None:
        """None: the CA cannot be read, and never could."""
        ca = self._server_ca.pem()
        return None if ca is None else ServerConfig((await self._registry.described()).endpoints, ca)

    async def _has_clients(self, namespace: str) -> bool:
        listed = await self._cluster.list(Kind.OAUTH_CLIENT, namespace)
        return any(not client["metadata"].get("deletionTimestamp") for client in listed)

    async def _ends(self, namespace: str) -> bool:
        found = await self._cluster.get(Kind.NAMESPACE, "", namespace)
        return found is None or bool(found["metadata"].get("deletionTimestamp"))

    async def _tell(self, namespace: str, live: Object) -> None:
        """Once for each that is in the way."""
        uid = str(live["metadata"].get("uid"))
        if self._told.get(namespace) == uid:
            return
        self._told[namespace] = uid
        message = (
            f"ConfigMap {self._name} is not Holdfast's and is left alone: applications of {namespace} do not find the "
            "server in it. Rename it, or have Holdfast use another name (setting config_map_name)"
        )
        await self._cluster.record_event(
            Kind.CONFIG_MAP, live, warning=True, reason=Reason.CONFIG_MAP_TAKEN, message=message
        )


def _content(config_map: Object) -> int:
    return hash(tuple(sorted(config_map["data"].items())))
