"""A process of the operator that is killed at one of its writes, over the small house; and the next one after it.

Owns where a process dies: in the place of its nth write to the cluster or the registry. What it wrote before stays, what it
knew is gone. Reads of the dead fail as well. Neighbours: `small_house`; `test_crash_points` says what is done.
"""

from collections.abc import Mapping, Sequence

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import Registry, RegistryError
from holdfast.registry.records import StoredClient
from holdfast_operator.adapters.folder.cluster import FolderCluster
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.small_house import House, Line

ROUNDS = 12
"""Of passes over everything, after which it has to have come to rest."""


class Killed(BaseException):
    """Nothing of the process runs on after this, as after kill -9."""


class Life:
    """`writes`: how many are left, None: as many as it likes."""

    def __init__(self, writes: int | None) -> None:
        self.left, self.made = writes, 0
        self.over = False

    def write(self) -> None:
        """Called before each write."""
        self.over = self.over or self.left == self.made
        self.read()
        self.made += 1

    def read(self) -> None:
        if self.over:
            raise Killed


class MortalCluster:
    """`holdfast_operator.reconcile.ports.Cluster`, as long as its process lives."""

    def __init__(self, cluster: FolderCluster, life: Life) -> None:
        self._cluster, self._life = cluster, life

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self._life.read()
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        self._life.read()
        return await self._cluster.list(kind, namespace, labels)

    async def apply(self, kind: Kind, obj: Object) -> Object:
        self._life.write()
        return await self._cluster.apply(kind, obj)

    async def apply_status(self, kind: Kind, obj: Object) -> Object:
        self._life.write()
        return await self._cluster.apply_status(kind, obj)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._life.write()
        await self._cluster.delete(kind, namespace, name, uid)

    async def set_finalizers(self, kind: Kind, obj: Object, finalizers: Sequence[str]) -> Object | None:
        self._life.write()
        return await self._cluster.set_finalizers(kind, obj, finalizers)

    async def record_event(self, kind: Kind, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        self._life.read()  # nothing depends on an event
        await self._cluster.record_event(kind, obj, warning=warning, reason=reason, message=message)


class MortalLine(Line):
    """The registry, as long as its process lives."""

    def __init__(self, registry: Registry, life: Life) -> None:
        super().__init__(registry)
        self._life = life

    def _reach(self) -> Registry:
        self._life.read()
        return super()._reach()

    async def open_term(self, holder: str) -> int:
        self._life.write()
        return await super().open_term(holder)

    async def put_policy(self, policy: EffectivePolicy, *, term: int) -> None:
        self._life.write()
        await super().put_policy(policy, term=term)

    async def put_clients(self, clients: Sequence[ClientMetadata], *, term: int) -> tuple[StoredClient | RegistryError, ...]:
        self._life.write()
        return await super().put_clients(clients, term=term)

    async def adopt_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        self._life.write()
        return await super().adopt_client(client, term=term)

    async def delete_client(self, client_id: str, *, uid: str, term: int) -> None:
        self._life.write()
        await super().delete_client(client_id, uid=uid, term=term)

    async def release_client(self, client_id: str, *, uid: str, term: int) -> None:
        self._life.write()
        await super().release_client(client_id, uid=uid, term=term)

    async def confirm(self, *, term: int) -> None:
        self._life.write()
        await super().confirm(term=term)


class Process:
    """One process of the operator: everything that it remembers is made with it."""

    def __init__(self, home: House, life: Life, number: int) -> None:
        self.life = life
        self._cluster = home.cluster
        settings = ReconcileSettings(holder=f"process-{number}")
        self._reconciler = Reconciler(
            MortalCluster(home.cluster, life), MortalLine(home.keeper.writer, life), settings, home.clock
        )

    async def work(self) -> None:
        """As the engine does after its start: everything, the sweep, and again until nothing is left. Raises Killed."""
        for _ in range(ROUNDS):
            wrote = bool((await self._reconciler.sweep()).deleted)
            for key in await self._keys():
                wrote = (await self._reconciler.reconcile(key)).wrote or wrote
            await self._cluster.issue()
            if not wrote:
                return
        raise AssertionError(f"{ROUNDS} rounds, and each of them wrote something")

    async def _keys(self) -> list[Key]:
        found = [
            Key(kind, obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
            for kind in (Kind.MTLS_POLICY, Kind.OAUTH_CLIENT)
            for obj in await self._cluster.list(kind)
        ]
        return [*found, *(Key(Kind.CONFIG_MAP, namespace, "holdfast") for namespace in ("shop", "web"))]


class Succession:
    """One process after another: the first of them is killed at its write `at`, None: it never is."""

    def __init__(self, home: House, at: int | None) -> None:
        self._home, self.killed = home, False
        self._process = Process(home, Life(at), 0)

    @property
    def writes(self) -> int:
        """Of the process that works now."""
        return self._process.life.made

    async def work(self) -> None:
        """Until all is done; by the next process, which knows nothing, where the first one is killed meanwhile."""
        try:
            await self._process.work()
        except Killed:
            self.killed = True
            self._process = Process(self._home, Life(None), 1)
            await self._process.work()
