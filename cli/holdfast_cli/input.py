"""What a command is given to look at: a file or the standard input, within a bound. Must not know what is in it."""

import sys

import click

from holdfast_cli.failure import Failure

MAX_INPUT = 1024 * 1024  # bytes; no token and no chain is larger


def read_input(file: str) -> tuple[str, bytes]:
    """What to call it in a message, and its content. `-`: the standard input. Raises Failure."""
    name = "standard input" if file == "-" else file
    if file == "-" and sys.stdin is None:
        raise Failure(f"{name}: cannot be read: it is closed")
    try:
        with click.open_file(file, "rb") as source:
            content: bytes = source.read(MAX_INPUT + 1)
    except OSError as error:
        raise Failure(f"{name}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_INPUT:
        raise Failure(f"{name}: expected at most {MAX_INPUT} bytes, found more")
    return name, content
