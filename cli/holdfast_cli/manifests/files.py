"""What the arguments of a command name, as texts: files as they are, the YAML of folders, `-` for the standard input.

Owns walking and reading within bounds. Must not know what is in the texts. Neighbour: `documents`.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast_cli.failure import Failure
from holdfast_operator.adapters.folder.documents import read_text

MAX_TEXT = 64 * 1024 * 1024  # bytes of one file: an export of ten thousand clients has a quarter of that
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """`name`: the path as it was given, or found below a folder that was."""

    name: str
    text: str


def read_sources(arguments: Iterable[str]) -> tuple[Source, ...]:
    """Each file once, in the order of the arguments. Raises Failure for what cannot be read."""
    found: dict[str, Source] = {}
    for argument in arguments:
        for path in _paths(argument):
            # One file may be named in several ways, and stand in several of the folders.
            place = path if path == STANDARD_INPUT else os.path.realpath(path)
            if place not in found:
                found[place] = Source(path, _read(path))
    return tuple(found.values())


def _paths(argument: str) -> Iterator[str]:
    if argument == STANDARD_INPUT or not os.path.isdir(argument):
        yield argument
        return
    for folder, folders, names in os.walk(argument, onerror=_unreadable):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                yield os.path.join(folder, name)


def _unreadable(error: OSError) -> None:
    raise Failure(f"{error.filename}: cannot be read: {error.strerror}") from error


def _read(path: str) -> str:
    try:
        return _decoded(_standard_input()) if path == STANDARD_INPUT else read_text(Path(path), MAX_TEXT)
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise Failure(f"{path}: {error}") from error


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise ValueError("cannot be read: it is closed")
    data = sys.stdin.buffer.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise ValueError(f"expected at most {MAX_TEXT} bytes, found more")
    return data


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, found byte 0x{data[error.start]:02x} at offset {error.start}") from error
