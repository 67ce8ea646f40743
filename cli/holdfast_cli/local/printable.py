"""Text of a stranger, made fit for a terminal.

Owns which characters are shown as they are. Neighbours: `table` and `holdfast_cli.dev` print what file names, keys and
values of a document say.
"""


def printable(text: str) -> str:
    """The text in one line; what steers a terminal, turns the writing or is half a character is written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
