"""Books of keys as rows of the table `signing_keys`: one for each registry instance, beside the registry of several servers.

Owns the statements. A book is exchanged by one UPDATE that names what it replaces, so that of two servers one comes
second. Knows octets, no keys. Neighbour: `registry`, whose migrations make the table and whose database this borrows.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import select, update

from holdfast.clock import Clock
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.keys.store import EarlierKey
from holdfast_authserver.registry.database import Database, DatabaseUnavailable
from holdfast_authserver.registry.dialect import insert_or_ignore
from holdfast_authserver.registry.tables import signing_keys


class TableStore:
    """A `KeyStore`. `database`: asked at every use, as a lost registry is opened anew."""

    def __init__(self, database: Callable[[], Database], clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def where(self, instance: str) -> str:
        return f"signing_keys {instance} (database_url)"

    async def read(self, instance: str) -> bytes | None:
        async with self._named(instance), self._database().read() as connection:
            value = await connection.scalar(select(signing_keys.c.value).where(signing_keys.c.id == instance))
        return None if value is None else bytes(value)

    async def swap(self, instance: str, old: bytes | None, new: bytes) -> bool:
        async with self._named(instance), self._database().write() as connection:
            row = {"id": instance, "instance": instance, "value": new, "created_at": self._clock()}
            if old is None:
                done = await connection.execute(insert_or_ignore(connection, signing_keys, row))
            else:
                found = (signing_keys.c.id == instance, signing_keys.c.value == old)
                done = await connection.execute(update(signing_keys).where(*found).values(value=new))
            return done.rowcount == 1

    async def earlier(self, instance: str) -> EarlierKey | None:
        """No server ever kept a single key in a database."""
        return None

    async def remove_earlier(self, instance: str) -> None:
        """Nothing is there."""

    @asynccontextmanager
    async def _named(self, instance: str) -> AsyncIterator[None]:
        try:
            yield
        except DatabaseUnavailable as error:
            raise SigningKeyError(f"{self.where(instance)}: {error}") from error
