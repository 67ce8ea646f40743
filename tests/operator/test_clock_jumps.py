"""A clock that jumps, of the operator or of the server, does no harm: what is registered goes on, and all is as it was."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.simulated import condition_of
from tests.operator.small_house import ORDERS, House, MovedClock, house, manifest

JUMPS = {"an hour ahead": 1, "ten years ahead": 87_600, "an hour back": -1, "ten years back": -87_600}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


async def ready(home: House, **spec: Any) -> None:
    await home.write("orders.yaml", manifest(**spec))
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")


def jumped(home: House, hours: float) -> Reconciler:
    """The operator alone has the wrong time."""
    wrong = MovedClock()
    wrong.now = home.clock.now + timedelta(hours=hours)
    return Reconciler(home.cluster, home.line, ReconcileSettings(holder="wrong"), wrong)


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
async def test_a_jump_of_the_operators_clock_ends_no_registration(home: House, method: str, jump: str) -> None:
    await ready(home, authentication={"method": method})
    before = (await home.registered())["shop.orders"].digest

    wrong = jumped(home, JUMPS[jump])
    for _ in range(3):
        await wrong.reconcile(ORDERS)
    await wrong.sweep()
    assert (await home.registered())["shop.orders"].digest == before
    assert home.keeper.snapshot.clients["shop.orders"].decision.allowed

    home.reconciler = home.another_reconciler("right")
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    assert (await home.registered())["shop.orders"].digest == before


@pytest.mark.parametrize("jump", JUMPS)
async def test_edits_under_a_wrong_clock_are_in_force_and_stay_so(home: House, jump: str) -> None:
    await ready(home, scopes=["orders.read"])
    home.reconciler = jumped(home, JUMPS[jump])

    await home.write("orders.yaml", manifest(scopes=["orders.write"]))
    for _ in range(3):
        await home.reconciler.reconcile(ORDERS)
    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    assert stored.metadata.scopes == ("orders.write",)

    home.reconciler = home.another_reconciler("right")
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")


@pytest.mark.parametrize("jump", JUMPS)
async def test_after_a_jump_of_the_servers_clock_and_back_writers_terms_and_clients_go_on(home: House, jump: str) -> None:
    await ready(home)

    home.clock.move(hours=JUMPS[jump])
    await home.write("orders.yaml", manifest(scopes=["more"]))
    home.reconciler = home.another_reconciler("while it was wrong")
    for _ in range(3):
        await home.reconciler.reconcile(ORDERS)
    home.clock.move(hours=-JUMPS[jump])
    home.reconciler = home.another_reconciler("after it")
    await home.write("orders.yaml", manifest(scopes=["less"]))
    await home.settle()

    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    assert stored.metadata.scopes == ("less",)
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")


async def test_a_client_made_while_the_servers_clock_was_ahead_stays_registered_when_it_is_right_again(home: House) -> None:
    home.clock.move(days=365)
    await home.write("orders.yaml", manifest())
    for _ in range(3):
        await home.reconciler.reconcile(ORDERS)
        await home.cluster.issue()
    home.clock.move(days=-365)

    home.reconciler = home.another_reconciler("after it")
    for _ in range(3):
        await home.reconciler.reconcile(ORDERS)
        await home.cluster.issue()

    assert list(await home.registered()) == ["shop.orders"]
    assert home.keeper.snapshot.clients["shop.orders"].decision.allowed
