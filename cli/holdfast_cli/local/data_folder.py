"""The data folder of `holdfast dev`: made, checked, locked, and what is remembered of the ports.

Owns PATH itself and its small files. Neighbours: the folder cluster owns `objects/`, `secrets/` and `ca/` in it, the
authorization server `registry.db` and `keys/`.
"""

import errno
import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"


class StartRefused(Exception):
    """`holdfast dev` cannot start; the message is one line that names what is in the way."""


@dataclass(frozen=True, slots=True)
class Ports:
    """0: any free port."""

    public: int
    mtls: int


class DataFolder:
    """PATH, held by this process alone from `open` to `close`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the folder, try to write to it, lock it. Raises StartRefused."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            # It holds private keys: nobody shall commit them by accident.
            (path / ".gitignore").write_text("*\n")
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartRefused(f"data folder {path}: expected a folder to write to: {_reason(error)}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise StartRefused(f"data folder {path}: in use by another holdfast dev, process {holder}") from error
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        return cls(path, lock)

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def choose_ports(self, wanted: Ports) -> Ports:
        """Where any port will do, the one of the last time if it is free: so the issuer stays the same."""
        last = self._last_ports()
        public = last.public if _is_free(last.public) and last.public != wanted.mtls else 0
        mtls = last.mtls if _is_free(last.mtls) and last.mtls != (wanted.public or public) else 0
        return Ports(wanted.public or public, wanted.mtls or mtls)

    def remember_ports(self, ports: Ports) -> None:
        """Keep them for the next start."""
        (self.path / "ports.json").write_text(json.dumps({"public": ports.public, "mtls": ports.mtls}) + "\n")

    def _last_ports(self) -> Ports:
        try:
            value = json.loads((self.path / "ports.json").read_bytes())
            return Ports(int(value["public"]), int(value["mtls"]))
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
            return Ports(0, 0)  # the first start, or not ours: any port will do


def check_readable(root: Path) -> None:
    """Raises StartRefused when the folder of manifests cannot be listed."""
    try:
        with os.scandir(root):
            return
    except OSError as error:
        raise StartRefused(f"{root}: expected a folder to read: {_reason(error)}") from error


def _is_free(port: int) -> bool:
    if not 0 < port < 65536:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers bind: connections of the last run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _reason(error: OSError) -> str:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "it is a file, or lies below one"
    return (error.strerror or str(error)).lower()
