"""The ready file: what scripts read. Its members are a contract.

Owns their names, that a reader sees a whole file or none, and that no process takes another's away. Neighbours: `report`
is what it says.
"""

import contextlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast_cli.local.data_folder import StartRefused
from holdfast_cli.local.report import Report
from holdfast_cli.terminal import visible

log = logging.getLogger(__name__)

CLIENT_MEMBERS = (
    *("namespace", "name", "client_id", "ready", "reason", "message"),
    *("cert_file", "key_file", "chain_file"),
)
POLICY_MEMBERS = ("name", "accepted", "matched")


def content(report: Report) -> dict[str, Any]:
    """The JSON value: addresses, `clients`, `policies`."""
    return {
        **asdict(report.addresses),
        "clients": [{member: getattr(client, member) for member in CLIENT_MEMBERS} for client in report.clients],
        "policies": [{member: getattr(policy, member) for member in POLICY_MEMBERS} for policy in report.policies],
    }


class ReadyFile:
    """The file at `path`, or none that anybody asked for."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._was_written = False
        self._failing = False

    def clear(self) -> None:
        """Take away what an earlier process left: it would tell scripts what is not so. Raises StartRefused."""
        if self._path is None:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StartRefused(f"ready file {self._path}: cannot be replaced: {error.strerror}") from error

    def write(self, report: Report) -> None:
        """Replace the file as a whole. The first time raises StartRefused; a later failure is logged once."""
        if self._path is None:
            return
        try:
            _replace(self._path, report)
        except OSError as error:
            problem = f"ready file {self._path}: cannot be written: {error.strerror}"
            if not self._was_written:
                raise StartRefused(problem) from error
            if not self._failing:
                log.error("%s", visible(problem))
            self._failing = True
        else:
            self._was_written, self._failing = True, False

    def remove(self) -> None:
        """Take the file away at the end, if this process wrote it last: another may have come in between."""
        if self._path is None or _pid(self._path) != os.getpid():
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.error("%s", visible(f"ready file {self._path}: cannot be removed: {error.strerror}"))


def _replace(path: Path, report: Report) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content(report), indent=2) + "\n")
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _pid(path: Path) -> int | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    pid = value.get("pid") if isinstance(value, dict) else None
    return pid if isinstance(pid, int) else None
