"""Connections to the SQLite file: one writer at a time, readers beside it, and a look at whether anything changed.

Owns pragmas, transactions and what a driver's error means. Must not know tables. Neighbours: `sqlite_file`, `database`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from holdfast_authserver.registry import sqlite_file
from holdfast_authserver.registry.database import DatabaseUnavailable
from holdfast_authserver.registry.sqlite_file import FileLost

PREFIX = "sqlite+aiosqlite:///"
_BUSY_TIMEOUT = 5000  # milliseconds a writer waits for another process's transaction
_SETTLED = 2.0  # seconds after a write in which a second one could bear the same time, on the coarsest of clocks
_PASSING = ("locked", "busy", "interrupted", "full", "unable to open")
"""In the driver's words: what passes, or what a new file would not help against (a full disk, no descriptors left)."""


def path_of(url: str) -> Path:
    """The file of a database URL. Raises ValueError for what is no SQLite file."""
    path = url.removeprefix(PREFIX)
    if path == url or not path or path.startswith(":"):
        raise ValueError(f"database_url: expected {PREFIX}PATH, found {url.split('@')[-1]}")
    return Path(path)


class SqliteDatabase:
    """An open file. Use `write` for changes (begins as IMMEDIATE, so reads inside hold until commit), `read` otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = _engine(path, immediate=True)
        self._reader = _engine(path, immediate=False)
        self._watcher: AsyncConnection | None = None
        self._seen: tuple[int, sqlite_file.FileStamp] | None = None
        self._traces: sqlite_file.Traces | None = None
        self._witness: sqlite_file.Witness | None = None
        self._closed = False
        self._transactions: set[asyncio.Future[None]] = set()

    @property
    def name(self) -> str:
        return str(self.path)

    @asynccontextmanager
    async def making(self, now: datetime) -> AsyncIterator[AsyncConnection]:
        """Makes the file where there is none, or a broken one. Raises OSError, FileLost, DatabaseUnavailable."""
        lock = await asyncio.to_thread(sqlite_file.lock, self.path)
        try:
            await asyncio.to_thread(sqlite_file.prepare, self.path, now)
            async with self.write() as connection:
                yield connection
        finally:
            os.close(lock)

    async def set_aside(self, now: datetime, why: str) -> None:
        """Move the file away, unless another process has replaced it already."""
        if self._seen is None:
            return
        lock = await asyncio.to_thread(sqlite_file.lock, self.path)
        try:
            sqlite_file.set_aside_if(self.path, self._seen[1].identity, now, why)
        finally:
            os.close(lock)

    def listen(self, wake: Callable[[], None]) -> None:
        """SQLite tells nobody: `changed` asks."""

    @asynccontextmanager
    async def write(self, *, alone: bool = True) -> AsyncIterator[AsyncConnection]:
        """A transaction that no other writer is in, since SQLite has one at a time. Raises DatabaseUnavailable."""
        async with self._transaction(self._writer) as connection:
            yield connection

    @asynccontextmanager
    async def read(self, *, seconds: float = 8) -> AsyncIterator[AsyncConnection]:
        """One consistent picture; a local file needs no bound. Raises DatabaseUnavailable."""
        async with self._transaction(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        self._check_open()
        ended = asyncio.get_running_loop().create_future()
        self._transactions.add(ended)
        try:
            async with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise unavailable(error) from error
        finally:
            self._transactions.discard(ended)
            ended.set_result(None)

    async def changed(self) -> bool:
        """Whether anybody, in any process, has committed since the last look. Raises FileLost, DatabaseUnavailable."""
        traces = sqlite_file.traces(self.path)
        if traces == self._traces and traces.older_than(_SETTLED):
            return False  # SQLite, asked four times a second in a thread of its own, costs a busy server a tenth
        found = await asyncio.to_thread(self._stamp)
        if self._seen is not None:
            await self._check_file(found, self._seen[1])
        version = await self._data_version()
        changed = self._seen is None or self._seen[0] != version
        self._seen, self._traces = (version, found), traces
        return changed

    def _stamp(self) -> sqlite_file.FileStamp:
        self._check_open()
        if self._witness is None:
            self._witness = sqlite_file.Witness(self.path)
        return self._witness.stamp()

    async def _check_file(self, found: sqlite_file.FileStamp, before: sqlite_file.FileStamp) -> None:
        if found.identity != before.identity:
            raise FileLost(f"{self.path} is another file than the one that was opened")
        if found.content != before.content:
            await asyncio.to_thread(sqlite_file.check_content, self.path)

    async def _data_version(self) -> int:
        """Counts commits of all other connections, so this one must never write, and must always be the same."""
        self._check_open()
        if self._watcher is None:
            self._watcher = await self._reader.connect()
        try:
            version = await self._watcher.exec_driver_sql("PRAGMA data_version")
            found = int(version.scalar_one())
            await self._watcher.rollback()
        except DBAPIError as error:
            raise unavailable(error) from error
        return found

    def _check_open(self) -> None:
        """A disposed engine would connect again, and so make a file without tables."""
        if self._closed:
            raise DatabaseUnavailable(f"{self.path} is being opened anew", lost=True)

    async def close(self) -> None:
        """Ends every connection; those of a lost file as well."""
        self._closed = True
        # An engine that is disposed of forgets who has a connection of it, and that one would never be closed.
        while self._transactions:
            await asyncio.wait(self._transactions)
        if self._watcher is not None:
            await self._watcher.close()
            self._watcher = None
        await self._reader.dispose()
        await self._writer.dispose()
        if self._witness is not None:
            self._witness.close()
            self._witness = None


def unavailable(error: DBAPIError) -> DatabaseUnavailable:
    """What a driver's error means for whoever wanted to read or write."""
    text = str(error.orig)
    return DatabaseUnavailable(f"the registry's store cannot be used: {text}", lost=not any(w in text for w in _PASSING))


def _engine(path: Path, *, immediate: bool) -> AsyncEngine:
    # One connection for writing, since SQLite has one writer; three for reading: the watcher's, a refresh, a listing.
    engine = create_async_engine(
        f"{PREFIX}{path}", pool_size=1 if immediate else 3, max_overflow=0, connect_args={"timeout": _BUSY_TIMEOUT / 1000}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin transactions by rules of its own
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA cache_size=-256")  # KiB: everything is read once, and served from the snapshot after that
        cursor.execute("PRAGMA synchronous=FULL")  # a revocation that was answered must outlive a power cut
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine
