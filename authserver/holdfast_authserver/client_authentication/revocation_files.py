"""Revocation lists that lie in files: read again when a file changes, each by itself.

Owns which files count and what is kept of each. A file that cannot be read is named in the log and takes neither the
others nor its own last good form away; a file that is gone is gone. Runs in a thread: it touches disks.
"""

import logging
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from holdfast.x509.revocation_list import MAX_DER, RevocationList, RevocationListError, load_revocation_lists

_LOG = logging.getLogger(__name__)
_MAX_FILE = 2 * MAX_DER
_Stamp = tuple[int, int, int]


class RevocationFiles:
    """`paths`: files, or folders whose files count (not those that begin with a dot). DER, or PEM with one or several."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._stamps: dict[Path, _Stamp | None] = {}
        self._lists: dict[Path, tuple[RevocationList, ...]] = {}

    def read(self) -> tuple[RevocationList, ...]:
        """All lists as they are now; what did not change is not read again."""
        found = list(self._files())
        for gone in self._stamps.keys() - set(found):
            del self._stamps[gone]
            self._lists.pop(gone, None)
        for path in found:
            self._read_if_changed(path)
        return tuple(each for path in found for each in self._lists.get(path, ()))

    def _files(self) -> Iterator[Path]:
        for path in self.paths:
            try:
                yield from sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else (path,)
            except OSError as error:
                _LOG.error("revocation lists: %s: %s", path, error.strerror)

    def _read_if_changed(self, path: Path) -> None:
        stamp, trouble = _stamp(path)
        if path in self._stamps and self._stamps[path] == stamp:
            return
        self._stamps[path] = stamp
        try:
            if stamp is None:
                raise RevocationListError(trouble)
            self._lists[path] = load_revocation_lists(path.read_bytes())
            _LOG.info("revocation lists: %s: read %d", path, len(self._lists[path]))
        except (OSError, RevocationListError) as error:
            kept = "; its last good form stays" if path in self._lists else ""
            _LOG.error("revocation lists: %s: %s%s", path, error, kept)


def _stamp(path: Path) -> tuple[_Stamp | None, str]:
    """What changes when a file does, through links; None for what is no file to be read, and why."""
    try:
        found = path.stat()
    except OSError as error:
        return None, str(error.strerror)
    if not stat.S_ISREG(found.st_mode):
        return None, "expected a file, found something else"
    if found.st_size > _MAX_FILE:
        return None, f"expected at most {_MAX_FILE} bytes, found {found.st_size}"
    return (found.st_mtime_ns, found.st_size, found.st_ino), ""
