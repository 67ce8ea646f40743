"""The reconciler: observe, plan, carry the first action out, plan again with what came of it, write the status.

Owns the order of I/O around `plan` and nothing of the decisions. A failure is an observation: the plan made with it
says what the status tells and when to come back. Neighbours: `engine` calls it, `cluster` and `registry` are ports.
"""

import asyncio
from weakref import WeakValueDictionary

from holdfast.clock import Clock, system_clock
from holdfast.oauth.client_metadata import DeletionPolicy
from holdfast.registry.port import Registry
from holdfast.registry.records import ClientSummary, RegistryDescription, StoredClient
from holdfast_operator.converge.denials import Denials
from holdfast_operator.converge.drifts import Drifts
from holdfast_operator.converge.execution import Execution
from holdfast_operator.converge.fenced_registry import FencedRegistry
from holdfast_operator.converge.mirror import Mirror
from holdfast_operator.converge.namespace_config import NamespaceConfigs
from holdfast_operator.converge.observe import observe
from holdfast_operator.converge.outcome import Outcome, SweepResult
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.policy_pass import PolicyPass
from holdfast_operator.converge.server_ca import ServerCa
from holdfast_operator.converge.shared_anchors import SharedAnchors
from holdfast_operator.converge.sweeping import Sweep
from holdfast_operator.converge.telling import record, write_status
from holdfast_operator.reconcile.drift import drift_corrected_by
from holdfast_operator.reconcile.names import client_id_of
from holdfast_operator.reconcile.observed import Observed, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Cluster, Key, Kind, Object
from holdfast_operator.reconcile.registration import own_record
from holdfast_operator.reconcile.settings import ReconcileSettings

MAX_ROUNDS = 8
"""Actions in one pass; no plan needs more than five, so that a world which never answers as expected costs little."""


class Reconciler:
    """Everything the engine, or `holdfast dev`, needs to make one key true."""

    def __init__(
        self, cluster: Cluster, registry: Registry, settings: ReconcileSettings | None = None, clock: Clock = system_clock
    ) -> None:
        self.cluster = cluster
        self.settings = settings or ReconcileSettings()
        self._clock = clock
        self._registry = FencedRegistry(registry, self.settings.holder, self.settings.registry_age)
        self._shared = SharedAnchors(cluster, clock, self.settings.shared_anchors_age)
        self._config_maps = PolicyConfigMaps(cluster, clock, self.settings.config_map_age)
        self.drifts = Drifts(cluster)
        denials = Denials(cluster, self._config_maps, self._registry, self.drifts)
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._registered: dict[Key, StoredClient] = {}
        self._digests: dict[Key, str] = {}
        self._execution = Execution(cluster, self._registry, denials)
        self._policies = PolicyPass(cluster, self._config_maps, denials, self.settings, clock, self.drifts)
        ca = ServerCa(self.settings.server_ca_file)
        self._configs = NamespaceConfigs(cluster, self._registry, ca, self.settings.config_map_name, self.drifts)
        self._sweep = Sweep(
            cluster,
            self._registry,
            self._config_maps,
            denials,
            self.settings,
            digests=self._digests,
            write=self.reconcile,
            is_there=self._is_there,
            drifts=self.drifts,
        )

    @property
    def writes(self) -> int:
        """Grows with each write to the registry."""
        return self._registry.writes

    async def describe(self) -> RegistryDescription:
        """What the registry says of itself. Raises RegistryUnavailable."""
        return await self._registry.describe()

    async def begin_term(self) -> None:
        """Open a term of our own now. Raises RegistryUnavailable."""
        await self._registry.open()

    async def learn_registry(self) -> None:
        """List the registry, so that the passes to come need not ask for each record. Raises RegistryUnavailable."""
        await self._registry.describe()
        await self._registry.list_clients()

    def abandon_term(self) -> None:
        """Called when leadership begins: the next write opens a term above all earlier ones."""
        self._registry.abandon_term()
        self.drifts.forget()
        self._configs.forget()

    def config_map_changed(self, namespace: str, name: str) -> None:
        """Called with each event of a ConfigMap, before the keys that it concerns are looked at."""
        self._config_maps.changed(namespace, name)

    @property
    def config_map_name(self) -> str:
        """Of the ConfigMap in each namespace with a client."""
        return self.settings.config_map_name

    async def configs_changed(self) -> bool:
        """Whether those ConfigMaps have to say something else than at the last question. Raises RegistryUnavailable."""
        return await self._configs.changed()

    async def reconcile(self, key: Key) -> Outcome:
        """One pass over one object. Raises ClusterError, StaleTerm and what nobody foresaw."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if key.kind is Kind.MTLS_POLICY:
                return await self._policies.over(key.name)
            if key.kind is Kind.CONFIG_MAP:
                return await self._configs.over(key.namespace)
            client = await self.cluster.get(Kind.OAUTH_CLIENT, key.namespace, key.name)
            if client is None:
                return await self._gone(key)
            return await self._converge(key, await self._observe(client))

    async def sweep(self) -> SweepResult:
        """Compare the whole registry with the objects: delete orphans, write what is outdated, then confirm.

        Raises ClusterError, RegistryUnavailable, StaleTerm; then nothing is confirmed.
        """
        return await self._sweep.run()

    async def _is_there(self, registered: ClientSummary) -> bool:
        """Whether the object of a registration is, under the client id that it has. Raises ClusterUnavailable."""
        owner = registered.owner
        if isinstance(self.cluster, Mirror):
            await self.cluster.look_again(Kind.OAUTH_CLIENT, (owner.namespace, owner.name))
        found = await self.cluster.get(Kind.OAUTH_CLIENT, owner.namespace, owner.name)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return False
        return (str(found["metadata"]["uid"]), client_id_of(found)) == (owner.uid, registered.client_id)

    async def _observe(self, client: Object) -> Observed:
        return await observe(
            client,
            cluster=self.cluster,
            registry=self._registry,
            shared_anchors=self._shared,
            policy_config_maps=self._config_maps,
            settings=self.settings,
            now=self._clock(),
        )

    async def _converge(self, key: Key, observed: Observed) -> Outcome:
        self._remember(key, observed)
        wrote = False
        for _ in range(MAX_ROUNDS):
            planned = plan(observed)
            if not planned.actions:
                break
            wrote = True
            drift = drift_corrected_by(planned.actions[0], observed)
            after = await self._execution.execute(planned.actions[0], observed)
            if drift is not None:
                await self.drifts.tell(Kind.OAUTH_CLIENT, observed.client, drift)
            if after is None:
                await record(self.cluster, Kind.OAUTH_CLIENT, observed.client, planned.events)
                return Outcome(gone=True, wrote=True)
            observed = after
            self._remember(key, observed)
        wrote = await write_status(self.cluster, Kind.OAUTH_CLIENT, observed.client, planned, self.drifts) or wrote
        return Outcome(requeue_after=planned.requeue_after, retry=planned.retry, wrote=wrote)

    def _remember(self, key: Key, observed: Observed) -> None:
        if isinstance(observed.registry, RegistryUnreachable):
            return
        stored = own_record(observed)
        if stored is None:
            self._registered.pop(key, None)
            self._digests.pop(key, None)
        else:
            self._registered[key] = stored
            self._digests[key] = stored.digest

    async def _gone(self, key: Key) -> Outcome:
        """The object vanished without its finalizer having been ours to remove: its registration ends now."""
        registered = self._registered.get(key)
        if registered is not None:
            metadata = registered.metadata
            orphan = metadata.deletion_policy is DeletionPolicy.ORPHAN
            await (self._registry.release if orphan else self._registry.delete)(metadata.client_id, metadata.owner.uid)
            self._registered.pop(key, None)
            self._digests.pop(key, None)
        return Outcome(gone=True, wrote=registered is not None)
