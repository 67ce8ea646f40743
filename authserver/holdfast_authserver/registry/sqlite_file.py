"""The SQLite file as a file: whether it is still the one that was opened, and what is done with one that is broken.

Owns file mode, identity, the lock under which a new file is made, and moving broken ones aside. Must not know tables.
"""

import fcntl
import logging
import os
import sqlite3
import time
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


@dataclass(frozen=True, slots=True)
class Traces:
    """What a commit cannot leave as it was: identity, size and time of the file and of its write-ahead log."""

    files: tuple[tuple[int, int, int] | None, ...]

    def older_than(self, seconds: float) -> bool:
        """Whether the last write lies so far back that no later one can bear the same time."""
        newest = max((found[2] for found in self.files if found is not None), default=0)
        return time.time_ns() - newest - seconds * 1e9 >= 0


class FileLost(Exception):
    """The file is gone, is another one, or is broken; the message says which."""

    def __init__(self, message: str, *, broken: bool = False) -> None:
        self.broken = broken
        super().__init__(message)


class Witness:
    """A descriptor of the file, to be kept for as long as this process has connections to it.

    Closing any descriptor of a file ends every lock that the process has on it (POSIX), SQLite's among them. The next
    process to close the database would then take itself for the last one, and remove the log that is in use.
    """

    def __init__(self, path: Path) -> None:
        """Raises FileLost when there is no file; OSError when that cannot be told."""
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileLost(f"{path} is gone") from error

    def stamp(self) -> FileStamp:
        """Of what has the name now. Raises FileLost when that is nothing, or no database any more; OSError."""
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileLost(f"{self._path} is gone") from error
        same = os.path.samestat(found, os.fstat(self._descriptor))
        if same and os.pread(self._descriptor, len(_MAGIC), 0) != _MAGIC:
            raise FileLost(f"{self._path} is no SQLite database any more", broken=True)
        return FileStamp((found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns))

    def close(self) -> None:
        """Once every connection of this process is closed."""
        os.close(self._descriptor)


def traces(path: Path) -> Traces:
    """Two looks at a folder that the kernel has in memory: thousands of times cheaper than asking SQLite."""
    return Traces(tuple(_trace(name) for name in (str(path), f"{path}-wal")))


def _trace(name: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


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
    """Leave a sound database or an empty file of mode 0600 at `path`; a broken one is moved aside. Under `lock`,
    and before this process connects to it (see `Witness`).
    """
    if path.exists() and path.stat().st_size > 0:
        try:
            _check_beginning(path)
            check_content(path)
        except FileLost as error:
            _set_aside(path, now, str(error))
    if not path.exists() or path.stat().st_size == 0:
        for suffix in _BESIDE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)  # a log without its database would be replayed
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _check_beginning(path: Path) -> None:
    """A log beside the file would hide that it is none: SQLite reads the first page from there."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise FileLost(f"{path} is no SQLite database", broken=True)


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
