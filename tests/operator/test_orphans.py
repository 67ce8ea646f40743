"""Objects that go and come again, over a real registry: what is left behind, and who has it then."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast_operator.reconcile.ports import Key, Kind
from tests.operator.simulated import condition_of
from tests.operator.small_house import ORDERS, House, house, manifest, policy_manifest

WEB = Key(Kind.OAUTH_CLIENT, "web", "orders")


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


async def _registered(home: House, key: Key = ORDERS, **spec: object) -> None:
    await home.write(f"{key.namespace}.yaml", manifest(key.name, key.namespace, **spec))
    await home.settle(key)
    assert condition_of(await home.status(key), "Ready") == ("True", "Ready")


async def _gone(home: House, key: Key = ORDERS) -> None:
    await home.remove(f"{key.namespace}.yaml")
    await home.reconciler.reconcile(key)
    assert await home.cluster.get(*key) is None


async def test_deleting_ends_the_client_and_applying_the_same_file_has_it_back(home: House) -> None:
    await _registered(home, clientId="shop.legacy")
    await _gone(home)
    assert await home.registered() == {}

    home.clock.move(hours=23)
    await _registered(home, clientId="shop.legacy")

    assert list(await home.registered()) == ["shop.legacy"]


async def test_an_orphan_goes_on_and_no_sweep_takes_it(home: House) -> None:
    await _registered(home, deletionPolicy="Orphan")
    await _gone(home)

    swept = await home.reconciler.sweep()

    assert swept.deleted == ()
    assert [s.owner.is_gone for s in (await home.registered()).values()] == [True]
    assert home.keeper.snapshot.clients["shop.orders"].decision.allowed


async def test_the_same_file_without_adoption_is_refused_and_with_it_takes_over(home: House) -> None:
    await _registered(home, deletionPolicy="Orphan")
    since = home.keeper.snapshot.clients["shop.orders"].since
    await _gone(home)

    await home.write("shop.yaml", manifest(deletionPolicy="Orphan"))
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("False", "ClientIdTaken")

    await _registered(home, deletionPolicy="Orphan", adoptionPolicy="IfUnowned")

    (record,) = (await home.registered()).values()
    assert not record.owner.is_gone
    assert home.keeper.snapshot.clients["shop.orders"].since == since


async def test_an_orphan_moves_to_another_namespace_where_a_policy_names_its_id(home: House) -> None:
    await _registered(home, deletionPolicy="Orphan")
    await _gone(home)
    taking = {"clientId": "shop.orders", "adoptionPolicy": "IfUnowned"}
    await home.write("policy.yaml", policy_manifest("moved", grants={"allowedClientIds": ["shop.*"]}))
    await home.write("web.yaml", manifest("orders", "web", **taking))
    await home.settle(WEB)
    assert condition_of(await home.status(WEB), "Ready") == ("False", "ClientIdTaken")

    await home.write("policy.yaml", policy_manifest("moved", grants={"allowedClientIds": ["shop.orders"]}))
    await home.settle(WEB)
    assert condition_of(await home.status(WEB), "Ready") == ("False", "RegistrationPending")
    home.clock.move(seconds=3)
    await home.settle(WEB)

    assert condition_of(await home.status(WEB), "Ready") == ("True", "Ready")
    (record,) = (await home.registered()).values()
    assert (record.client_id, record.owner.namespace) == ("shop.orders", "web")


async def test_while_the_server_is_away_an_orphans_object_is_let_go_and_it_is_an_orphan_afterwards(home: House) -> None:
    await _registered(home, deletionPolicy="Orphan")
    await home.remove("shop.yaml")
    home.line.cut = True
    home.clock.move(seconds=11)
    assert (await home.reconciler.reconcile(ORDERS)).gone
    home.line.cut = False

    await home.reconciler.sweep()

    assert [s.owner.is_gone for s in (await home.registered()).values()] == [True]


async def test_an_object_that_vanished_without_its_finalizer_leaves_what_was_registered(home: House) -> None:
    await _registered(home, deletionPolicy="Orphan")
    live = await home.cluster.get(*ORDERS)
    assert live is not None
    await home.cluster.set_finalizers(Kind.OAUTH_CLIENT, live, [])
    await home.remove("shop.yaml")

    await home.reconciler.reconcile(ORDERS)

    assert [s.owner.is_gone for s in (await home.registered()).values()] == [True]
