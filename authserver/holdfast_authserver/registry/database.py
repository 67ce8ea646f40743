"""A store of the registry as `keeper` and `writer` use it, whichever database it is.

Owns the words for what may go wrong. Must not know tables. Neighbours: `sqlite_database` and `postgresql_database`, which
are such stores; `opening`, which picks one by its URL.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

POSTGRESQL = "postgresql+asyncpg://"
"""How a URL of PostgreSQL begins. Here, so that its driver is loaded only by whoever has one."""


class DatabaseUnavailable(Exception):
    """The store cannot be asked now. `lost`: because what it held is gone, not merely out of reach."""

    def __init__(self, message: str, *, lost: bool) -> None:
        self.lost = lost
        super().__init__(message)


class NotStorable(Exception):
    """A value that this database has no form for, such as text with a NUL in PostgreSQL."""


class Database(Protocol):
    """Every method may raise DatabaseUnavailable; a value that cannot be kept is NotStorable."""

    @property
    def name(self) -> str:
        """For messages: what it is and where, without a password."""

    def making(self, now: datetime) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction in which no other process makes or migrates the store. Raises OSError as well."""

    def write(self, *, alone: bool = True) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction. `alone`: no other such writer is in one, so what is read inside still holds at its end."""

    def read(self, *, seconds: float = 8) -> AbstractAsyncContextManager[AsyncConnection]:
        """One consistent picture. `seconds`: the longest that it may take."""

    async def changed(self) -> bool:
        """Whether anybody, in any process, may have committed since the last look. Raises FileLost as well."""

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the store says by itself that it has changed; not every store does."""

    async def set_aside(self, now: datetime, why: str) -> None:
        """Move what broke in use out of the way of a new store."""

    async def close(self) -> None:
        """End every connection, those of a lost store as well."""
