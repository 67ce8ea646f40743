"""What requests see of denials, of who has left, and of assertions that were used."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast_authserver.registry.keeper import RegistryKeeper, Times
from tests.authserver.registry.revoking import revoke
from tests.authserver.registry.waiting import until
from tests.registry_conformance.backends import MovableClock, open_keeper
from tests.registry_conformance.registrations import BUILT_IN, a_client, authority
from tests.registry_conformance.revocation_lists import a_crl
from tests.registry_conformance.test_denials_port import A, B

QUICK = Times(poll=0.02, housekeeping=timedelta(0))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def keeper(tmp_path: Path, clock: MovableClock) -> AsyncIterator[RegistryKeeper]:
    async with open_keeper(tmp_path, clock, times=QUICK) as keeper:
        yield keeper


async def test_denials_are_served_when_the_call_returns_and_after_a_restart(tmp_path: Path, clock: MovableClock) -> None:
    crl = a_crl(authority(), [17])
    async with open_keeper(tmp_path, clock) as keeper:
        term = await keeper.writer.open_term("operator-0")
        await keeper.writer.put_denied_thumbprints(frozenset({A}), term=term)
        await keeper.writer.put_revocation_lists((crl,), term=term)
        assert keeper.snapshot.denied_thumbprints == {A}
        assert keeper.snapshot.revocation_lists == (crl,)

    async with open_keeper(tmp_path, clock) as again:
        assert again.snapshot.denied_thumbprints == {A}
        assert again.snapshot.revocation_lists == (crl,)


async def test_another_worker_sees_denials_within_a_second(
    keeper: RegistryKeeper, tmp_path: Path, clock: MovableClock
) -> None:
    async with open_keeper(tmp_path, clock, times=QUICK) as other:
        term = await keeper.writer.open_term("operator-0")
        await keeper.writer.put_denied_thumbprints(frozenset({A, B}), term=term)

        assert await until(lambda: other.snapshot.denied_thumbprints == {A, B}) < 1


async def test_subscribers_hear_of_denials(keeper: RegistryKeeper) -> None:
    heard: list[frozenset[str]] = []
    keeper.subscribe(lambda snapshot: heard.append(snapshot.denied_thumbprints))
    term = await keeper.writer.open_term("operator-0")

    await keeper.writer.put_denied_thumbprints(frozenset({A}), term=term)

    assert heard == [frozenset({A})]


async def test_who_left_is_known_for_a_day(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock, times=QUICK) as keeper:
        term = await keeper.writer.open_term("operator-0")
        await keeper.writer.put_policy(BUILT_IN, term=term)
        await keeper.writer.put_client(a_client(), term=term)
        assert keeper.snapshot.departed == {}
        await keeper.writer.delete_client("shop.orders", uid="uid-shop-orders", term=term)
        left = clock.now
        assert keeper.snapshot.departed == {"shop.orders": left}

    clock.move(hours=23)
    async with open_keeper(tmp_path, clock, times=QUICK) as again:
        assert again.snapshot.departed == {"shop.orders": left}

        clock.move(hours=2)
        await until(lambda: again.snapshot.departed == {})


async def test_who_comes_back_has_not_left(keeper: RegistryKeeper) -> None:
    term = await keeper.writer.open_term("operator-0")
    await keeper.writer.put_policy(BUILT_IN, term=term)
    await keeper.writer.put_client(a_client(), term=term)
    await keeper.writer.delete_client("shop.orders", uid="uid-shop-orders", term=term)

    await keeper.writer.put_client(a_client(uid="another"), term=term)

    assert keeper.snapshot.departed == {}


async def test_an_assertion_is_taken_once_by_all_workers_and_after_a_restart(tmp_path: Path, clock: MovableClock) -> None:
    """(A-05)"""
    end = clock.now + timedelta(minutes=1)
    async with open_keeper(tmp_path, clock) as one, open_keeper(tmp_path, clock) as other:
        assert await one.remember_assertion("shop.orders", "jti-1", end)
        assert not await one.remember_assertion("shop.orders", "jti-1", end)
        assert not await other.remember_assertion("shop.orders", "jti-1", end)
        assert await other.remember_assertion("shop.billing", "jti-1", end)
        assert await other.remember_assertion("shop.orders", "\ud800 " + "x" * 100_000, end)

    async with open_keeper(tmp_path, clock) as again:
        assert not await again.remember_assertion("shop.orders", "jti-1", end)


async def test_an_assertion_is_remembered_while_it_lives_and_forgotten_after(
    keeper: RegistryKeeper, clock: MovableClock
) -> None:
    await keeper.remember_assertion("shop.orders", "jti-1", clock.now + timedelta(minutes=1))

    clock.move(seconds=61)
    await keeper.refresh()
    assert not await keeper.remember_assertion("shop.orders", "jti-1", clock.now)

    clock.move(minutes=10)
    await until(lambda: keeper.cleaned == clock.now)
    assert await keeper.remember_assertion("shop.orders", "jti-1", clock.now)


async def test_revoked_tokens_can_be_listed(keeper: RegistryKeeper, clock: MovableClock) -> None:
    end = clock.now + timedelta(minutes=5)
    await revoke(keeper, "jti-1", end)

    assert keeper.revoked.live(clock.now) == ["jti-1"]
    assert keeper.revoked.live(end) == []


async def test_the_snapshot_says_when_the_store_was_asked_last(keeper: RegistryKeeper, clock: MovableClock) -> None:
    assert keeper.snapshot.as_of == clock.now

    clock.move(seconds=30)

    await until(lambda: keeper.snapshot.as_of == clock.now)
