"""How a command ends when it cannot do what was asked: one line on stderr and an exit code.

Exit codes: 0 done · 1 done and the answer is no (refused, not matching) · 2 it could not be asked (option, file, port).
"""

import sys
from typing import IO, Any

import click

REFUSED = 1
UNUSABLE = 2


class Failure(click.ClickException):
    """One line that names what was expected and what was found."""

    def __init__(self, message: str, exit_code: int = UNUSABLE) -> None:
        super().__init__(" ".join(message.split()))
        self._code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click reads it only; as a class it cannot differ
        return self._code

    def show(self, file: IO[Any] | None = None) -> None:
        context = click.get_current_context(silent=True)
        name = context.command_path if context is not None else "holdfast"
        click.echo(f"{name}: {self.message}", file=file or sys.stderr)
