"""The registry in PostgreSQL: several servers, one truth; and what becomes of it when the database is away or another."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from signal import SIGQUIT

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from holdfast.registry.port import RegistrationRefused, RegistryUnavailable, StaleTerm
from holdfast_authserver.registry.keeper import RegistryKeeper, RegistryOpenError, Times
from holdfast_authserver.registry.tables import metadata
from tests.authserver.registry.revoking import is_revoked, revoke
from tests.authserver.registry.waiting import until
from tests.postgresql import PostgresqlServer
from tests.registry_conformance.backends import MovableClock, open_keeper
from tests.registry_conformance.registrations import BUILT_IN, a_client, an_api

SLOW = Times(poll=30)
"""Only a notification comes sooner."""
QUICK = Times(poll=0.05)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresqlServer]:
    """For tests that stop it."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture
async def keeper(postgresql: PostgresqlServer, tmp_path: Path, clock: MovableClock) -> AsyncIterator[RegistryKeeper]:
    async with open_keeper(tmp_path, clock, times=QUICK, url=postgresql.empty_database()) as keeper:
        yield keeper


@asynccontextmanager
async def beside(keeper: RegistryKeeper, clock: MovableClock, times: Times = QUICK) -> AsyncIterator[RegistryKeeper]:
    """Another server on the same database."""
    async with open_keeper(Path(), clock, times=times, url=keeper.url) as other:
        yield other


async def _fill(keeper: RegistryKeeper) -> int:
    term = await keeper.writer.open_term("operator-0")
    await keeper.writer.put_policy(BUILT_IN, term=term)
    await keeper.writer.put_client(an_api(), term=term)
    return term


def _database(keeper: RegistryKeeper) -> str:
    return keeper.url.rpartition("/")[2]


async def test_the_migrations_lead_to_the_tables_in_postgresql(keeper: RegistryKeeper) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with keeper.database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_notification_brings_a_change_to_the_other_server(keeper: RegistryKeeper, clock: MovableClock) -> None:
    async with beside(keeper, clock, SLOW) as other:
        term = await _fill(keeper)
        assert await until(lambda: "shop.orders" in other.snapshot.clients) < 1

        await keeper.writer.put_client(an_api(suspended=True, generation=2), term=term)
        assert await until(lambda: other.snapshot.clients["shop.orders"].metadata.suspended) < 1

        await revoke(keeper, "jti-1", clock.now + timedelta(minutes=5))
        assert await until(lambda: is_revoked(other, "jti-1")) < 1


async def test_a_look_brings_a_change_where_no_notification_comes(
    keeper: RegistryKeeper, clock: MovableClock, postgresql: PostgresqlServer
) -> None:
    term = await _fill(keeper)
    async with beside(keeper, clock) as other:
        revision = other.snapshot.revision
        postgresql.sql("UPDATE clients SET revision = revision + 10; UPDATE instance SET revision = 10", _database(keeper))
        assert await until(lambda: other.snapshot.revision == 10) < 1
        assert revision < 10
        await keeper.writer.confirm(term=term)
        assert await until(lambda: other.snapshot.confirmed) < 1


async def test_writers_of_two_servers_lose_nothing_and_one_term_holds(keeper: RegistryKeeper, clock: MovableClock) -> None:
    async with beside(keeper, clock) as other:
        terms = await asyncio.gather(*(k.writer.open_term("x") for k in (keeper, other) * 4))
        assert len(set(terms)) == 8
        term = max(terms)
        await keeper.writer.put_policy(BUILT_IN, term=term)
        clients = [a_client("shop", f"c{i}") for i in range(20)]
        await asyncio.gather(*((keeper, other)[i % 2].writer.put_client(c, term=term) for i, c in enumerate(clients)))

        assert len(await keeper.writer.list_clients()) == 20
        assert (await keeper.writer.describe()).revision == 20
        await until(lambda: len(keeper.snapshot.clients) == len(other.snapshot.clients) == 20)
        with pytest.raises(StaleTerm):
            await other.writer.put_client(clients[0], term=min(terms))


async def test_one_of_two_servers_gets_an_audience_that_both_claim_at_once(
    keeper: RegistryKeeper, clock: MovableClock
) -> None:
    audience = "https://x.shop.svc"
    async with beside(keeper, clock) as other:
        term = await keeper.writer.open_term("operator-0")
        await keeper.writer.put_policy(BUILT_IN, term=term)
        outcomes = await asyncio.gather(
            *(k.writer.put_client(an_api("shop", name, audience), term=term) for k, name in ((keeper, "x"), (other, "y"))),
            return_exceptions=True,
        )

        assert sum(isinstance(outcome, RegistrationRefused) for outcome in outcomes) == 1


async def test_an_assertion_is_taken_once_across_servers(keeper: RegistryKeeper, clock: MovableClock) -> None:
    """(A-05)"""
    end = clock.now + timedelta(minutes=1)
    async with beside(keeper, clock) as other:
        for i in range(10):
            taken = await asyncio.gather(*(k.remember_assertion("a", f"jti-{i}", end) for k in (keeper, other) * 2))
            assert sorted(taken) == [False, False, False, True]


async def test_what_postgresql_cannot_keep_is_refused_not_unavailable(keeper: RegistryKeeper) -> None:
    term = await _fill(keeper)

    with pytest.raises(RegistrationRefused):
        await keeper.writer.put_client(a_client("shop", "nul", uid="a\0b"), term=term)
    with pytest.raises(RegistrationRefused):
        await keeper.writer.get_client("a\0b")


async def test_a_database_that_was_emptied_is_a_new_registry_for_both_servers(
    keeper: RegistryKeeper, clock: MovableClock, postgresql: PostgresqlServer
) -> None:
    term = await _fill(keeper)
    async with beside(keeper, clock) as other:
        before = keeper.snapshot.instance
        postgresql.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", _database(keeper))

        await until(lambda: before not in {keeper.snapshot.instance, other.snapshot.instance})
        assert keeper.snapshot.instance == other.snapshot.instance
        assert not keeper.snapshot.clients
        with pytest.raises(StaleTerm):
            await keeper.writer.put_policy(BUILT_IN, term=term)


async def test_an_older_copy_is_a_new_registry_with_the_same_clients(
    keeper: RegistryKeeper, postgresql: PostgresqlServer
) -> None:
    """Otherwise what was revoked since would be good again."""
    await _fill(keeper)
    before = keeper.snapshot
    postgresql.sql("UPDATE instance SET revision = revision - 1", _database(keeper))

    await until(lambda: keeper.snapshot.instance != before.instance, 40)
    await until(lambda: keeper.snapshot.clients.keys() == before.clients.keys())


async def test_two_registries_in_one_database_are_trouble_not_a_loss(
    keeper: RegistryKeeper, postgresql: PostgresqlServer
) -> None:
    """As in the middle of a restore: nothing is begun anew."""
    await _fill(keeper)
    postgresql.sql("INSERT INTO instance SELECT 'other', created_at, 0, 0, '' FROM instance", _database(keeper))

    with pytest.raises(RegistryUnavailable):
        await keeper.writer.describe()
    assert "shop.orders" in keeper.snapshot.clients

    postgresql.sql("DELETE FROM instance WHERE id = 'other'", _database(keeper))
    await keeper.writer.describe()


async def test_a_dropped_database_is_unavailable_and_a_new_one_a_new_registry(
    own_server: PostgresqlServer, tmp_path: Path, clock: MovableClock
) -> None:
    url = own_server.make_database()
    async with open_keeper(tmp_path, clock, times=QUICK, url=url) as keeper:
        await _fill(keeper)
        before = keeper.snapshot.instance
        own_server.drop_database(url)
        with pytest.raises(RegistryUnavailable):
            await keeper.writer.describe()
        assert (keeper.snapshot.instance, list(keeper.snapshot.clients)) == (before, ["shop.orders"])

        own_server.sql(f"CREATE DATABASE {_database(keeper)}")
        await until(lambda: keeper.snapshot.instance != before)
        assert not keeper.snapshot.clients


async def test_a_database_that_crashed_comes_back_with_what_was_acknowledged(
    own_server: PostgresqlServer, tmp_path: Path, clock: MovableClock
) -> None:
    async with open_keeper(tmp_path, clock, times=QUICK, url=own_server.make_database()) as keeper:
        term = await _fill(keeper)
        before = keeper.snapshot
        own_server.stop(SIGQUIT)
        with pytest.raises(RegistryUnavailable) as refused:
            await revoke(keeper, "jti-1", clock.now + timedelta(minutes=5))
        assert refused.value.retry_after
        assert keeper.snapshot.clients is before.clients

        own_server.start()
        await keeper.writer.put_client(a_client(name="later"), term=term)
        assert keeper.snapshot.instance == before.instance
        assert sorted(keeper.snapshot.clients) == ["shop.later", "shop.orders"]


async def test_a_database_that_hangs_keeps_nobody_waiting_for_long_and_comes_back(
    own_server: PostgresqlServer, tmp_path: Path, clock: MovableClock
) -> None:
    loop = asyncio.get_running_loop()
    async with open_keeper(tmp_path, clock, times=QUICK, url=own_server.make_database()) as keeper:
        await _fill(keeper)
        own_server.pause()
        begun = loop.time()
        try:
            with pytest.raises(RegistryUnavailable):
                await keeper.writer.describe()
            assert loop.time() - begun < 15
            assert "shop.orders" in keeper.snapshot.clients
            assert keeper.age > 5
        finally:
            own_server.resume()

        await until(lambda: keeper.age < 1, 20)
        await revoke(keeper, "jti-1", clock.now + timedelta(minutes=5))


async def test_a_database_that_cannot_be_reached_at_the_start_is_one_line_without_password(clock: MovableClock) -> None:
    with pytest.raises(RegistryOpenError) as refused:
        await RegistryKeeper.open("postgresql+asyncpg://holdfast:secret@127.0.0.1:1/registry", clock)

    assert "127.0.0.1" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql+asyncpg://u:secret@h", "postgresql+asyncpg://u:secret@h:x/d"])
async def test_a_url_without_database_is_refused_without_its_password(clock: MovableClock, url: str) -> None:
    with pytest.raises(ValueError, match="database_url: expected postgresql") as refused:
        await RegistryKeeper.open(url, clock)

    assert "secret" not in str(refused.value)
