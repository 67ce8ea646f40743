"""The two statements that SQLite and PostgreSQL have alike, but SQLAlchemy does not name in common."""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert


def _insert(connection: AsyncConnection, table: Table) -> Any:
    """Loads the dialect that is spoken and not the other, which would take two megabytes of every worker."""
    return importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)


def insert_or_ignore(connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> Insert:
    """Its row count is 0 when the key was there before."""
    statement: Insert = _insert(connection, table).values(**values).on_conflict_do_nothing()
    return statement


def insert_or_replace(connection: AsyncConnection, table: Table, key: str, changes: Iterable[str]) -> Insert:
    """Executed with many rows: each is new, or replaces the columns `changes` of the row with its `key`."""
    statement = _insert(connection, table)
    replaced = {name: statement.excluded[name] for name in sorted(changes)}
    found: Insert = statement.on_conflict_do_update(index_elements=[key], set_=replaced)
    return found
