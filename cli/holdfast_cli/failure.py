"""How a command ends when it cannot do what was asked: one line on stderr and an exit code.

Exit codes: 0 done · 1 done and the answer is no (refused, not matching) · 2 it could not be asked (option, file, port).
"""

import errno
import os
import sys
from typing import IO, Any

import click

from holdfast_cli.terminal import visible

REFUSED = 1
UNUSABLE = 2


class Failure(click.ClickException):
    """One line that names what was expected and what was found. `command`: by default the one that runs."""

    def __init__(self, message: str, exit_code: int = UNUSABLE, *, command: str | None = None) -> None:
        super().__init__(visible(" ".join(message.split())))
        self._code = exit_code
        # Now: when it is shown, the command is over and click does not know it any more.
        context = click.get_current_context(silent=True)
        if command is None and context is not None and context.parent:
            command = _path(context)
        self._command = "holdfast" if command is None else f"holdfast {command}"

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click reads it only; as a class it cannot differ
        return self._code

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"{self._command}: {self.message}", file=file or sys.stderr)


def _path(context: click.Context) -> str:
    """Such as `policy preview`: the names below the command itself."""
    above = _path(context.parent) if context.parent is not None and context.parent.parent is not None else ""
    return f"{above} {context.info_name}".strip()


TRACEBACK = "HOLDFAST_TRACEBACK"
"""Set this environment variable, and what nobody foresaw ends in a traceback."""


def unforeseen(error: Exception, command: str | None) -> Failure:
    """What nobody foresaw, in one line. Raises `error` itself where the traceback is wanted."""
    if os.environ.get(TRACEBACK):
        raise error
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(f"{text} (not foreseen: with {TRACEBACK}=1 it shows where)", command=command)


def say(text: str | bytes, *, newline: bool = True) -> None:
    """Write to the standard output. Raises Failure when it takes nothing more; a broken pipe is left to click."""
    try:
        click.echo(text, nl=newline)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise Failure(f"standard output: cannot be written: {error.strerror}") from error
