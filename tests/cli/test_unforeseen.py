"""A command never ends in a traceback: standard streams that are closed or full, and exceptions that nobody foresaw."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from holdfast_cli import inspect
from holdfast_cli.main import main
from tests.core.x509.authority import Authority

HOLDFAST = [sys.executable, "-m", "holdfast_cli.main"]


@pytest.fixture
def cert_file(tmp_path: Path) -> Path:
    return Authority.root().issue("CN=orders").write(tmp_path)[0]


def shell(line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `line` with the command as $0 and its arguments as $@, since only a shell closes streams."""
    return subprocess.run(["sh", "-c", line, *HOLDFAST, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_closed_standard_input_is_one_line() -> None:
    ended = shell('"$0" "$@" inspect <&-')

    assert ended.returncode == 2
    assert ended.stderr == "holdfast inspect: standard input: cannot be read: it is closed\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_standard_output_is_one_line(cert_file: Path, options: list[str]) -> None:
    ended = shell('"$0" "$@" > /dev/full', "inspect", *options, str(cert_file))

    assert ended.returncode == 2
    assert ended.stderr == "holdfast inspect: standard output: cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "--help"]])
def test_help_to_a_full_standard_output_is_one_line(arguments: list[str]) -> None:
    ended = shell('"$0" "$@" > /dev/full', *arguments)

    assert ended.returncode == 2
    assert "No space left on device" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def broken(*_: object) -> None:
    raise ZeroDivisionError("a\x1b\nb")


def test_an_exception_that_nobody_foresaw_is_one_line_and_exit_code_2(
    cert_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "explain", broken)

    result = CliRunner().invoke(main, ["inspect", str(cert_file)])

    assert result.exit_code == 2
    assert result.stderr.startswith("holdfast inspect: ZeroDivisionError: a\\x1b b (not foreseen")
    assert len(result.stderr.splitlines()) == 1


def test_its_traceback_is_there_for_who_asks(cert_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "explain", broken)
    monkeypatch.setenv("HOLDFAST_TRACEBACK", "1")

    assert isinstance(CliRunner().invoke(main, ["inspect", str(cert_file)]).exception, ZeroDivisionError)
