"""A database that is closed while somebody reads it: the read ends first, and its connection with it."""

import asyncio
import gc
import warnings
from pathlib import Path

from sqlalchemy import text

from holdfast_authserver.registry.sqlite_database import SqliteDatabase
from tests.authserver.running import MovingClock


async def test_a_read_under_way_ends_before_the_file_is_let_go(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "registry.db")
    async with database.making(MovingClock().now) as connection:
        await connection.execute(text("create table one (number integer)"))
    reading, may_end = asyncio.Event(), asyncio.Event()

    async def read() -> int:
        async with database.read() as connection:
            reading.set()
            await may_end.wait()
            return int((await connection.execute(text("select count(*) from one"))).scalar_one())

    reader = asyncio.create_task(read())
    await reading.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    assert not closing.done()
    may_end.set()
    assert await reader == 0
    await closing
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)  # a connection that was forgotten says so when it is collected
        gc.collect()
