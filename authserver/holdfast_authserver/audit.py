"""The audit log: every decision as one JSON object a line, under the id that the caller was given.

Owns the form and the file. Holds client ids and thumbprints, never a token, a secret or a certificate (RFC 8705
section 8). Writes in batches, so that a token request does not wait for a disk.
"""

import asyncio
import json
import logging
import sys
from typing import Any, TextIO

from holdfast.clock import Clock

_LOG = logging.getLogger(__name__)
_BATCH = 0.05  # seconds a line may wait for others
_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode  # a line stays a line, whatever was sent


class AuditLogError(Exception):
    """The audit log cannot be opened; names the file."""


class AuditLog:
    """Append-only. `path`: a file, or `-` for the standard output. Raises AuditLogError when it cannot be opened."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[str] = []
        self._flusher: asyncio.TimerHandle | None = None
        self._own = path != "-"
        self._file = _open(path) if self._own else sys.stdout

    def record(self, event: str, decision: str, **members: Any) -> None:
        """`event`: what was decided, such as `token.issued`. `decision`: its id. Members of None are left out."""
        line = {"time": self._clock().isoformat(timespec="milliseconds"), "event": event, "decision": decision}
        line.update((name, value) for name, value in members.items() if value is not None)
        self._lines.append(_ENCODE(line))
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(_BATCH, self._flush)

    def _flush(self) -> None:
        lines, self._lines, self._flusher = self._lines, [], None
        if not lines:
            return
        try:
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()
        except (OSError, ValueError) as error:
            # A full disk must not refuse tokens to a whole cluster; what is lost is counted in the process's own log.
            _LOG.error("audit log: %d lines could not be written: %s", len(lines), error)

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        if self._flusher is not None:
            self._flusher.cancel()
        self._flush()
        if self._own:
            self._file.close()


def _open(path: str) -> TextIO:
    try:
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        raise AuditLogError(f"{path}: {error.strerror}") from error
