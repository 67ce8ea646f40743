"""The audit log: every decision as one JSON object a line, under the id that the caller was given.

Owns the form and the file. Holds client ids and thumbprints, never a token, a secret or a certificate (RFC 8705
section 8). Writes in batches, so that a token request does not wait for a disk. Several workers may append to one file:
what is written at once is whole lines.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from holdfast.clock import Clock
from holdfast_authserver.compact_json import encode

_LOG = logging.getLogger(__name__)
_BATCH = 0.05  # seconds a line may wait for others
_PIPE = 4096  # bytes that a pipe takes as a whole on every system we know (PIPE_BUF)
_ENCODE_ASCII = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


class AuditLogError(Exception):
    """The audit log cannot be opened; names the file."""


class _Sink(Protocol):
    def write(self, lines: list[str]) -> None:
        """Append. Raises OSError, ValueError (closed)."""

    def reopen(self) -> None:
        """Go on in the file that has the name now. Raises OSError."""

    def close(self) -> None:
        """Let go."""


class _File:
    """Appends to whatever file has the name: after a rotation (moved, or removed) a new one is begun."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._open()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, lines: list[str]) -> None:
        if self._moved():
            self.reopen()
        data = memoryview("".join(f"{line}\n" for line in lines).encode("ascii"))
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _moved(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def reopen(self) -> None:
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class _StandardOutput:
    """In pieces of whole lines that a pipe takes at once."""

    def write(self, lines: list[str]) -> None:
        for piece in _pieces(lines):
            sys.stdout.write(piece)
            sys.stdout.flush()

    def reopen(self) -> None:
        """There is nothing to open anew."""

    def close(self) -> None:
        """It is not ours to close."""


def _pieces(lines: list[str]) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    for line in lines:
        if piece and size + len(line) + 1 > _PIPE:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(f"{line}\n")
        size += len(line) + 1
    if piece:
        yield "".join(piece)


class AuditLog:
    """Append-only. `path`: a file, or `-` for the standard output. Raises AuditLogError when it cannot be opened."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[datetime, str, str, dict[str, Any]]] = []
        self._flusher: asyncio.TimerHandle | None = None
        self._sink = _open(path)
        self.lost = 0
        """Lines that could not be written, since the start."""

    def record(self, event: str, decision: str, **members: Any) -> None:
        """`event`: what was decided, such as `token.issued`. `decision`: its id. Members of None are left out."""
        self._waiting.append((self._clock(), event, decision, members))
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(_BATCH, self.flush)

    def flush(self) -> None:
        """Write what is waiting, now."""
        if self._flusher is not None:
            self._flusher.cancel()
        waiting, self._waiting, self._flusher = self._waiting, [], None
        if not waiting:
            return
        lines = [_line(*told) for told in waiting]  # all at once, off the way of any request
        try:
            self._sink.write(lines)
        except (OSError, ValueError) as error:
            # A full disk must not refuse tokens to a whole cluster; what is lost is counted, here and in metrics.
            self.lost += len(lines)
            _LOG.error("audit log: %d lines could not be written: %s", len(lines), error)

    def reopen(self) -> None:
        """Go on in the file that has the name now, as after SIGHUP; the old one is kept where that cannot be."""
        self.flush()
        try:
            self._sink.reopen()
        except OSError as error:
            _LOG.error("audit log: going on in the file that was open: %s: %s", error.filename, error.strerror)

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        self.flush()
        self._sink.close()


def _line(at: datetime, event: str, decision: str, members: dict[str, Any]) -> str:
    """ASCII, so that a line stays one line to whatever reads it. Nearly every line is, so the fast writer goes first."""
    told = {"time": at.isoformat(timespec="milliseconds"), "event": event, "decision": decision}
    told.update([(name, value) for name, value in members.items() if value is not None])
    try:
        line = encode(told)
    except TypeError:
        return _ENCODE_ASCII(told)
    return line.decode("ascii") if line.isascii() else _ENCODE_ASCII(told)


def _open(path: str) -> _Sink:
    if path == "-":
        return _StandardOutput()
    try:
        return _File(Path(path))
    except OSError as error:
        raise AuditLogError(f"{path}: {error.strerror}") from error
