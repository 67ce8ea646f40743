"""The TLS context of a listener: its own certificate, reloaded when the files change, and what it asks of clients.

Owns versions, ciphers and the refusal to resume. A subclass of `ssl.SSLContext` only so that event loops accept it:
everything is done by pyOpenSSL, since the standard library has no verify callback and so cannot take any certificate.
"""

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from OpenSSL import SSL

from holdfast_authserver.transport import handshake
from holdfast_authserver.transport.connection import TlsConnection

_LOG = logging.getLogger(__name__)
_LOOK_AGAIN = 1.0  # seconds between looks at the files, so that a burst of connections costs one
_CIPHERS = (  # of TLS 1.2, and no other (RFC 8705 section 7.3, RFC 9325 section 4.2); TLS 1.3 has its own, all good
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
)


class TlsFilesError(Exception):
    """The certificate or key of a listener cannot be used; names the file and the cause, never its content."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a listener's certificate chain and key lie (PEM)."""

    certificate: Path
    key: Path

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when either file does, also when a mounted Secret swaps its symbolic link. Raises OSError."""
        stats = (path.stat() for path in (self.certificate, self.key))
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in stats)


class ListenerContext(ssl.SSLContext):
    """Asks for a client certificate when told to, and then takes any, also none (RFC 8705 sections 6.1 and 6.2)."""

    files: TlsFiles
    _ask: bool
    on_handshake: Callable[[str], None] = staticmethod(lambda _: None)
    """Told how each handshake goes, in a word of `handshake`; whoever counts them puts its own function here."""

    def __new__(cls, files: TlsFiles, *, ask_for_certificate: bool) -> Self:
        """Raises TlsFilesError."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self.files = files
        self._ask = ask_for_certificate
        return self

    def __init__(self, files: TlsFiles, *, ask_for_certificate: bool) -> None:
        self._stamp = _stamp(files)
        self._openssl = _openssl_context(files, ask_for_certificate)
        self._looked = time.monotonic()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: Any = None,
        session: Any = None,
    ) -> Any:
        """A server's connection over two BIOs, with the certificate that the files hold now."""
        self._reload_when_changed()
        connection = SSL.Connection(self._openssl, None)
        connection.set_accept_state()
        self.on_handshake(handshake.STARTED)
        return TlsConnection(self, connection, incoming, outgoing, self.on_handshake)

    def _reload_when_changed(self) -> None:
        """Half a rotation (key and certificate of different pairs) keeps the old pair until the files agree."""
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        try:
            stamp = _stamp(self.files)
            if stamp != self._stamp:
                self._openssl = _openssl_context(self.files, self._ask)
                self._stamp = stamp
        except TlsFilesError as error:
            _LOG.warning("keeping the previous server certificate: %s", error)


def _stamp(files: TlsFiles) -> tuple[tuple[int, int, int], ...]:
    try:
        return files.stamp()
    except OSError as error:
        raise TlsFilesError(f"{error.filename}: {error.strerror}") from error


def _openssl_context(files: TlsFiles, ask_for_certificate: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    # A resumed session would skip the proof of possession and lose the intermediates (RFC 8705 section 7.3). That no
    # ticket is sent in TLS 1.3 either is openssl.cnf's doing.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    if ask_for_certificate:
        context.set_verify(SSL.VERIFY_PEER, _take_any)
    _load_pair(context, files)
    return context


def _take_any(*_: Any) -> bool:
    """The handshake proves possession of the key; whose certificate it is, the application judges."""
    return True


def _load_pair(context: SSL.Context, files: TlsFiles) -> None:
    for path in (files.certificate, files.key):
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsFilesError(f"{path}: {error.strerror}") from error
    try:
        context.use_certificate_chain_file(str(files.certificate))
    except SSL.Error as error:
        raise TlsFilesError(f"{files.certificate}: expected a PEM certificate chain") from error
    try:
        context.use_privatekey_file(str(files.key))
        context.check_privatekey()
    except SSL.Error as error:
        raise TlsFilesError(f"{files.key}: expected the PEM key of {files.certificate}") from error
