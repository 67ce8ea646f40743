"""A server for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.authserver.running import RunningServer, client, running


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """With one client, `shop.orders`, under the server's `ca`."""
    async with running(tmp_path) as started:
        await started.put(client(anchors=[started.ca]))
        yield started
