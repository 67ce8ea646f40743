"""The reconciler with its stores warm: what it asks of a real registry, and what it does not believe of its own memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.registry.port import Registry, RegistryError
from holdfast.registry.records import StoredClient
from holdfast_operator.adapters.folder.cluster import FolderCluster
from holdfast_operator.converge.mirror import Mirror
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.simulated import condition_of
from tests.operator.small_house import ORDERS, House, Line, house, manifest
from tests.registry_conformance.registrations import authority

KEYS = [Key(Kind.OAUTH_CLIENT, "shop", f"c{i:02}") for i in range(20)]


class CountingLine(Line):
    """Counts what is asked of the registry."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.puts: list[int] = []
        self.gets = 0

    async def put_clients(self, clients: Sequence[ClientMetadata], *, term: int) -> tuple[StoredClient | RegistryError, ...]:
        self.puts.append(len(clients))
        return await super().put_clients(clients, term=term)

    async def get_clients(self, client_ids: Sequence[str]) -> tuple[StoredClient | None, ...]:
        self.gets += 1
        return await super().get_clients(client_ids)


class PagedFolder(FolderCluster):
    """A folder that a mirror can stand before."""

    async def each(self, kind: Kind, namespace: str | None = None, *, name: str = "") -> AsyncIterator[Object]:
        for obj in await self.list(kind, namespace):
            if not name or obj["metadata"]["name"] == name:
                yield obj


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        found.line = CountingLine(found.keeper.writer)
        found.clock.now = datetime.now(UTC)  # the crowd's CA is valid from yesterday on
        yield found


def _warm(home: House) -> Reconciler:
    return Reconciler(home.cluster, home.line, ReconcileSettings(holder="test", registry_age=60), home.clock)


def _line(home: House) -> CountingLine:
    assert isinstance(home.line, CountingLine)
    return home.line


async def _crowd(home: House) -> None:
    """Clients that bring their certificate."""
    ca = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "shop"}}
    bundle = {**ca, "data": {"ca.crt": authority().pem.decode()}}
    anchors = [{"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}]
    documents = [
        manifest(
            key.name, certificate=None, authentication={"subject": {"dns": f"{key.name}.example"}, "trustAnchors": anchors}
        )
        for key in KEYS
    ]
    await home.write("shop.yaml", bundle, *documents)


async def test_passes_at_the_same_time_are_few_calls(home: House) -> None:
    await _crowd(home)
    reconciler = _warm(home)

    await asyncio.gather(*(reconciler.reconcile(key) for key in KEYS))

    assert len(await home.registered()) == len(KEYS)
    assert sum(_line(home).puts) == len(KEYS)
    assert len(_line(home).puts) < len(KEYS) / 3


async def test_one_client_that_is_refused_in_a_group_is_refused_alone(home: House) -> None:
    await _crowd(home)
    owned = {"audiences": ["https://one.shop.svc"]}
    apis = [manifest(name, certificate={"issuerRef": {"name": "workloads"}}, resourceServer=owned) for name in ("a", "b")]
    await home.write("apis.yaml", *apis)
    reconciler = _warm(home)
    keys = [*KEYS, *(Key(Kind.OAUTH_CLIENT, "shop", name) for name in ("a", "b"))]
    for _ in range(4):
        await asyncio.gather(*(reconciler.reconcile(key) for key in keys))
        await home.cluster.issue()

    accepted = [condition_of(await home.status(key), "Accepted")[0] for key in keys[-2:]]

    assert sorted(accepted) == ["False", "True"]
    assert [condition_of(await home.status(key), "Ready") for key in KEYS] == [("True", "Ready")] * len(KEYS)


async def test_a_registry_that_was_listed_is_not_asked_for_each_client(home: House) -> None:
    await _crowd(home)
    reconciler = _warm(home)
    await asyncio.gather(*(reconciler.reconcile(key) for key in KEYS))
    again = _warm(home)
    await again.learn_registry()
    asked = _line(home).gets

    outcomes = await asyncio.gather(*(again.reconcile(key) for key in KEYS))

    assert [outcome.wrote for outcome in outcomes] == [False] * len(KEYS)
    assert (asked, _line(home).gets) == (asked, asked)


async def test_a_registry_that_does_not_answer_is_no_longer_believed(home: House) -> None:
    await _crowd(home)
    reconciler = _warm(home)
    await reconciler.learn_registry()
    await asyncio.gather(*(reconciler.reconcile(key) for key in KEYS))
    home.line.cut = True
    with pytest.raises(RegistryError):
        await reconciler.describe()

    outcome = await reconciler.reconcile(KEYS[0])

    assert outcome.retry
    assert condition_of(await home.status(KEYS[0]), "Registered")[1] == "RegistryUnavailable"


async def test_what_others_changed_is_found_by_the_sweep_that_follows(home: House) -> None:
    await _crowd(home)
    reconciler = _warm(home)
    await reconciler.learn_registry()
    await asyncio.gather(*(reconciler.reconcile(key) for key in KEYS))
    term = (await home.keeper.writer.describe()).term
    await home.keeper.writer.delete_client("shop.c00", uid=(await _uid(home, KEYS[0])), term=term)

    await reconciler.sweep()

    assert "shop.c00" in await home.registered()


async def test_no_registration_is_deleted_because_an_event_is_late(tmp_path: Path, home: House) -> None:
    folder = PagedFolder(home.root / "manifests", home.root / "data", home.clock)
    home.cluster = folder
    mirror = Mirror(folder)
    for kind in (Kind.NAMESPACE, Kind.MTLS_POLICY, Kind.OAUTH_CLIENT):
        await mirror.refresh(kind)
    await home.write("shop.yaml", manifest())
    home.reconciler = Reconciler(folder, home.line, ReconcileSettings(holder="test"), home.clock)
    await home.settle(ORDERS)
    behind = await mirror.get(*ORDERS)

    swept = await Reconciler(mirror, home.line, ReconcileSettings(holder="test"), home.clock).sweep()

    assert behind is None
    assert swept.deleted == ()
    assert list(await home.registered()) == ["shop.orders"]
    assert await mirror.get(*ORDERS) is not None


async def test_a_term_can_be_opened_before_anything_is_written(home: House) -> None:
    first, second = _warm(home), _warm(home)
    await first.begin_term()
    await _crowd(home)
    await second.begin_term()

    with pytest.raises(RegistryError, match="is over"):
        await first.reconcile(KEYS[0])
    assert await home.registered() == {}


async def _uid(home: House, key: Key) -> str:
    found = await home.cluster.get(*key)
    assert found is not None
    return str(found["metadata"]["uid"])
