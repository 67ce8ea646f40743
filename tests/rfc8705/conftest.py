"""One real server for each module, with clients of several kinds; every test asks it over real TLS."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.authserver.running import RunningServer, client, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """`shop.orders` and `shop.cart` under the server's `ca`, each known by its SPIFFE URI."""
    async with running(tmp_path_factory.mktemp("server")) as started:
        await started.put(client("shop.orders", anchors=[started.ca]))
        await started.put(client("shop.cart", anchors=[started.ca]))
        yield started
