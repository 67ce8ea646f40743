"""A certificate, parsed once, that keeps the bytes it came in.

Owns what can be read from one certificate; every way in which its bytes can be wrong is a CertificateError.
Must not judge: `subject` and `chain` do. Neighbours: `names`, `thumbprint`.
"""

import hashlib
import ipaddress
import re
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

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


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
            raise CertificateError(f"not a certificate we can read: {error}") from error
        return certificate

    @classmethod
    def from_pem(cls, pem: bytes) -> "Certificate":
        """The first certificate of a PEM text. Raises CertificateError."""
        return load_pem_bundle(pem)[0]

    def _parse(self) -> None:
        assert self.parsed.version in x509.Version
        _ = (
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
        return self.parsed.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class PeerCertificate:
    """What a client showed and proved possession of in the handshake. `chain`: what it sent besides, leaf left out."""

    leaf: Certificate
    chain: tuple[Certificate, ...] = ()


def load_pem_bundle(pem: bytes) -> tuple[Certificate, ...]:
    """All certificates of a PEM text, in its order. Raises CertificateError when there is none, or a private key."""
    found: list[Certificate] = []
    for match in _PEM.finditer(pem):
        label = match[1].decode()
        if "PRIVATE KEY" in label:
            raise CertificateError(f"it holds a {label}; expected certificates only")
        if label == "CERTIFICATE":
            found.append(_from_block(match[0], len(found) + 1))
    if not found:
        raise CertificateError("expected at least one PEM block labelled CERTIFICATE, found none")
    if len(found) > MAX_BUNDLE:
        raise CertificateError(f"expected at most {MAX_BUNDLE} certificates, found {len(found)}")
    return tuple(found)


def _from_block(block: bytes, number: int) -> Certificate:
    try:
        der = x509.load_pem_x509_certificate(block).public_bytes(Encoding.DER)
    except Exception as error:
        raise CertificateError(f"certificate {number} of the bundle cannot be read: {error}") from error
    return Certificate.from_der(der)
