"""Backup and restore: a registry as one SQLite file, from and to either kind of database.

What is restored counts as another registry, so that no token that was revoked since the backup is good again; the
operator brings clients up to date. Signing keys belong to the registry that is gone and are in no backup. A backup of an
earlier Holdfast is migrated. Neighbours: `opening`, `migrate`.
"""

import shutil
import tempfile
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast_authserver.registry import sqlite_file, writing
from holdfast_authserver.registry.database import Database
from holdfast_authserver.registry.migrate import migrate
from holdfast_authserver.registry.opening import database_at
from holdfast_authserver.registry.sqlite_database import SqliteDatabase
from holdfast_authserver.registry.sqlite_file import FileLost
from holdfast_authserver.registry.tables import metadata, signing_keys

_SECONDS = 60.0  # for everything at once
_TABLES = tuple(table for table in metadata.sorted_tables if table is not signing_keys)
Rows = dict[str, list[dict[str, Any]]]


class BackupError(Exception):
    """One line that names the file."""


async def back_up(url: str, target: Path, now: datetime) -> int:
    """Write the registry at `url` to a new file; answers how many clients are in it. A server may run meanwhile.

    Raises BackupError, ValueError (the URL), DatabaseUnavailable, OSError.
    """
    _check(target, there=False)
    source = database_at(url)
    if isinstance(source, SqliteDatabase) and not source.path.is_file():
        raise BackupError(f"{source.path}: there is no registry")
    rows = await _read(source)
    if not rows["instance"]:
        raise BackupError(f"{source.name}: there is no registry")
    copy = SqliteDatabase(target)
    try:
        async with copy.making(now) as connection:
            await connection.run_sync(migrate)
            await _fill(connection, rows)
    finally:
        await copy.close()
        target.with_name(target.name + ".lock").unlink(missing_ok=True)
    return len(rows["clients"])


async def restore(url: str, source: Path, now: datetime) -> int:
    """Put the content of a backup in the place of what is at `url`; answers how many clients came. Servers may run.

    Raises BackupError, ValueError (the URL), DatabaseUnavailable, OSError.
    """
    rows = await _read_backup(source, now)
    target = database_at(url)
    try:
        async with target.making(now) as connection:
            await connection.run_sync(migrate)
            await _fill(connection, rows)
            await writing.renew_instance(connection, id_=uuid.uuid4().hex, now=now)
    finally:
        await target.close()
    return len(rows["clients"])


async def _read_backup(source: Path, now: datetime) -> Rows:
    _check(source, there=True)
    with tempfile.TemporaryDirectory() as folder:  # the backup itself stays as it is
        file = Path(shutil.copy(source, folder))
        try:
            sqlite_file.check_content(file)
        except FileLost as error:
            raise BackupError(f"{source}: expected a backup of a registry, which is a SQLite file") from error
        copy = SqliteDatabase(file)
        try:
            async with copy.making(now) as connection:
                await connection.run_sync(migrate)
        except BaseException:
            await copy.close()
            raise
        rows = await _read(copy)
    if not rows["instance"]:
        raise BackupError(f"{source}: expected a backup of a registry, found none in it")
    return rows


def _check(file: Path, *, there: bool) -> None:
    if there and not file.is_file():
        raise BackupError(f"{file}: there is no such file")
    if not there and file.exists():
        raise BackupError(f"{file}: expected no file of this name")


async def _read(database: Database) -> Rows:
    """Closes it."""
    try:
        async with database.read(seconds=_SECONDS) as connection:
            return {table.name: await _rows(connection, table) for table in _TABLES}
    finally:
        await database.close()


async def _rows(connection: AsyncConnection, table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def _fill(connection: AsyncConnection, rows: Rows) -> None:
    for table in _TABLES:
        await connection.execute(delete(table))
        if rows[table.name]:
            await connection.execute(insert(table), rows[table.name])
