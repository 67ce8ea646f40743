"""Backup and restore: everything comes back but the tokens, on either database and from one to the other."""

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast_authserver.registry.backup import BackupError, back_up, restore
from holdfast_authserver.registry.keeper import RegistryKeeper, Times
from tests.authserver.registry.revoking import is_revoked, revoke
from tests.authserver.registry.waiting import until
from tests.postgresql import PostgresqlServer
from tests.registry_conformance.backends import MovableClock, open_keeper
from tests.registry_conformance.registrations import BUILT_IN, a_client, an_api, authority
from tests.registry_conformance.revocation_lists import a_crl
from tests.registry_conformance.test_denials_port import A

RECORDED = Path(__file__).parent / "recorded" / "v0001.db"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "SQLite":
        return f"sqlite+aiosqlite:///{tmp_path}/registry.db"
    postgresql: PostgresqlServer = request.getfixturevalue("postgresql")
    return postgresql.empty_database()


async def _fill(keeper: RegistryKeeper, clock: MovableClock) -> int:
    term = await keeper.writer.open_term("operator-0")
    await keeper.writer.put_policy(BUILT_IN, term=term)
    await keeper.writer.put_client(an_api(), term=term)
    await keeper.writer.put_denied_thumbprints(frozenset({A}), term=term)
    await keeper.writer.put_revocation_lists((a_crl(authority(), [1]),), term=term)
    await revoke(keeper, "jti-1", clock.now + timedelta(hours=1))
    return term


async def test_a_running_server_takes_a_restored_registry_as_another_one(
    url: str, tmp_path: Path, clock: MovableClock
) -> None:
    file = tmp_path / "backup.db"
    async with open_keeper(tmp_path, clock, times=Times(poll=0.05), url=url) as keeper:
        term = await _fill(keeper, clock)
        before = keeper.snapshot
        assert await back_up(url, file, clock()) == 1
        await keeper.writer.put_client(a_client(name="later"), term=term)
        await revoke(keeper, "jti-2", clock.now + timedelta(hours=1))

        assert await restore(url, file, clock()) == 1

        await until(lambda: keeper.snapshot.instance != before.instance and "shop.orders" in keeper.snapshot.clients)
        assert list(keeper.snapshot.clients) == ["shop.orders"]
        assert keeper.snapshot.denied_thumbprints == before.denied_thumbprints
        assert keeper.snapshot.revocation_lists == before.revocation_lists
        assert is_revoked(keeper, "jti-1")
        assert not is_revoked(keeper, "jti-2")  # void all the same: it is of the registry that is gone
        assert keeper.snapshot.instance_created == clock().replace(microsecond=0)


async def test_a_registry_moves_from_sqlite_to_postgresql(
    tmp_path: Path, postgresql: PostgresqlServer, clock: MovableClock
) -> None:
    async with open_keeper(tmp_path, clock) as keeper:
        await _fill(keeper, clock)
    target = postgresql.empty_database()
    await back_up(f"sqlite+aiosqlite:///{tmp_path}/registry.db", tmp_path / "backup.db", clock())
    await restore(target, tmp_path / "backup.db", clock())

    async with open_keeper(tmp_path, clock, url=target) as moved:
        assert list(moved.snapshot.clients) == ["shop.orders"]


async def test_a_backup_of_the_first_form_is_restored_and_stays_as_it_was(
    url: str, tmp_path: Path, clock: MovableClock
) -> None:
    file, recorded = Path(shutil.copy(RECORDED, tmp_path / "old.db")), RECORDED.read_bytes()

    assert await restore(url, file, clock()) == 3  # with the one that was deleted

    assert file.read_bytes() == recorded  # noqa: ASYNC240 - a test may wait for a file
    async with open_keeper(tmp_path, clock, url=url) as keeper:
        assert sorted(keeper.snapshot.clients) == ["shop.long", "shop.orders"]


async def test_what_is_no_backup_changes_nothing(tmp_path: Path, clock: MovableClock) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/registry.db"
    (tmp_path / "text").write_bytes(b"no database")
    async with open_keeper(tmp_path, clock, url=url) as keeper:
        await _fill(keeper, clock)
        for name in ("text", "nothing"):
            with pytest.raises(BackupError, match=name):
                await restore(url, tmp_path / name, clock())
        with pytest.raises(BackupError, match="text"):
            await back_up(url, tmp_path / "text", clock())
        await keeper.refresh()
        assert "shop.orders" in keeper.snapshot.clients


async def test_the_commands_of_the_manual_work(tmp_path: Path, clock: MovableClock) -> None:
    async with open_keeper(tmp_path, clock) as keeper:
        await _fill(keeper, clock)
    environment = os.environ | {"HOLDFAST_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/registry.db"}
    command = [str(Path(sys.executable).with_name("holdfast")), "registry"]

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=60)

    saved = run("backup", str(tmp_path / "backup.db"))
    assert (saved.returncode, saved.stderr) == (0, "")
    again = run("backup", str(tmp_path / "backup.db"))
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    (tmp_path / "registry.db").unlink()
    restored = run("restore", str(tmp_path / "backup.db"))
    assert (restored.returncode, restored.stderr) == (0, "")
    async with open_keeper(tmp_path, clock) as keeper:
        assert list(keeper.snapshot.clients) == ["shop.orders"]
