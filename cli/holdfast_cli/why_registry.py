"""One client as the authorization server would serve it, read from the registry's store without touching it.

Owns opening the store for reading alone. Neighbours: `why_steps` judges, the server's `registry` package knows the tables.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from holdfast.oauth.client_metadata import InvalidClientMetadata
from holdfast.x509.revocation_list import RevocationList, RevocationListError
from holdfast.x509.revocation_standing import RevocationLists
from holdfast_authserver.registry import reading
from holdfast_authserver.registry.denials import read_denials
from holdfast_authserver.registry.snapshot import ClientChange, ServedClient, apply_changes

_LOG = logging.getLogger(__name__)
_SQLITE = "sqlite+aiosqlite:///"


class StoreUnreadable(Exception):
    """The registry cannot be read; one line that names it."""


@dataclass(frozen=True, slots=True)
class Served:
    """`client` None: nobody of this id is registered. `denied`, `lists`: of the whole registry."""

    client: ServedClient | None
    denied: frozenset[str]
    lists: RevocationLists
    revision: int


def read_served(url: str, client_id: str) -> Served:
    """`url`: as the setting `database_url`. Raises StoreUnreadable."""
    return asyncio.run(_read(url, client_id))


async def _read(url: str, client_id: str) -> Served:
    try:
        async with _connected(url) as connection:
            instance = await reading.read_instance(connection)
            if instance is None:
                raise StoreUnreadable(f"registry {_shown(url)}: it is empty")
            denials = await read_denials(connection)
            client = await _served(connection, client_id)
    except (SQLAlchemyError, OSError, ValueError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreUnreadable(f"registry {_shown(url)}: it cannot be read: {cause}") from error
    return Served(client, denials.thumbprints, RevocationLists.of(_lists(denials.crls)), instance.revision)


async def _served(connection: AsyncConnection, client_id: str) -> ServedClient | None:
    row = await reading.read_row(connection, client_id)
    if row is None or row.deleted_at is not None:
        return None
    try:
        stored = await reading.read_client(connection, client_id)
    except InvalidClientMetadata as error:
        raise StoreUnreadable(f"client {client_id}: its registration cannot be read: {error}") from error
    metadata = None if stored is None else stored.metadata
    change = ClientChange(client_id, metadata, await reading.read_policy(connection, row.policy), row.since)
    clients, _ = apply_changes({}, {}, [change])
    return clients.get(client_id)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction that cannot write."""
    engine = create_async_engine(_read_only(url))
    try:
        async with engine.connect() as connection:
            if not url.startswith(_SQLITE):
                connection = await connection.execution_options(postgresql_readonly=True)
            yield connection
    finally:
        await engine.dispose()


def _read_only(url: str) -> str:
    """A file is opened as one that must exist, and for reading."""
    if not url.startswith(_SQLITE):
        return url
    path = Path(url.removeprefix(_SQLITE))
    if not path.is_file():
        raise StoreUnreadable(f"registry {path}: there is no such file")
    return f"{_SQLITE}file:{quote(str(path))}?mode=ro&uri=true"


def _lists(crls: tuple[bytes, ...]) -> list[RevocationList]:
    found = []
    for der in crls:
        try:
            found.append(RevocationList.from_der(der))
        except RevocationListError as error:
            _LOG.warning("a revocation list of the registry is left out: %s", error)
    return found


def _shown(url: str) -> str:
    """Without user and password."""
    return url.split("@")[-1]
