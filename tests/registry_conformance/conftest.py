"""One suite for every registry: called in the process, and over the admin API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.registry.port import Registry
from tests.registry_conformance.backends import MovableClock, open_keeper, serve_admin
from tests.registry_conformance.registrations import BUILT_IN


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(params=["in the process", "over the admin API"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Registry]:
    async with open_keeper(tmp_path, clock) as keeper:
        if request.param == "in the process":
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
