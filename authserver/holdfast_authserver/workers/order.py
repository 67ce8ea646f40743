"""What the parent hands to a worker: settings with real ports, and where the parent asks it how it is.

It goes through the worker's standard input, whose end also tells the worker that its parent is gone. Pickle is no risk
here: the writer is the process that started the reader.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from holdfast_authserver.settings import Settings

_LENGTH = 4  # octets


class Stream(Protocol):
    """What is read from; empty octets are its end."""

    def read(self, size: int, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """`ops_socket`: the worker's own ops listener, a Unix socket in a folder that is the parent's alone."""

    settings: Settings
    ops_socket: Path


def pack(order: WorkOrder) -> bytes:
    content = pickle.dumps(order)
    return len(content).to_bytes(_LENGTH, "big") + content


def read_order(stream: Stream) -> WorkOrder:
    """Raises EOFError when the parent left before it had said anything."""
    length = _exactly(stream, _LENGTH)
    found = pickle.loads(_exactly(stream, int.from_bytes(length, "big")))  # noqa: S301 - see above
    assert isinstance(found, WorkOrder)
    return found


def _exactly(stream: Stream, size: int) -> bytes:
    """A pipe gives what is there, not what was asked for."""
    content = b""
    while len(content) < size:
        part = stream.read(size - len(content))
        if not part:
            raise EOFError("the parent is gone")
        content += part
    return content
