"""Every command that is installed starts."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from holdfast_cli.main import main

HOLDFAST = Path(sys.executable).with_name("holdfast")


def test_holdfast_is_the_one_console_command() -> None:
    ours = [point.name for point in entry_points(group="console_scripts") if point.value.startswith("holdfast")]

    assert sorted(set(ours)) == ["holdfast"]


@pytest.mark.parametrize("command", sorted(main.list_commands(click.Context(main))))
def test_every_command_explains_itself(command: str) -> None:
    seen = _run(command, "--help")

    assert seen.returncode == 0, seen.stderr
    assert f"holdfast {command}" in seen.stdout


def test_the_version_is_the_one_of_the_distribution() -> None:
    import holdfast

    seen = _run("--version")

    assert seen.returncode == 0, seen.stderr
    assert holdfast.__version__ in seen.stdout


def test_an_unknown_command_is_a_mistake_of_the_caller() -> None:
    assert _run("no-such-command").returncode == 2


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HOLDFAST, *arguments], capture_output=True, text=True, check=False)
