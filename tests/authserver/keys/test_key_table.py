"""Keys in the database of the registry: several servers, one ring, encrypted or not at all."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from holdfast_authserver.keys import rotation
from holdfast_authserver.keys.envelope import Envelope
from holdfast_authserver.keys.opening import open_ring
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.keys.table_store import TableStore
from holdfast_authserver.registry.database import Database
from holdfast_authserver.registry.opening import database_at, open_instance
from holdfast_authserver.registry.tables import signing_keys
from holdfast_authserver.settings import Settings
from tests.authserver.keys.rings import START
from tests.authserver.running import MovingClock
from tests.postgresql import PostgresqlServer

ENVELOPE = Envelope(key=os.urandom(32))


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.empty_database()


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    """A connection of one server; the tables are made."""
    database = database_at(url)
    try:
        await open_instance(database, START)
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with _database(url) as database:
        yield database


def _ring(database: Database, clock: MovingClock, *, envelope: Envelope = ENVELOPE, instance: str = "one") -> KeyRing:
    return KeyRing(TableStore(lambda: database, clock), clock, instance=lambda: instance, envelope=envelope)


async def _value(database: Database) -> bytes:
    async with database.read() as connection:
        return bytes((await connection.execute(select(signing_keys.c.value))).scalar_one())


async def test_servers_that_come_at_the_same_moment_end_with_one_ring(url: str, database: Database) -> None:
    """At the first start, and when all of them rotate (J-08)."""
    clock = MovingClock(START)
    async with _database(url) as second, _database(url) as third:
        rings = [_ring(each, clock) for each in (database, second, third, database, second)]
        for days in (0.0, 30.5):
            clock.now = START + timedelta(days=days)
            await asyncio.gather(*(ring.refresh() for ring in rings))
            await asyncio.gather(*(ring.refresh() for ring in rings))

    assert len({ring.book for ring in rings}) == 1
    assert len(rings[0].published()) == 3


async def test_what_one_server_does_the_other_sees(url: str, database: Database) -> None:
    clock = MovingClock(START)
    async with _database(url) as second:
        ring, other = _ring(database, clock), _ring(second, clock)
        await ring.refresh()
        await other.refresh()
        stolen, token = ring.signing(), other.seal(b"x")

        await other.change(lambda book: rotation.without(book, stolen.kid, clock.now, other.times))
        await ring.refresh()

    assert ring.unseal(token) == b"x"
    assert ring.find(stolen.kid) is None
    assert ring.signing().kid == other.signing().kid


async def test_the_table_holds_nothing_that_can_be_read(database: Database) -> None:
    ring = _ring(database, MovingClock(START))
    await ring.refresh()

    value = await _value(database)

    assert all(record.secret not in value for record in ring.book.keys)
    assert b"ciphertext" in value


async def test_the_wrong_encryption_key_changes_nothing(database: Database) -> None:
    await _ring(database, MovingClock(START)).refresh()
    value = await _value(database)

    with pytest.raises(SigningKeyError, match="another key"):
        await _ring(database, MovingClock(START), envelope=Envelope(key=os.urandom(32))).refresh()
    assert await _value(database) == value


async def test_the_row_of_another_instance_does_not_open(database: Database) -> None:
    await _ring(database, MovingClock(START)).refresh()
    async with database.write() as connection:
        await connection.execute(update(signing_keys).values(id="two", instance="two"))

    with pytest.raises(SigningKeyError, match="signing_keys two"):
        await _ring(database, MovingClock(START), instance="two").refresh()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "key_encryption_key"),
        ({"key_encryption_key": "A" * 43 + "=", "key_encryption_key_previous": "none"}, "previous"),
    ],
)
def test_a_database_without_encryption_is_refused(changes: dict[str, str], expected: str) -> None:
    settings = Settings.model_validate({"database_url": "postgresql+asyncpg://somebody@127.0.0.1/holdfast", **changes})

    with pytest.raises(SigningKeyError, match=expected):
        open_ring(
            settings.key_options,
            MovingClock(START),
            instance=lambda: "one",
            database=lambda: database_at("sqlite+aiosqlite:///x"),
        )
