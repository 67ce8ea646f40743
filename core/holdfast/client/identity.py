"""A certificate with its key, read from files that may be swapped at any moment.

Owns the promise that leaf, chain and key belong together. Must not know tokens. Neighbour: `generation`.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from holdfast.client.errors import IdentityError
from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle

_ATTEMPTS = 5  # a rotation that is seen halfway is over with the next look, or the one after

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Identity:
    """Leaf, what is sent with it, and the key (PKCS #8 PEM) that was proved to be the leaf's."""

    leaf: Certificate
    chain: tuple[Certificate, ...]
    key_pem: bytes = field(repr=False)

    def context(self, ca_pem: bytes | None) -> ssl.SSLContext:
        """A client's TLS context that shows this certificate. `ca_pem` None: the system's trust. Raises IdentityError."""
        try:
            context = ssl.create_default_context(cadata=None if ca_pem is None else ca_pem.decode())
            with _as_file(b"".join(c.pem for c in (self.leaf, *self.chain)) + self.key_pem) as path:
                context.load_cert_chain(path)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise IdentityError(f"certificate {self.leaf.x5t_s256} cannot be used for TLS: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class IdentityFiles:
    """Where they lie, in PEM, as in a mounted Secret. `ca` None: servers are trusted as the system does."""

    certificate: Path
    key: Path
    ca: Path | None = None
    api_ca: Path | None = None

    def stamp(self) -> Stamp | None:
        """Changes when any file does, also when a mounted Secret swaps its symbolic link; None: one is not there."""
        try:
            stats = [path.stat() for path in (self.certificate, self.key, self.ca, self.api_ca) if path is not None]
        except OSError:
            return None
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in stats)

    def read(self) -> Identity:
        """Both as one pair: what was swapped in between is read again. Raises IdentityError."""
        failure = IdentityError(f"{self.certificate} and {self.key} keep changing")
        for _ in range(_ATTEMPTS):
            before = self.stamp()
            try:
                identity = self._read_once()
            except IdentityError as error:
                failure = error
            else:
                if self.stamp() == before:
                    return identity
                continue
            if self.stamp() == before:
                break
        raise failure

    def _read_once(self) -> Identity:
        try:
            leaf, *chain = load_pem_bundle(_bytes(self.certificate))
        except CertificateError as error:
            raise IdentityError(f"{self.certificate}: {error}") from error
        private = _private_key(self.key)
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if public != leaf.parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
            raise IdentityError(f"{self.key}: expected the key of {self.certificate}, found another one")
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Identity(leaf, tuple(chain), pem)


def read_ca(path: Path | None) -> bytes | None:
    """The PEM text of the CAs to trust. Raises IdentityError."""
    if path is None:
        return None
    try:
        return b"".join(certificate.pem for certificate in load_pem_bundle(_bytes(path)))
    except CertificateError as error:
        raise IdentityError(f"{path}: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(f"{path}: {error.strerror}") from error


def _private_key(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_bytes(path), None)
    except IdentityError:
        raise
    except Exception as error:
        # Odd text, a passphrase, an unknown algorithm: a type each. The message must not quote the file.
        raise IdentityError(f"{path}: expected an unencrypted private key in PEM ({type(error).__name__})") from error


@contextmanager
def _as_file(pem: bytes) -> Iterator[str]:
    """`ssl` reads keys from files only. Where there are files in memory this one touches no disk."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("identity"), "wb") as file:
            file.write(pem)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:  # made with mode 0700
        path = Path(folder, "identity.pem")
        path.write_bytes(pem)
        yield str(path)
