"""Opens the store: one process at a time makes the file, brings its tables to the newest form, and gives it an identity.

Neighbours: `sqlite_file` (the file), `migrate` (the tables), `keeper`, which calls this at start and after a loss.
"""

import asyncio
import os
import uuid
from datetime import datetime

from holdfast_authserver.registry import reading, sqlite_file, writing
from holdfast_authserver.registry.database import Database
from holdfast_authserver.registry.migrate import migrate
from holdfast_authserver.registry.reading import InstanceRow


async def open_instance(database: Database, now: datetime) -> InstanceRow:
    """Who the store is; a new one where there was none, or a broken one.

    Raises OSError, `alembic.util.CommandError`, DatabaseUnavailable.
    """
    lock = await asyncio.to_thread(sqlite_file.lock, database.path)
    try:
        await asyncio.to_thread(sqlite_file.prepare, database.path, now)
        async with database.write() as connection:
            await connection.run_sync(migrate)
            found = await reading.read_instance(connection)
            if found is None:
                await writing.insert_instance(connection, id_=uuid.uuid4().hex, now=now)
                found = await reading.read_instance(connection)
            assert found is not None
            return found
    finally:
        os.close(lock)


async def set_aside(database: Database, now: datetime, why: str) -> None:
    """Move the file of `database` away, which broke while it was in use."""
    if database.identity is None:
        return
    lock = await asyncio.to_thread(sqlite_file.lock, database.path)
    try:
        sqlite_file.set_aside_if(database.path, database.identity, now, why)
    finally:
        os.close(lock)
