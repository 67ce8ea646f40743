"""A registry that cannot be asked is answered from until a stated age, and no longer; and comes back by itself."""

from collections.abc import Iterator
from pathlib import Path
from signal import SIGQUIT
from typing import Any

import httpx
import pytest

from tests.authserver.registry.waiting import until
from tests.authserver.running import RunningServer, client, running, token_form
from tests.postgresql import PostgresqlServer

SETTINGS: dict[str, Any] = {
    "ops_port": 0,
    "max_staleness": 2,
    "ready_staleness": 1,
    "key_encryption_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}


@pytest.fixture
def postgresql_of_its_own() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        yield server


async def _ready(server: RunningServer) -> int:
    host, port = server.server.addresses["ops"]
    async with httpx.AsyncClient() as http:
        return (await http.get(f"http://{host}:{port}/readyz")).status_code


def _age(server: RunningServer) -> float:
    keeper = server.server._keeper
    assert keeper is not None
    return keeper.age


async def test_tokens_go_on_for_a_while_without_the_database_then_stop_and_come_back(
    tmp_path: Path, postgresql_of_its_own: PostgresqlServer
) -> None:
    postgresql = postgresql_of_its_own
    async with running(tmp_path, database_url=postgresql.make_database(), **SETTINGS) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        token = (await server.token(certificate)).json()["access_token"]
        assert await _ready(server) == 200

        postgresql.stop(SIGQUIT)
        assert (await server.token(certificate)).status_code == 200
        async with server.http(certificate) as http:
            revoked = await http.post(server.revocation_endpoint, data={"client_id": "shop.orders", "token": token})
        assert (revoked.status_code, revoked.json()["error"]) == (503, "temporarily_unavailable")
        assert int(revoked.headers["retry-after"]) > 0

        await until(lambda: _age(server) > 1)
        assert await _ready(server) == 503
        await until(lambda: _age(server) > 2)
        for url, form in (
            (server.token_endpoint, token_form()),
            (server.introspection_endpoint, {"client_id": "shop.orders", "token": token}),
        ):
            async with server.http(certificate) as http:
                refused = await http.post(url, data=form)
            assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
            assert int(refused.headers["retry-after"]) > 0

        postgresql.start()
        await until(lambda: _age(server) < 1)
        assert await _ready(server) == 200
        assert (await server.token(certificate)).status_code == 200
        assert (await server.introspect(certificate, token))["active"] is True
