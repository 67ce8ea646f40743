"""Objects as YAML documents, and where they go.

Owns the form of what is written: what `holdfast lint` and `kubectl apply` read. A file that is there is never replaced.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from holdfast_cli.failure import Failure, say

_TAKEN_FOR_BOOLEANS = ("y", "Y", "n", "N")
"""By kubectl, where they stand without quotes: the member `y` of a JWK is one."""
_WIDTH = 4096  # characters: a long string stays on its line, so that a difference is one line


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block; an object that stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else "'" if value in _TAKEN_FOR_BOOLEANS else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Iterable[Any]) -> str:
    """One document for each, members in their order; empty without any."""
    documents = [yaml.dump(obj, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH) for obj in objects]
    return "---\n".join(documents)


def write_output(text: str, file: Path | None) -> None:
    """To a new file, or the standard output. Raises Failure."""
    if file is None:
        say(text, newline=False)
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(descriptor, "w", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError as error:
        raise Failure(f"{file}: it exists already: name another file, or remove it") from error
    except OSError as error:
        raise Failure(f"{file}: cannot be written: {error.strerror}") from error
