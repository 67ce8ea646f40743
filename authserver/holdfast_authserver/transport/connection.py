"""One TLS connection on pyOpenSSL, in the shape of `ssl.SSLObject`, so that asyncio and uvloop can drive it.

The event loop hands over two `ssl.MemoryBIO`; this object moves bytes between those and pyOpenSSL's own BIOs. It knows
nothing of HTTP. Neighbours: `context.py` makes it, `presented.py` names what it finds.
"""

import ssl
from collections.abc import Callable
from typing import Any, NoReturn

from OpenSSL import SSL, crypto

from holdfast_authserver.transport import handshake
from holdfast_authserver.transport.presented import PresentedChain

_FLUSH = 16384  # bytes per read of the outgoing BIO: a TLS record, so that one read is all of a usual answer
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


class TlsConnection:
    """What `SSLContext.wrap_bio` returns: `ssl.SSLObject` as far as the event loops use it."""

    def __init__(
        self,
        context: ssl.SSLContext,
        connection: SSL.Connection,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        on_handshake: Callable[[str], None],
    ) -> None:
        """`on_handshake`: told how the handshake ended, in a word of `handshake`."""
        self.context = context
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_handshake = on_handshake
        self._fed = False
        """True while OpenSSL may hold undecrypted bytes: from each feed until a call ends in WantRead."""
        self._failed: ssl.SSLError | None = None
        """Why the handshake failed, while the alert that tells the peer is on its way."""
        self._send, self._recv = connection.send, connection.recv

    def _call(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        """Feed what came in, call OpenSSL, and speak of its errors as the `ssl` module would."""
        if self._incoming.pending:
            self._connection.bio_write(self._incoming.read())
            self._fed = True
        elif self._incoming.eof:
            self._connection.bio_shutdown()
        elif not self._fed and operation is not self._send:
            raise ssl.SSLWantReadError  # OpenSSL would say the same, at several times the cost
        try:
            return operation(*arguments)
        except SSL.WantReadError:
            self._fed = False
            self._flush()  # reading may itself give rise to output: an alert, a key update
            raise ssl.SSLWantReadError from None
        except SSL.WantWriteError:
            raise ssl.SSLWantWriteError from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError from None
        except SSL.SysCallError as error:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, str(error)) from None
        except SSL.Error as error:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, str(error)) from None

    def _flush(self) -> None:
        try:
            while True:
                data = self._connection.bio_read(_FLUSH)
                self._outgoing.write(data)
                if len(data) < _FLUSH:
                    return
        except SSL.WantReadError:
            return

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises ssl.SSLWantReadError until it is done, ssl.SSLError when it failed.

        The event loops cut a connection off when it fails. So that the alert is sent which says why (RFC 8446 section
        6.2), the failure is told only when the peer says anything more, or leaves; else the time for handshakes ends it.
        """
        if self._failed is not None:
            self._raise_when_answered(self._failed)
        try:
            self._call(self._connection.do_handshake)
            self._on_handshake(handshake.OK)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._on_handshake(handshake.failure(error))
            self._flush()
            if not self._outgoing.pending:
                raise
            self._failed = error
            raise ssl.SSLWantReadError from None
        finally:
            self._flush()

    def _raise_when_answered(self, error: ssl.SSLError) -> NoReturn:
        if self._incoming.pending or self._incoming.eof:
            raise error
        raise ssl.SSLWantReadError

    def read(self, size: int = 65536, buffer: Any = None) -> Any:
        """Decrypted bytes (or their count, into `buffer`); nothing at the end."""
        if buffer is not None:
            return self._call(self._connection.recv_into, buffer, size)
        try:
            return self._call(self._recv, size)
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, data: Any) -> int:
        """Encrypt; answers with the number of bytes taken."""
        try:
            return int(self._call(self._send, data))
        finally:
            self._flush()

    def unwrap(self) -> None:
        """Say goodbye, and wait for the peer's."""
        self._fed = True  # shutdown has something to say whether or not bytes came in
        try:
            done = self._call(self._connection.shutdown)
        finally:
            self._flush()
        if not done:
            raise ssl.SSLWantReadError

    def pending(self) -> int:
        """Positive while a read may yield bytes.

        uvloop reads only while the incoming BIO or this is positive, and after the handshake the request may already sit
        in OpenSSL's inner BIO, which SSL_pending does not count.
        """
        return int(self._connection.pending() or self._fed)

    def presented_chain(self) -> PresentedChain | None:
        """The certificates of the peer as it sent them, leaf first; None when it sent none."""
        leaf = self._connection.get_peer_certificate()
        if leaf is None:
            return None
        others = self._connection.get_peer_cert_chain() or ()  # on the server's side OpenSSL leaves the leaf out
        return PresentedChain(tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, c) for c in (leaf, *others)))

    def tls_version(self) -> int | None:
        """The protocol number, as the ASGI TLS extension wants it."""
        return _VERSIONS.get(self._connection.get_protocol_version_name())

    def getpeercert(self, binary_form: bool = False) -> bytes | None:
        """The leaf; without `binary_form` nothing, since the event loops ask at each connection and use none of it."""
        chain = self.presented_chain() if binary_form else None
        return None if chain is None else chain.ders[0]

    def version(self) -> str:
        """The protocol's name."""
        return str(self._connection.get_protocol_version_name())

    def cipher(self) -> None:
        """Asked for by the event loops, used by nobody."""

    def compression(self) -> None:
        """There is none (RFC 8446)."""

    def selected_alpn_protocol(self) -> None:
        """None is offered: HTTP/1.1 is what is spoken."""
