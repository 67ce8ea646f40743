"""What others wrote, made fit for a terminal: no character of theirs moves the cursor, hides text or begins a new line.

Owns the escaping. Neighbours: everything that prints.
"""

import io
import sys


def visible(text: str, *, keep: str = "") -> str:
    r"""`text` on one line; what is not printable as `\x1b` or `\u202e`, also half a surrogate pair. `keep`: exceptions."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def print_all_characters() -> None:
    """A stream that cannot encode a character shows its escape, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
