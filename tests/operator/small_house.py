"""A folder as the cluster, a real registry on SQLite, and the reconciler between them, on a clock that is moved."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from holdfast.clock import Clock
from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import Registry, RegistryError, RegistryUnavailable
from holdfast.registry.records import ClientSummary, RegistryDescription, StoredClient
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_operator.adapters.folder.cluster import FolderCluster
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.simulated import ENDPOINTS

ORDERS = Key(Kind.OAUTH_CLIENT, "shop", "orders")


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class Line:
    """The way to a registry, which can be cut."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.cut = False

    def _reach(self) -> Registry:
        if self.cut:
            raise RegistryUnavailable("connection refused")
        return self.registry

    async def describe(self) -> RegistryDescription:
        return await self._reach().describe()

    async def open_term(self, holder: str) -> int:
        return await self._reach().open_term(holder)

    async def put_policy(self, policy: EffectivePolicy, *, term: int) -> None:
        await self._reach().put_policy(policy, term=term)

    async def put_denied_thumbprints(self, thumbprints: frozenset[str], *, term: int) -> None:
        await self._reach().put_denied_thumbprints(thumbprints, term=term)

    async def put_revocation_lists(self, crls: tuple[bytes, ...], *, term: int) -> None:
        await self._reach().put_revocation_lists(crls, term=term)

    async def put_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        return await self._reach().put_client(client, term=term)

    async def put_clients(self, clients: Sequence[ClientMetadata], *, term: int) -> tuple[StoredClient | RegistryError, ...]:
        return await self._reach().put_clients(clients, term=term)

    async def get_client(self, client_id: str) -> StoredClient | None:
        return await self._reach().get_client(client_id)

    async def get_clients(self, client_ids: Sequence[str]) -> tuple[StoredClient | None, ...]:
        return await self._reach().get_clients(client_ids)

    async def list_clients(self) -> tuple[ClientSummary, ...]:
        return await self._reach().list_clients()

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        return await self._reach().audience_owner(audience)

    async def delete_client(self, client_id: str, *, uid: str, term: int) -> None:
        await self._reach().delete_client(client_id, uid=uid, term=term)

    async def release_client(self, client_id: str, *, uid: str, term: int) -> None:
        await self._reach().release_client(client_id, uid=uid, term=term)

    async def adopt_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        return await self._reach().adopt_client(client, term=term)

    async def confirm(self, *, term: int) -> None:
        await self._reach().confirm(term=term)


class House:
    """What a test moves: files in, passes, and what is seen after them."""

    def __init__(self, root: Path, keeper: RegistryKeeper, clock: MovedClock) -> None:
        self.root, self.keeper, self.clock = root, keeper, clock
        self.line = Line(keeper.writer)
        self.cluster = FolderCluster(root / "manifests", root / "data", clock)
        self.reconciler = self.another_reconciler()

    def another_reconciler(self, holder: str = "test") -> Reconciler:
        return Reconciler(self.cluster, self.line, ReconcileSettings(holder=holder), self.clock)

    async def write(self, file: str, *documents: Object) -> None:
        (self.root / "manifests" / file).write_text("\n---\n".join(json.dumps(d) for d in documents))
        await self.cluster.refresh()

    async def remove(self, file: str) -> None:
        (self.root / "manifests" / file).unlink()
        await self.cluster.refresh()

    async def settle(self, key: Key = ORDERS) -> None:
        """Passes and issuing, until a pass writes nothing."""
        for _ in range(10):
            outcome = await self.reconciler.reconcile(key)
            await self.cluster.issue()
            if not outcome.wrote:
                return
        raise AssertionError("ten passes, and each of them wrote something")

    async def settle_refused(self, key: Key) -> None:
        """As `settle`, for a client that the registry refuses: it asks the registry again in every pass."""
        for _ in range(4):
            await self.reconciler.reconcile(key)
            await self.cluster.issue()

    async def status(self, key: Key = ORDERS) -> Object:
        found = await self.cluster.get(key.kind, key.namespace, key.name)
        assert found is not None
        status: Object = found.get("status") or {}
        return status

    async def registered(self) -> dict[str, ClientSummary]:
        return {s.client_id: s for s in await self.keeper.writer.list_clients()}


def manifest(name: str = "orders", namespace: str = "shop", **spec: Any) -> Object:
    wanted = {"certificate": {"issuerRef": {"name": "workloads"}}, **spec}
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {k: v for k, v in wanted.items() if v is not None},
    }


def policy_manifest(name: str, **spec: Any) -> Object:
    return {"apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy", "metadata": {"name": name}, "spec": spec}


@asynccontextmanager
async def house(root: Path) -> AsyncIterator[House]:
    (root / "manifests").mkdir()
    clock = MovedClock()
    keeper = await open_keeper(root, clock)
    found = House(root, keeper, clock)
    try:
        await found.cluster.refresh()
        yield found
    finally:
        await found.keeper.close()


async def open_keeper(root: Path, clock: Clock) -> RegistryKeeper:
    keeper = await RegistryKeeper.open(f"sqlite+aiosqlite:///{root / 'registry.db'}", clock)
    keeper.endpoints = ENDPOINTS
    return keeper
