"""Books of keys as files of a folder: `keys-INSTANCE.json`, mode 0600, one for each registry instance.

Owns that a file is whole or not there, whoever dies when, and that of several processes one at a time writes: a lock that
the kernel lets go of with its holder. Readers take no lock, since a file is replaced by its name. Knows octets, no keys.
"""

import asyncio
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.keys.store import EarlierKey

_INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}")  # it becomes part of a file name
_TEMPORARY = ".new-"
_LOCK = ".lock"


class FolderStore:
    """Made at the first write. A `KeyStore`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def where(self, instance: str) -> str:
        return str(self._book(instance))

    async def read(self, instance: str) -> bytes | None:
        return await asyncio.to_thread(_content, self._book(instance))

    async def swap(self, instance: str, old: bytes | None, new: bytes) -> bool:
        return await asyncio.to_thread(self._swap, self._book(instance), old, new)

    async def earlier(self, instance: str) -> EarlierKey | None:
        path = self._earlier(instance)
        pem = await asyncio.to_thread(_content, path)
        return None if pem is None else EarlierKey(str(path), pem)

    async def remove_earlier(self, instance: str) -> None:
        with _named(self._earlier(instance)) as path:
            path.unlink(missing_ok=True)

    def _earlier(self, instance: str) -> Path:
        return self._folder / f"signing-{_checked(instance)}.pem"

    def _book(self, instance: str) -> Path:
        return self._folder / f"keys-{_checked(instance)}.json"

    def _swap(self, path: Path, old: bytes | None, new: bytes) -> bool:
        with _named(path), self._lock():
            if _content(path) != old:
                return False
            _remove_leftovers(self._folder)
            _replace(path, new)
            return True

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _give_to_owner(descriptor, self._folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _checked(instance: str) -> str:
    if not _INSTANCE.fullmatch(instance):
        raise SigningKeyError(f"registry instance {instance!r}: expected 1 to 64 letters, digits, - or _")
    return instance


@contextmanager
def _named(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        raise SigningKeyError(f"{error.filename or path}: {error.strerror}") from error


def _content(path: Path) -> bytes | None:
    with _named(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            _give_to_owner(descriptor, path.parent)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _give_to_owner(descriptor: int, folder: Path) -> None:
    """What the administrator writes by command must stay readable for the server."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _remove_leftovers(folder: Path) -> None:
    """Of processes that died while they wrote: only the holder of the lock makes such files."""
    for file in folder.glob(f"{_TEMPORARY}*"):
        file.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
