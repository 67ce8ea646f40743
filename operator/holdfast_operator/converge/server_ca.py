"""The CA certificates that the server's listeners lead to, from a file that may change at any time.

Owns when the file is read and what is believed of it: certificates and nothing else, so that a key that was put there by
mistake reaches nobody. Neighbour: `namespace_config` hands them to applications.
"""

import logging
from pathlib import Path

from holdfast.x509.certificate import CertificateError, load_pem_bundle

log = logging.getLogger(__name__)

_MAX_FILE = 512 * 1024  # bytes; a ConfigMap holds 1 MiB
_Stamp = tuple[int, int, int]


class ServerCa:
    """`file` None, or one that does not exist: the listeners' certificates are of a public CA."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stamp: _Stamp | None = None
        self._pem: str | None = ""

    def pem(self) -> str | None:
        """As the file says now, or said when it was last of use; None: it has been of no use so far."""
        stamp = self._look()
        if stamp == self._stamp:
            return self._pem
        self._stamp = stamp
        if stamp is None or self._file is None:
            self._pem = ""
            return self._pem
        try:
            self._pem = _read(self._file)
        except (OSError, CertificateError) as error:
            self._pem = self._pem or None
            log.error("%s: expected the CA certificates of the server's listeners: %s", self._file, error)
        return self._pem

    def _look(self) -> _Stamp | None:
        try:
            found = self._file.stat() if self._file is not None else None
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("%s: expected the CA certificates of the server's listeners: %s", self._file, error.strerror)
            return self._stamp
        return None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)


def _read(file: Path) -> str:
    """Written anew from what was read: comments and anything between the certificates stay behind."""
    with file.open("rb") as opened:
        pem = opened.read(_MAX_FILE)
    found = dict.fromkeys(certificate.pem for certificate in load_pem_bundle(pem))
    return b"".join(found).decode("ascii")
