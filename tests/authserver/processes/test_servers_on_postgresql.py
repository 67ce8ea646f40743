"""Two server processes on one PostgreSQL: an assertion counts once, kill -9 loses nothing that was acknowledged, dumps."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.authserver.assertions import ANY_METHOD, AssertingClient
from tests.authserver.processes.server_process import KEY, Caller, ServerProcess, environment, registering, started
from tests.authserver.running import client
from tests.core.x509.authority import Authority
from tests.postgresql import PostgresqlServer

ISSUER = "https://as.example"
WITHIN = 1.0  # second


def _settings(url: str) -> dict[str, Any]:
    return {"database_url": url, "key_encryption_key": KEY, "public_url": ISSUER}


async def _served(caller: Caller, server: ServerProcess) -> httpx.Response:
    """A token, as soon as the server knows its clients."""
    async with asyncio.timeout(10):
        while (answer := await caller.token(server)).status_code != 200:
            assert answer.status_code == 401, answer.text
    return answer


class _Asserting:
    """`shop.asserting` at each of the servers, over the connection of anybody."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.client = AssertingClient()

    async def ask(self, server: ServerProcess, form: dict[str, str]) -> int:
        path = "/oauth2/token"
        return (await server.post(self._caller.certificate, self._caller.folder, path, form)).status_code

    def form(self) -> dict[str, str]:
        return self.client.form_for(ISSUER, grant_type="client_credentials")


async def test_a05_an_assertion_counts_once_across_two_server_processes(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    """At the same moment and one after the other, whichever of them gets it first (A-05)."""
    caller, url = Caller(tmp_path), postgresql.empty_database()
    asserting = _Asserting(caller)
    async with (
        started(tmp_path, name="one", **_settings(url)) as one,
        started(tmp_path, name="two", **_settings(url)) as two,
        registering(url) as registry,
    ):
        await registry.put(client(anchors=[caller.ca]))
        await registry.put(asserting.client.registration(), ANY_METHOD)
        for server in (one, two):
            await _served(caller, server)

        for _ in range(5):
            form = asserting.form()
            at_once = await asyncio.gather(*(asserting.ask(server, form) for server in (one, two) * 2))
            assert Counter(at_once) == {200: 1, 401: 3}
            assert [await asserting.ask(server, form) for server in (two, one)] == [401, 401]
        assert [await asserting.ask(server, asserting.form()) for server in (one, two)] == [200, 200]


async def test_kill_9_of_either_server_loses_nothing_that_was_acknowledged(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    """Right after the answer: what was revoked stays so, and what was used stays used, at the other and at the next one."""
    caller, url = Caller(tmp_path), postgresql.empty_database()
    asserting = _Asserting(caller)

    async def kill(killed: ServerProcess, left: ServerProcess) -> tuple[str, dict[str, str]]:
        """What it acknowledged last: a token revoked and an assertion used."""
        token, used = (await _served(caller, killed)).json()["access_token"], asserting.form()
        await _served(caller, left)
        assert await asserting.ask(killed, used) == 200
        assert await caller.revoke(killed, token) == 200
        os.kill(killed.pid, signal.SIGKILL)
        await asyncio.sleep(WITHIN)
        return token, used

    async def check(left: ServerProcess, token: str, used: dict[str, str]) -> None:
        assert not await caller.active(left, token)
        assert await asserting.ask(left, used) == 401
        assert (await caller.token(left)).status_code == 200

    async with (
        started(tmp_path, name="one", **_settings(url)) as one,
        started(tmp_path, name="two", **_settings(url)) as two,
        registering(url) as registry,
    ):
        await registry.put(client(anchors=[caller.ca]))
        await registry.put(asserting.client.registration(), ANY_METHOD)
        first = await kill(one, left=two)
        await check(two, *first)
        async with started(tmp_path, name="one-again", **_settings(url)) as again:
            second = await kill(two, left=again)
            for token, used in (first, second):
                await check(again, token, used)


async def test_a_dump_of_postgresql_is_restored_as_documented(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    """Clients are back, as another registry: tokens from before are void, whether they were revoked since or not."""
    caller, url = Caller(tmp_path), postgresql.empty_database()
    async with started(tmp_path, name="one", **_settings(url)) as one, registering(url) as registry:
        await registry.put(client(anchors=[caller.ca]))
        tokens = [(await _served(caller, one)).json()["access_token"] for _ in range(2)]
        dump = postgresql.dump(url)
        assert await caller.revoke(one, tokens[0]) == 200
        instance = registry.keeper.snapshot.instance

    postgresql.load(url, dump)
    for command in ("backup", "restore"):
        _holdfast_registry(tmp_path, url, command)
    async with started(tmp_path, name="two", **_settings(url)) as two, registering(url) as registry:
        fresh = (await _served(caller, two)).json()["access_token"]
        assert registry.keeper.snapshot.instance != instance
        assert [await caller.active(two, token) for token in (*tokens, fresh)] == [False, False, True]


def _holdfast_registry(folder: Path, url: str, command: str) -> None:
    own = folder / "commands"
    own.mkdir(exist_ok=True)
    settings = environment(own, Authority.root("CN=Server Root"), **_settings(url))
    holdfast = shutil.which("holdfast", path=str(Path(sys.executable).parent))
    assert holdfast is not None
    file = str(folder / "registry-backup.db")
    done = subprocess.run([holdfast, "registry", command, file], env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
