"""Opens the store: one process at a time makes it, brings its tables to the newest form, and gives it an identity.

Owns which database a URL means, and when a store counts as another registry than before. Neighbours: `sqlite_database`,
`postgresql_database`, `migrate` (the tables), `keeper`, which calls this at start and after a loss.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime

from holdfast_authserver.registry import reading, writing
from holdfast_authserver.registry.database import POSTGRESQL, Database
from holdfast_authserver.registry.migrate import migrate
from holdfast_authserver.registry.reading import InstanceRow
from holdfast_authserver.registry.sqlite_database import PREFIX as SQLITE
from holdfast_authserver.registry.sqlite_database import SqliteDatabase, path_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a registry had come when this process saw it last."""

    instance: str
    revision: int


def database_at(url: str) -> Database:
    """Not connected yet. Raises ValueError for a URL that names no database we know."""
    if url.startswith(POSTGRESQL):
        from holdfast_authserver.registry.postgresql_database import PostgresqlDatabase  # its driver stays in memory

        return PostgresqlDatabase(url)
    if url.startswith(SQLITE):
        return SqliteDatabase(path_of(url))
    found = url.split("@")[-1]
    raise ValueError(f"database_url: expected {SQLITE}PATH or {POSTGRESQL}USER@HOST/DATABASE, found {found}")


async def open_instance(database: Database, now: datetime, before: Seen | None = None) -> InstanceRow:
    """Who the store is; a new one where there was none, or a broken one, or an older copy than was seen `before`.

    Raises OSError, TablesUnknown, DatabaseUnavailable.
    """
    async with database.making(now) as connection:
        await connection.run_sync(migrate)
        found = await reading.read_instance(connection)
        if found is None:
            await writing.insert_instance(connection, id_=uuid.uuid4().hex, now=now)
        elif before is not None and found.id == before.instance and found.revision < before.revision:
            # An older copy brings tokens back that were revoked since: they end with the registry they are of.
            _LOG.error("%s is an older copy of the registry; it counts as a new one", database.name)
            await writing.renew_instance(connection, id_=uuid.uuid4().hex, now=now)
        else:
            return found
        made = await reading.read_instance(connection)
        assert made is not None
        return made
