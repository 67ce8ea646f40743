"""Who may be at the other end of a connection: a certificate that leads to one CA and carries one pinned name.

For peers that are part of the installation, such as the operator and a TLS terminator; clients are judged elsewhere.
The CA file is read again when it changes. Neighbours: `admin.identity` and `forwarded.adapter` ask.
"""

from pathlib import Path

from holdfast.clock import Clock
from holdfast.x509.certificate import Certificate, CertificateError, PeerCertificate, load_pem_bundle
from holdfast.x509.chain import PathError, VerifiedPath, verify_path
from holdfast_authserver.transport.presented import PresentedChain

_MAX_REMEMBERED = 64  # peers that were let in; there are a handful of terminators


class PeerRefused(Exception):
    """Not this peer. The message is for the log. `anonymous`: it presented no certificate at all."""

    def __init__(self, message: str, *, anonymous: bool = False) -> None:
        self.anonymous = anonymous
        super().__init__(message)


class PinnedPeer:
    """`ca_file`: PEM. `san`: a URI where it has a scheme, else a DNS name; compared exactly.

    `setting`: what names the file, for messages.
    """

    def __init__(self, ca_file: Path, san: str, clock: Clock, *, setting: str) -> None:
        self._ca_file = ca_file
        self._san = san
        self._clock = clock
        self._setting = setting
        self._stamp: tuple[int, int] | None = None
        self._anchors: tuple[Certificate, ...] = ()
        self._let_in: dict[bytes, VerifiedPath] = {}

    def check(self, chain: PresentedChain | None) -> None:
        """Raises PeerRefused. Who was let in is not judged again while path and CA file stay what they are."""
        if chain is None:
            raise PeerRefused("the peer presented no certificate", anonymous=True)
        self._read_anchors()
        path, now = self._let_in.get(chain.digest), self._clock()
        if path is None or not path.valid_from <= now <= path.valid_until:
            if len(self._let_in) >= _MAX_REMEMBERED:
                self._let_in.clear()
            self._let_in[chain.digest] = self._judge(chain)

    def _judge(self, chain: PresentedChain) -> VerifiedPath:
        try:
            leaf, *others = map(Certificate.from_der, chain.ders)
            path = verify_path(PeerCertificate(leaf, tuple(others)), self._anchors, at=self._clock())
        except CertificateError as error:
            raise PeerRefused(f"the peer's certificate cannot be read: {error}") from error
        except PathError as error:
            raise PeerRefused(f"the peer's certificate does not lead to the CA of {self._setting}: {error}") from error
        names = leaf.uris if "://" in self._san else leaf.dns_names
        if self._san not in names:
            raise PeerRefused(f"the peer's certificate names {', '.join(names)[:300] or 'nobody'}, expected {self._san}")
        return path

    def _read_anchors(self) -> None:
        try:
            found = self._ca_file.stat()
            stamp = (found.st_ino, found.st_mtime_ns)
            if self._stamp != stamp:
                self._let_in.clear()
                self._anchors = load_pem_bundle(self._ca_file.read_bytes())
                self._stamp = stamp
        except (OSError, CertificateError) as error:
            # What was read before is not trusted any further: a CA that was withdrawn must not go on.
            self._stamp = None
            self._let_in.clear()
            raise PeerRefused(f"{self._setting} {self._ca_file}: {error}") from error
