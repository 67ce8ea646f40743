"""Brings the tables to the newest form. Called at every open, in one transaction.

Nearly every open finds them there: then Alembic is not even loaded, which would stay in memory for the server's life.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

NEWEST = "0004"
"""The last of `migrations/versions`; a test holds the two together."""
_MIGRATIONS = Path(__file__).parent / "migrations"


class TablesUnknown(Exception):
    """The tables are of a newer Holdfast than this one; names the form they have."""


def migrate(connection: Connection) -> None:
    """Raises TablesUnknown."""
    if _form(connection) == NEWEST:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise TablesUnknown(str(error)) from error


def _form(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()
    return found
