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
        # Now: when it is shown, the command is over and click does not know it any more.
        context = click.get_current_context(silent=True)
        self._command = f"holdfast {context.info_name}" if context is not None and context.parent else "holdfast"

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click reads it only; as a class it cannot differ
        return self._code

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"{self._command}: {self.message}", file=file or sys.stderr)
