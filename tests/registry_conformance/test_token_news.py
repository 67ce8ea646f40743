"""A registry tells at once who got a token for the first time, whoever asks it and on whichever database."""

import asyncio
from pathlib import Path

import pytest

from holdfast.registry.port import Registry
from holdfast.registry.records import TokenSeen
from holdfast_authserver.registry.keeper import RegistryKeeper
from tests.postgresql import PostgresqlServer
from tests.registry_conformance.backends import MovableClock, open_keeper, serve_admin
from tests.registry_conformance.registrations import BUILT_IN, a_client


async def filled(registry: Registry, *names: str) -> int:
    term = await registry.open_term("operator-0")
    await registry.put_policy(BUILT_IN, term=term)
    for name in names:
        await registry.put_client(a_client("shop", name), term=term)
    return term


async def told(registry: Registry, *expected: TokenSeen) -> None:
    """Within a few looks at the store."""
    for _ in range(500):
        found = (await registry.describe()).tokens
        if found == expected:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"expected {expected}, found {found}")


async def a_token_is_told_until_it_is_no_news(keeper: RegistryKeeper, registry: Registry, clock: MovableClock) -> None:
    await filled(registry, "orders", "cart")
    assert (await registry.describe()).tokens == ()
    orders = TokenSeen("shop.orders", "shop", "orders", clock.now)
    keeper.record_token("shop.orders", clock.now)
    await told(registry, orders)
    revision = (await registry.describe()).revision

    clock.move(seconds=10)
    cart = TokenSeen("shop.cart", "shop", "cart", clock.now)
    keeper.record_token("shop.cart", clock.now)
    keeper.record_token("shop.orders", clock.now)
    await told(registry, cart, orders)

    clock.move(seconds=55)
    await told(registry, cart)
    clock.move(seconds=60)
    await told(registry)
    assert (await registry.describe()).revision == revision, "a token is no change of a registration"


async def test_in_the_process(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as keeper:
        await a_token_is_told_until_it_is_no_news(keeper, keeper.writer, clock)


async def test_over_the_admin_api(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as keeper, serve_admin(keeper, tmp_path, clock) as server:
        http = server.registry()
        try:
            await a_token_is_told_until_it_is_no_news(keeper, http, clock)
        finally:
            await http.close()


async def test_on_postgresql(tmp_path: Path, clock: MovableClock, postgresql: PostgresqlServer) -> None:
    async with open_keeper(tmp_path, clock, url=postgresql.empty_database()) as keeper:
        await a_token_is_told_until_it_is_no_news(keeper, keeper.writer, clock)


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "put back as another object"])
async def test_a_client_that_is_gone_has_no_news(tmp_path: Path, clock: MovableClock, again: bool) -> None:
    async with open_keeper(tmp_path, clock) as keeper:
        term = await filled(keeper.writer, "orders")
        keeper.record_token("shop.orders", clock.now)
        await told(keeper.writer, TokenSeen("shop.orders", "shop", "orders", clock.now))

        if again:
            await keeper.writer.put_client(a_client("shop", "orders", uid="another"), term=term)
        else:
            await keeper.writer.delete_client("shop.orders", uid=a_client("shop", "orders").owner.uid, term=term)

        assert (await keeper.writer.describe()).tokens == ()
