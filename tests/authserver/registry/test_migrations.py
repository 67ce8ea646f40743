"""The migrations lead to the very tables that the queries are written against."""

from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from holdfast_authserver.registry.migrate import migrate
from holdfast_authserver.registry.tables import metadata


def _differences(file: Path) -> list[Any]:
    engine = create_engine(f"sqlite:///{file}")
    try:
        with engine.begin() as connection:
            migrate(connection)
            migrate(connection)
            return list(compare_metadata(MigrationContext.configure(connection), metadata))
    finally:
        engine.dispose()


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    """Twice, since they run at every open."""
    assert _differences(tmp_path / "registry.db") == []
