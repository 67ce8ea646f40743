"""Several workers, and several servers, as one: what one acknowledges all know, and none leaves anything behind."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.authserver.processes.server_process import (
    KEY,
    Caller,
    ServerProcess,
    alive,
    environment,
    registering,
    started,
)
from tests.authserver.registry.waiting import until
from tests.authserver.running import client
from tests.core.x509.authority import Authority
from tests.postgresql import PostgresqlServer

WITHIN = 1.0  # second


def _sqlite(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'registry.db'}"


async def test_two_workers_serve_on_the_same_ports_and_follow_a_change_within_a_second(tmp_path: Path) -> None:
    caller = Caller(tmp_path)
    url = _sqlite(tmp_path)
    async with started(tmp_path, workers=2, database_url=url) as server, registering(url) as registry:
        orders = client(anchors=[caller.ca])
        await registry.put(orders)
        await asyncio.sleep(WITHIN)
        answers = [await caller.token(server) for _ in range(12)]
        assert {answer.status_code for answer in answers} == {200}
        tokens = (await server.operations("/metrics")).text
        assert 'holdfast_authserver_answers_total{endpoint="token",outcome="ok"} 12.0' in tokens
        assert 'holdfast_authserver_registered_clients{worker="0"} 1.0' in tokens
        assert 'holdfast_authserver_registered_clients{worker="1"} 1.0' in tokens

        await registry.put(replace(orders, suspended=True, owner=replace(orders.owner, generation=2)))
        await asyncio.sleep(WITHIN)
        refused = {(await caller.token(server)).status_code for _ in range(12)}
        assert 200 not in refused


async def test_the_flag_of_the_command_starts_workers_whatever_the_environment_says(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "holdfast_cli.main", "authserver", "--workers", "2")
    async with started(tmp_path, command=command, workers=1) as server:
        assert len(server.children()) == 2
        assert 'worker="1"' in (await server.operations("/metrics")).text


@pytest.mark.parametrize("value", ["0", "257", "two"])
def test_a_number_of_workers_that_cannot_be_is_told_by_its_flag(value: str) -> None:
    command = [sys.executable, "-m", "holdfast_cli.main", "authserver", "--workers", value]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "--workers" in done.stderr


async def test_a_worker_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    caller = Caller(tmp_path)
    url = _sqlite(tmp_path)
    async with started(tmp_path, workers=2, database_url=url) as server:
        async with registering(url) as registry:
            await registry.put(client(anchors=[caller.ca]))
        await asyncio.sleep(WITHIN)
        token = (await caller.token(server)).json()["access_token"]
        assert await caller.revoke(server, token) == 200

        before = server.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: len(set(server.children()) - set(before)) == 2, 20)
        await _until_ready(server)

        assert (await caller.token(server)).status_code == 200
        assert not await caller.active(server, token)


async def _until_ready(server: ServerProcess) -> None:
    async with asyncio.timeout(20):
        while (await server.operations("/readyz")).status_code != 200:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_the_server_is_not_ready_while_a_worker_is_not(tmp_path: Path) -> None:
    async with started(tmp_path, workers=2, database_url=_sqlite(tmp_path)) as server:
        await _until_ready(server)
        hanging = server.children()[0]
        os.kill(hanging, signal.SIGSTOP)
        try:
            answer = await server.operations("/readyz")
            assert (answer.status_code, answer.json()["ready"]) == (503, False)
            assert (await server.operations("/healthz")).json() == {"status": "ok", "workers": 1}
        finally:
            os.kill(hanging, signal.SIGCONT)
        await _until_ready(server)


async def test_a_parent_that_is_killed_leaves_no_worker(tmp_path: Path) -> None:
    async with started(tmp_path, workers=2, database_url=_sqlite(tmp_path)) as server:
        workers = server.children()
        assert len(workers) == 2
        server.process.kill()
        server.process.wait(5)

        await until(lambda: not any(alive(pid) for pid in workers))


async def test_sigterm_ends_parent_and_workers_in_order(tmp_path: Path) -> None:
    async with started(tmp_path, workers=2, database_url=_sqlite(tmp_path)) as server:
        workers = server.children()

        assert server.stop() == 0
        assert not any(alive(pid) for pid in workers)


@pytest.mark.parametrize(
    ("setting", "value"), [("public_tls_cert_file", "/nowhere/tls.crt"), ("database_url", "nothing:///")]
)
def test_workers_that_cannot_start_end_the_server_with_its_cause(tmp_path: Path, setting: str, value: str) -> None:
    settings = environment(tmp_path, Authority.root("CN=Server Root"), workers=2, **{setting: value})
    command = [sys.executable, "-m", "holdfast_authserver.server"]

    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=30)

    assert done.returncode == 2
    assert setting in done.stderr
    assert "Traceback" not in done.stderr


async def test_two_servers_on_one_postgresql_refuse_a_suspended_client_within_a_second(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    caller = Caller(tmp_path)
    url = postgresql.empty_database()
    settings = {"database_url": url, "key_encryption_key": KEY, "public_url": "https://as.example"}
    async with (
        started(tmp_path, name="one", **settings) as one,
        started(tmp_path, name="two", **settings) as two,
        registering(url) as registry,
    ):
        orders = client(anchors=[caller.ca])
        await registry.put(orders)
        await asyncio.sleep(WITHIN)
        token = (await caller.token(one)).json()["access_token"]
        assert await caller.active(two, token)

        assert await caller.revoke(one, token) == 200
        await asyncio.sleep(WITHIN)
        assert not await caller.active(two, token)

        kept = (await caller.token(two)).json()["access_token"]
        assert await caller.revoke(two, kept) == 200
        two.process.kill()
        await asyncio.sleep(WITHIN)
        assert not await caller.active(one, kept)
        assert not await caller.active(one, token)

        await registry.put(replace(orders, suspended=True, owner=replace(orders.owner, generation=2)))
        await asyncio.sleep(WITHIN)
        assert (await caller.token(one)).status_code != 200
        async with started(tmp_path, name="three", **settings) as three:
            assert (await caller.token(three)).status_code != 200
