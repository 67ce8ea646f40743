"""The SQLite file as a file: whether it is still the one that was opened, and what is done with one that is broken.

Owns file mode, identity, the lock under which a new file is made, and moving broken ones aside. Must not know tables.
"""

import fcntl
import logging
import os
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_LOG = logging.getLogger(__name__)
_MAGIC = b"SQLite format 3\0"
_BESIDE = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class FileStamp:
    """`identity` is the file itself, `content` changes when its main part is written (a checkpoint, or a vandal)."""

    identity: tuple[int, int]
    content: tuple[int, int]


class FileLost(Exception):
    """The file is gone, is another one, or is broken; the message says which."""

    def __init__(self, message: str, *, broken: bool = False) -> None:
        self.broken = broken
        super().__init__(message)


def stamp(path: Path) -> FileStamp:
    """Raises FileLost when there is no file, or none that begins as a database does; OSError when that cannot be told."""
    try:
        with path.open("rb") as file:
            head, found = file.read(len(_MAGIC)), os.fstat(file.fileno())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileLost(f"{path} is gone") from error
    if head != _MAGIC:
        raise FileLost(f"{path} is no SQLite database any more", broken=True)
    return FileStamp((found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns))


def check_content(path: Path) -> None:
    """Raises FileLost when SQLite itself finds the file broken."""
    try:
        connection = sqlite3.connect(path, timeout=5)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return  # busy is not broken
        raise FileLost(f"{path} is broken: {error}", broken=True) from error
    except sqlite3.DatabaseError as error:
        raise FileLost(f"{path} is broken: {error}", broken=True) from error
    if found != ("ok",):
        raise FileLost(f"{path} is broken: {found}", broken=True)


def lock(path: Path) -> int:
    """Wait until no other process makes, replaces or migrates the file; closing the descriptor lets the next one in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def prepare(path: Path, now: datetime) -> None:
    """Leave a sound database or an empty file of mode 0600 at `path`; a broken one is moved aside. Under `lock`."""
    if path.exists() and path.stat().st_size > 0:
        try:
            stamp(path)
            check_content(path)
        except FileLost as error:
            _set_aside(path, now, str(error))
    if not path.exists() or path.stat().st_size == 0:
        for suffix in _BESIDE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)  # a log without its database would be replayed
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def set_aside_if(path: Path, identity: tuple[int, int], now: datetime, why: str) -> None:
    """Move a file that broke in use out of the way, unless another process has replaced it already. Under `lock`.

    Before its connections are closed: SQLite would write its log into it and leave something half right.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if (found.st_dev, found.st_ino) == identity:
        _set_aside(path, now, why)


def _set_aside(path: Path, now: datetime, why: str) -> None:
    aside = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%S%f}")
    path.rename(aside)
    _LOG.error("%s; it was moved to %s, and the registry begins anew", why, aside)
