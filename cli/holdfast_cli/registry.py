"""`holdfast registry`: backup and restore, beside the server and by the same settings.

Owns the commands and what they say. What they do is the server's own (`holdfast_authserver.registry.backup`).
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from holdfast.clock import system_clock
from holdfast.settings_file import SettingsFileError, problem_lines
from holdfast_authserver.registry.backup import BackupError, back_up
from holdfast_authserver.registry.backup import restore as restore_from
from holdfast_authserver.registry.database import DatabaseUnavailable
from holdfast_authserver.registry.migrate import TablesUnknown
from holdfast_authserver.registry.sqlite_file import FileLost
from holdfast_authserver.settings import Settings
from holdfast_cli.failure import Failure, say

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(name="registry")
def command() -> None:
    """Back up and restore the registry of the authorization server.

    Run it with the server's settings (HOLDFAST_… and HOLDFAST_CONFIG_FILE) and as its user; the server may run meanwhile.
    """


@command.command()
@_FILE
def backup(file: Path) -> None:
    """Write the registry to FILE, which must not exist. It holds no key."""
    count = _run("backup", back_up(_url("backup"), file, system_clock()))
    say(f"{file}: {count} clients")


@command.command()
@_FILE
def restore(file: Path) -> None:
    """Put FILE in the place of the registry. All tokens from before are void."""
    count = _run("restore", restore_from(_url("restore"), file, system_clock()))
    say(f"{count} clients restored; tokens issued before are refused")


def _url(name: str) -> str:
    try:
        return Settings().database_url
    except ValidationError as error:
        raise Failure("; ".join(problem_lines(error.errors())), command=f"registry {name}") from error
    except SettingsFileError as error:
        raise Failure(str(error), command=f"registry {name}") from error


def _run(name: str, work: Coroutine[Any, Any, int]) -> int:
    try:
        return asyncio.run(work)
    except (BackupError, DatabaseUnavailable, FileLost, TablesUnknown, OSError, ValueError) as error:
        raise Failure(str(error), command=f"registry {name}") from error
