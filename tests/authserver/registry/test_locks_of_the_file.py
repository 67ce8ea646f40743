"""What is done to the file beside SQLite must leave SQLite its locks, or another process destroys what is in use."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.registry_conformance.backends import MovableClock, open_keeper
from tests.registry_conformance.registrations import BUILT_IN, a_client

_VISIT = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM terms').fetchall(); c.close()"


async def test_the_log_outlives_the_visit_of_another_process_after_a_look_at_the_file(tmp_path: Path) -> None:
    async with open_keeper(tmp_path, MovableClock()) as keeper:
        term = await keeper.writer.open_term("operator-0")
        await keeper.writer.put_policy(BUILT_IN, term=term)
        await keeper.database.changed()
        log = tmp_path / "registry.db-wal"
        before = log.stat().st_ino

        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", _VISIT, str(tmp_path / "registry.db")], check=True)

        assert log.stat().st_ino == before
        await keeper.writer.put_client(a_client(), term=term)

    async with open_keeper(tmp_path, MovableClock()) as again:
        assert "shop.orders" in again.snapshot.clients
