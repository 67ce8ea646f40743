"""Connections to a PostgreSQL database that several servers share.

Owns locks, time bounds, the notification that wakes other servers, and what a driver's error means. A database that
cannot be reached is unavailable, also one that does not exist; only one that answers and holds no registry has lost it.
Must not know tables, but for the one row that tells who the registry is. Neighbours: `database`, `opening`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from holdfast_authserver.registry.database import POSTGRESQL, DatabaseUnavailable, NotStorable

_CHANNEL = "holdfast_registry"
_LOCK = 0x686F6C6466617374
"""The advisory lock of writers ("holdfast" in ASCII): held to the end of the transaction, whatever the tables are."""
_CONNECT = 3.0  # seconds to make a connection
_WRITE = 8.0  # seconds a write may take, with the wait for the lock
_LOOK = 3.0  # seconds in which the one row is answered
_SETTINGS = {
    "application_name": "holdfast",
    "lock_timeout": "5000",  # milliseconds; a writer that hangs must not hang the others
    "idle_in_transaction_session_timeout": "15000",  # milliseconds; one that is gone lets go of its lock
    "search_path": "public",
}
_UNDEFINED_TABLE = "42P01"
_DATA_EXCEPTION = "22"
_TROUBLE = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""OSError holds TimeoutError and what a refused connection is."""


def url_of(url: str) -> URL:
    """Raises ValueError for what is no URL of a PostgreSQL database; never shows its password."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"database_url: expected {POSTGRESQL}USER:PASSWORD@HOST:PORT/DATABASE") from error
    if found.drivername != "postgresql+asyncpg" or not found.database:
        raise ValueError(f"database_url: expected {POSTGRESQL}USER:PASSWORD@HOST:PORT/DATABASE, found {found!r}")
    return found


class PostgresqlDatabase:
    """`url`: as SQLAlchemy names it, with the driver asyncpg."""

    def __init__(self, url: str) -> None:
        self._url = url_of(url)
        self._engine = create_async_engine(
            self._url,
            pool_size=4,
            max_overflow=4,
            pool_timeout=_WRITE,
            pool_pre_ping=True,  # a restart of the database costs a round trip, not an error
            connect_args={"timeout": _CONNECT, "server_settings": _SETTINGS},
        )
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._watcher: asyncpg.Connection | None = None
        self._wake: Callable[[], None] = lambda: None
        self._seen: object = None
        self._closed = False

    @property
    def name(self) -> str:
        return repr(self._url)  # SQLAlchemy shows *** for the password

    def making(self, now: datetime) -> Any:
        """The tables are made and migrated in one transaction, behind the writers' lock."""
        return self.write()

    async def set_aside(self, now: datetime, why: str) -> None:
        """A server repairs no database of somebody else's."""

    def listen(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    @asynccontextmanager
    async def write(self, *, alone: bool = True) -> AsyncIterator[AsyncConnection]:
        """`alone`: behind the lock, and the other servers hear of it. Raises DatabaseUnavailable, NotStorable."""
        async with self._transaction(self._engine, _WRITE) as connection:
            if alone:
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection
            if alone:
                await connection.exec_driver_sql(f"NOTIFY {_CHANNEL}")

    @asynccontextmanager
    async def read(self, *, seconds: float = 8) -> AsyncIterator[AsyncConnection]:
        async with self._transaction(self._reader, seconds) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine, seconds: float) -> AsyncIterator[AsyncConnection]:
        if self._closed:
            raise DatabaseUnavailable(f"{self.name} is being opened anew", lost=True)
        try:
            async with asyncio.timeout(seconds), engine.begin() as connection:
                yield connection
        except _TROUBLE as error:
            raise _meaning(error, self.name) from error

    async def changed(self) -> bool:
        """By the one row that counts revisions. The connection also hears notifications, which come sooner."""
        try:
            async with asyncio.timeout(_LOOK):
                if self._watcher is None or self._watcher.is_closed():
                    self._watcher = await self._connect_watcher()
                rows = await self._watcher.fetch("SELECT id, revision, confirmations FROM instance")
        except _TROUBLE as error:
            self._drop_watcher()
            raise _meaning(error, self.name) from error
        if len(rows) != 1:
            raise DatabaseUnavailable(f"{self.name}: expected one registry in it, found {len(rows)}", lost=not rows)
        found = tuple(rows[0])
        changed, self._seen = found != self._seen, found
        return changed

    async def _connect_watcher(self) -> asyncpg.Connection:
        if self._closed:
            raise DatabaseUnavailable(f"{self.name} is being opened anew", lost=True)
        _, where = self._engine.dialect.create_connect_args(self._url)
        where.pop("prepared_statement_cache_size", None)  # SQLAlchemy's own
        # Beside the pool, since it lives as long as the watch.
        watcher = await asyncpg.connect(**where, timeout=_CONNECT, server_settings=_SETTINGS, statement_cache_size=0)
        await watcher.add_listener(_CHANNEL, lambda *_: self._wake())
        watcher.add_termination_listener(lambda *_: self._wake())
        return watcher

    def _drop_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.terminate()
        self._watcher = None

    async def close(self) -> None:
        """Not later than a few seconds after, also when the database answers nothing."""
        self._closed = True
        self._wake = lambda: None
        self._drop_watcher()
        with suppress(*_TROUBLE):
            async with asyncio.timeout(_LOOK):
                await self._engine.dispose()


def _meaning(error: BaseException, name: str) -> DatabaseUnavailable | NotStorable:
    """What a driver's error means for whoever wanted to read or write."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None) or ""
    text = str(cause).partition("\n")[0] or type(cause).__name__
    if state.startswith(_DATA_EXCEPTION):
        return NotStorable(f"PostgreSQL cannot keep this: {text}")
    return DatabaseUnavailable(f"{name}: {text}", lost=state == _UNDEFINED_TABLE)
