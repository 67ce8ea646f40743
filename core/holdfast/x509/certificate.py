"""A certificate, parsed once, that keeps the bytes it came in.

Owns what can be read from one certificate; every way in which its bytes can be wrong is a CertificateError.
Must not judge: `subject` and `chain` do. Neighbours: `names`, `thumbprint`.
"""

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from holdfast.x509.der import DerError, read_all, read_one
from holdfast.x509.names import DistinguishedName, read_name
from holdfast.x509.thumbprint import x5t_s256

MAX_DER = 64 * 1024
MAX_BUNDLE = 64
MAX_PEM = 1024 * 1024

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class CertificateError(ValueError):
    """The bytes are no certificate we can read; the message says why."""


@dataclass(frozen=True)
class Certificate:
    """An X.509 certificate. Two are equal when their DER is. Times are aware UTC."""

    der: bytes

    @classmethod
    def from_der(cls, der: bytes) -> "Certificate":
        """Parse all that will be asked of it now, so that no later question can fail. Raises CertificateError."""
        if len(der) > MAX_DER:
            raise CertificateError(f"a certificate of {len(der)} bytes is larger than the {MAX_DER} we read")
        certificate = cls(bytes(der))
        try:
            certificate._parse()
        except CertificateError:
            raise
        except Exception as error:
            # The parser answers odd bytes with a dozen exception types; to us they mean one thing.
            raise CertificateError(f"not a certificate we can read: {_plain(error)}") from error
        except BaseException as error:
            # A panic of its Rust part is no Exception, and its type cannot be imported.
            if type(error).__name__ != "PanicException":
                raise
            raise CertificateError("not a certificate we can read: the parser gave up") from error
        return certificate

    @classmethod
    def from_pem(cls, pem: bytes) -> "Certificate":
        """The first certificate of a PEM text. Raises CertificateError."""
        return load_pem_bundle(pem)[0]

    def _parse(self) -> None:
        _ = (
            self.parsed.version,
            self.x5t_s256,
            self.spki_sha256,
            self.subject,
            self.issuer,
            self.not_before,
            self.not_after,
            self.serial_number,
        )
        _ = (self.extensions, self.dns_names, self.uris, self.ip_addresses, self.email_addresses, self.is_ca)
        _ = self.parsed.public_key()

    @cached_property
    def parsed(self) -> x509.Certificate:
        """The same as `cryptography` has it."""
        return x509.load_der_x509_certificate(self.der)

    @cached_property
    def x5t_s256(self) -> str:
        return x5t_s256(self.der)

    @property
    def sha256(self) -> str:
        """SHA-256, hex, of the DER: how policies name an anchor."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def spki_sha256(self) -> str:
        """SHA-256, hex, of the public key's SubjectPublicKeyInfo."""
        spki = self.parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    @cached_property
    def subject(self) -> DistinguishedName:
        return self._names[1]

    @cached_property
    def issuer(self) -> DistinguishedName:
        return self._names[0]

    @cached_property
    def _names(self) -> tuple[DistinguishedName, DistinguishedName]:
        """Issuer and subject from the bytes themselves, whatever a decoder thinks of their strings."""
        try:
            fields = list(read_all(read_one(self.parsed.tbs_certificate_bytes).content))
            first = 1 if fields[0].tag == 0xA0 else 0  # version 1 leaves the version out
            return read_name(fields[first + 2].raw), read_name(fields[first + 4].raw)
        except (DerError, IndexError) as error:
            raise CertificateError(f"its names cannot be read: {error}") from error

    @cached_property
    def not_before(self) -> datetime:
        return self.parsed.not_valid_before_utc

    @cached_property
    def not_after(self) -> datetime:
        return self.parsed.not_valid_after_utc

    @cached_property
    def serial_number(self) -> int:
        return self.parsed.serial_number

    @cached_property
    def extensions(self) -> x509.Extensions:
        return self.parsed.extensions

    @cached_property
    def _alternative_names(self) -> tuple[x509.GeneralName, ...]:
        try:
            return tuple(self.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except x509.ExtensionNotFound:
            return ()

    @cached_property
    def dns_names(self) -> tuple[str, ...]:
        return tuple(n.value for n in self._alternative_names if isinstance(n, x509.DNSName))

    @cached_property
    def uris(self) -> tuple[str, ...]:
        return tuple(n.value for n in self._alternative_names if isinstance(n, x509.UniformResourceIdentifier))

    @cached_property
    def email_addresses(self) -> tuple[str, ...]:
        return tuple(n.value for n in self._alternative_names if isinstance(n, x509.RFC822Name))

    @cached_property
    def ip_addresses(self) -> tuple[IPAddress, ...]:
        """Addresses only: an entry that is a subnet identifies nobody."""
        values = (n.value for n in self._alternative_names if isinstance(n, x509.IPAddress))
        return tuple(v for v in values if isinstance(v, ipaddress.IPv4Address | ipaddress.IPv6Address))

    @cached_property
    def is_ca(self) -> bool:
        """Whether basic constraints say so (RFC 5280 section 4.2.1.9)."""
        try:
            return self.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            return False

    @property
    def pem(self) -> bytes:
        body = base64.encodebytes(self.der).replace(b"\n", b"")
        lines = b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"

    def __repr__(self) -> str:
        # Logs hold thumbprints, not certificates.
        return f"Certificate({self.subject.text!r}, x5t#S256={self.x5t_s256})"


@dataclass(frozen=True)
class PeerCertificate:
    """What a client showed and proved possession of in the handshake. `chain`: what it sent besides, leaf left out."""

    leaf: Certificate
    chain: tuple[Certificate, ...] = ()


def load_pem_bundle(pem: bytes) -> tuple[Certificate, ...]:
    """All certificates of a PEM text (RFC 7468), in its order.

    Raises CertificateError when there is none, when a block is broken or is anything but a certificate.
    """
    if len(pem) > MAX_PEM:
        raise CertificateError(f"expected at most {MAX_PEM} bytes of PEM, found {len(pem)}")
    found: list[Certificate] = []
    for label, body in _blocks(pem):
        if label != "CERTIFICATE":
            raise CertificateError(f"expected certificates only, found a block labelled {label}")
        if len(found) == MAX_BUNDLE:
            raise CertificateError(f"expected at most {MAX_BUNDLE} certificates, found more")
        found.append(_from_body(body, len(found) + 1))
    if not found:
        raise CertificateError("expected at least one PEM block labelled CERTIFICATE, found none")
    return tuple(found)


def _plain(error: Exception) -> str:
    """What the parser says, where it says it in words and not in those of its own code."""
    text = str(error)
    return "its DER is malformed" if "ParseError" in text or not text else text


_BEGIN, _END, _DASHES = b"-----BEGIN ", b"-----END ", b"-----"


def _blocks(pem: bytes) -> Iterator[tuple[str, bytes]]:
    """Label and Base64 of each block; text outside of blocks is a comment. One pass, whatever the input."""
    label = b""
    body: list[bytes] = []
    for line in (raw.strip() for raw in pem.splitlines()):
        if line.startswith(_BEGIN) and line.endswith(_DASHES):
            if label:
                raise CertificateError(f"the block labelled {_shown(label)} has no end")
            label, body = line[len(_BEGIN) : -len(_DASHES)], []
        elif label and line == _END + label + _DASHES:
            yield _shown(label), b"".join(body)
            label = b""
        elif label:
            body.append(line)
    if label:
        raise CertificateError(f"the block labelled {_shown(label)} has no end")


def _shown(label: bytes) -> str:
    return label[:40].decode("ascii", "replace")


def _from_body(body: bytes, number: int) -> Certificate:
    """Decoded here and not by the parser: the thumbprint is over the bytes as they came, never over a re-encoding."""
    try:
        return Certificate.from_der(base64.b64decode(body, validate=True))
    except (binascii.Error, CertificateError) as error:
        raise CertificateError(f"certificate {number} of the bundle: {error}") from error
