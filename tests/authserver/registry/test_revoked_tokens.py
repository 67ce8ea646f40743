"""Revoked tokens are named one by one up to a bound; beyond it their client loses all of them, and nobody else any."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast_authserver.registry.keeper import Times
from holdfast_authserver.registry.revoked_tokens import Bounds, RevokedBefore, RevokedToken
from tests.authserver.registry.revoking import CLIENT, is_revoked, revoke, token
from tests.authserver.registry.waiting import until
from tests.postgresql import PostgresqlServer
from tests.registry_conformance.backends import MovableClock, open_keeper

THREE = Bounds(per_client=3, total=5)
QUICK = Times(poll=0.02, housekeeping=timedelta(0))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.empty_database()


async def test_up_to_the_bound_each_token_is_named(tmp_path: Path, clock: MovableClock, url: str) -> None:
    end = clock.now + timedelta(minutes=5)
    async with open_keeper(tmp_path, clock, url=url, bounds=THREE) as keeper:
        for i in range(3):
            await revoke(keeper, f"jti-{i}", end)

        assert keeper.revoked.live(clock.now) == ["jti-0", "jti-1", "jti-2"]
        assert keeper.revoked.before == {}


async def test_beyond_the_bound_a_client_loses_all_tokens_issued_so_far(
    tmp_path: Path, clock: MovableClock, url: str
) -> None:
    end, second = clock.now + timedelta(minutes=5), int(clock.now.timestamp())
    async with open_keeper(tmp_path, clock, url=url, bounds=THREE) as keeper:
        await revoke(keeper, "other", end, "fin.pay")
        for i in range(4):
            entry = await keeper.revoke(token(f"jti-{i}", end))
        revoked = keeper.revoked

        assert entry == RevokedBefore(CLIENT, second + 1, datetime.fromtimestamp(second + 1, UTC) + timedelta(hours=24))
        assert revoked.live(clock.now) == ["other"]
        assert revoked.before == {CLIENT: second + 1}
        assert revoked.hold("never named", CLIENT, second)
        assert not revoked.hold("issued since", CLIENT, second + 1)
        assert not revoked.hold("never named", "fin.pay", second)

    async with open_keeper(tmp_path, clock, url=url, bounds=THREE) as again:
        assert (again.revoked.live(clock.now), again.revoked.before) == (["other"], {CLIENT: second + 1})


async def test_a_token_that_a_server_with_a_clock_ahead_issued_is_revoked_with_the_rest(
    tmp_path: Path, clock: MovableClock
) -> None:
    end, ahead = clock.now + timedelta(minutes=5), int(clock.now.timestamp()) + 40
    async with open_keeper(tmp_path, clock, bounds=THREE) as keeper:
        await keeper.revoke(RevokedToken("ahead", CLIENT, ahead, end))
        for i in range(3):
            await revoke(keeper, f"jti-{i}", end)

        assert keeper.revoked.hold("ahead", CLIENT, ahead)
        assert keeper.revoked.live(clock.now) == []


async def test_a_clock_that_is_set_back_gives_no_revoked_token_back(tmp_path: Path, clock: MovableClock, url: str) -> None:
    """Nor does a server that is behind the one which revoked them first."""
    second = int(clock.now.timestamp())
    async with open_keeper(tmp_path, clock, url=url, bounds=THREE) as keeper:
        for i in range(4):
            await revoke(keeper, f"first-{i}", clock.now + timedelta(minutes=5))
        clock.move(minutes=-10)
        for i in range(4):
            entry = await keeper.revoke(token(f"second-{i}", clock.now + timedelta(minutes=5)))

        assert entry == RevokedBefore(CLIENT, second + 1, datetime.fromtimestamp(second + 1, UTC) + timedelta(hours=24))
        assert keeper.revoked.hold("never named", CLIENT, second)

    async with open_keeper(tmp_path, clock, url=url, bounds=THREE) as again:
        assert again.revoked.before == {CLIENT: second + 1}


async def test_what_is_revoked_after_that_is_named_again(tmp_path: Path, clock: MovableClock) -> None:
    end = clock.now + timedelta(minutes=5)
    async with open_keeper(tmp_path, clock, bounds=THREE) as keeper, open_keeper(tmp_path, clock, times=QUICK) as other:
        for i in range(4):
            await revoke(keeper, f"jti-{i}", end)
        clock.move(minutes=2)
        fresh = RevokedToken("fresh", CLIENT, int(clock.now.timestamp()), clock.now + timedelta(minutes=5))
        await keeper.revoke(fresh)

        assert keeper.revoked.live(clock.now) == ["fresh"]
        await until(lambda: is_revoked(other, "fresh"))
        assert other.revoked.live(clock.now) == ["fresh"]
        assert other.revoked.before == keeper.revoked.before


async def test_of_many_clients_the_one_with_the_most_pays_for_a_full_list(
    tmp_path: Path, clock: MovableClock, url: str
) -> None:
    """So that a hundred clients cannot do together what one may not."""
    end = clock.now + timedelta(minutes=5)
    async with open_keeper(tmp_path, clock, url=url, bounds=THREE) as keeper:
        for i, client_id in enumerate(["shop.a", "shop.b", "shop.b", "shop.b", "shop.c"]):
            await revoke(keeper, f"jti-{i}", end, client_id)
        assert keeper.revoked.before == {}
        await revoke(keeper, "one more", end, "shop.c")

        assert set(keeper.revoked.before) == {"shop.b"}
        assert keeper.revoked.live(clock.now) == ["jti-0", "jti-4", "one more"]


async def test_the_entry_for_all_is_kept_as_long_as_any_of_them_may_live(tmp_path: Path, clock: MovableClock) -> None:
    end = clock.now + timedelta(minutes=5)
    async with open_keeper(tmp_path, clock, times=QUICK, bounds=THREE) as keeper:
        for i in range(4):
            await revoke(keeper, f"jti-{i}", end)
        clock.move(hours=24)
        await until(lambda: keeper.cleaned == clock.now)
        assert set(keeper.revoked.before) == {CLIENT}
        clock.move(minutes=1)
        await until(lambda: keeper.cleaned == clock.now)

        assert keeper.revoked.before == {}
    async with open_keeper(tmp_path, clock) as again:
        assert again.revoked.before == {}
