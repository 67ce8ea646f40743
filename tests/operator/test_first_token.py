"""A first token is told by the registry and shown by the next pass, even where records are believed without asking."""

import asyncio
from pathlib import Path

import pytest

from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.simulated import condition_of
from tests.operator.small_house import ORDERS, house, manifest


@pytest.mark.parametrize("age", [0.0, 3600.0], ids=["asking for each record", "believing what was listed"])
async def test_a_first_token_is_shown_by_the_next_pass(tmp_path: Path, age: float) -> None:
    async with house(tmp_path) as home:
        home.reconciler = Reconciler(home.cluster, home.line, ReconcileSettings(registry_age=age), home.clock)
        await home.write("orders.yaml", manifest())
        await home.settle()
        await home.reconciler.learn_registry()
        assert condition_of(await home.status(), "TokenIssued") == ("False", "NoTokenYet")

        home.keeper.record_token("shop.orders", home.clock())
        for _ in range(500):
            if (await home.reconciler.describe()).tokens:
                break
            await asyncio.sleep(0.01)
        outcome = await home.reconciler.reconcile(ORDERS)

        assert outcome.wrote
        assert condition_of(await home.status(), "TokenIssued") == ("True", "TokenIssued")
        assert (await home.status())["lastTokenTime"] == home.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        assert not (await home.reconciler.reconcile(ORDERS)).wrote
