"""One suite for every registry: on each database, called in the process, and over the admin API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.registry.port import Registry
from tests.postgresql import PostgresqlServer
from tests.registry_conformance.backends import MovableClock, open_keeper, serve_admin
from tests.registry_conformance.registrations import BUILT_IN


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(params=["SQLite, in the process", "SQLite, over the admin API", "PostgreSQL, in the process"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Registry]:
    database, way = request.param.split(", ")
    url = None
    if database == "PostgreSQL":
        postgresql: PostgresqlServer = request.getfixturevalue("postgresql")
        url = postgresql.empty_database()
    async with open_keeper(tmp_path, clock, url=url) as keeper:
        if way == "in the process":
            yield keeper.writer
            return
        async with serve_admin(keeper, tmp_path, clock) as server:
            http = server.registry()
            yield http
            await http.close()


@pytest.fixture
async def term(registry: Registry) -> int:
    term = await registry.open_term("operator-0")
    await registry.put_policy(BUILT_IN, term=term)
    return term
