"""A certification authority of one key, kept in two files.

Owns its key, its root certificate and how leaves are signed. Decides neither who may have a certificate nor when it is
renewed: `issuance` does. Neighbours: `certificate_spec` says what to sign.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from holdfast.clock import Clock
from holdfast_operator.adapters.folder.certificate_spec import EXTENDED_USAGES, USAGES, CertificateSpec
from holdfast_operator.adapters.folder.objects import write_atomically

ROOT_LIFETIME = timedelta(days=3650)
CURVES: Mapping[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class AuthorityError(Exception):
    """The authority's files cannot be used; the message names the file and what was expected of it."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed leaf with its key and the root above it, as PEM."""

    certificate: bytes
    key: bytes
    ca: bytes
    not_before: datetime
    not_after: datetime


class Authority:
    """Signs with the key in `folder`; makes key and root at the first call, keeps them ever after."""

    def __init__(self, folder: Path, name: str, clock: Clock) -> None:
        self._clock = clock
        self.certificate_file = folder / "ca.crt"
        self._key_file = folder / "ca.key"
        if self._is_new():
            self._create(name)
        self._key, self.certificate = self._load()

    @property
    def pem(self) -> bytes:
        """The root certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, spec: CertificateSpec) -> Issued:
        """Make a key as `spec` asks and sign a certificate over it. Ends with the root at the latest."""
        key = _new_key(spec)
        start = self._clock().replace(microsecond=0)
        left = self.certificate.not_valid_after_utc - start
        if left <= timedelta(0):
            raise AuthorityError(f"{self.certificate_file}: ended {-left} ago; take its folder away for a new CA")
        end = (start + min(spec.duration, left)).replace(microsecond=0)  # as a certificate holds it
        builder = (
            x509.CertificateBuilder()
            .subject_name(spec.subject)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )
        for extension, critical in _leaf_extensions(spec, key, self._key):
            builder = builder.add_extension(extension, critical)
        leaf = builder.sign(self._key, SHA256())
        return Issued(leaf.public_bytes(Encoding.PEM), _private_pem(key), self.pem, start, end)

    def _is_new(self) -> bool:
        """Neither file is there. Raises AuthorityError for one alone: another CA in its place would be trusted by nobody."""
        there = [file for file in (self._key_file, self.certificate_file) if os.path.lexists(file)]
        if len(there) == 1:
            [lost] = {self._key_file, self.certificate_file} - set(there)
            raise AuthorityError(f"{lost}: expected beside {there[0]}, found none; put it back, or take both away")
        return not there

    def _create(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])  # the limit of a CN (X.520)
        start = self._clock().replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + ROOT_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        self._keep(_private_pem(key), builder.sign(key, SHA256()).public_bytes(Encoding.PEM))

    def _keep(self, key: bytes, certificate: bytes) -> None:
        """Both files at once: whatever ends the process, there is never one without the other."""
        folder = self.certificate_file.parent
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as temporary:
            fresh = Path(temporary) / folder.name
            write_atomically(fresh / self._key_file.name, key)
            write_atomically(fresh / self.certificate_file.name, certificate)
            fresh.rename(folder)

    def _load(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = load_pem_private_key(self._key_file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise AuthorityError(f"{self._key_file}: expected a PEM private key{_reason(error)}") from error
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
            theirs = certificate.public_key()
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise AuthorityError(f"{self.certificate_file}: expected a PEM certificate{_reason(error)}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != theirs:
            raise AuthorityError(f"{self.certificate_file}: expected the certificate of the key in {self._key_file}")
        return key, certificate


def _reason(error: Exception) -> str:
    """What the system says; what the parser says helps nobody."""
    return f": {(error.strerror or str(error)).lower()}" if isinstance(error, OSError) else ", found something else"


def _new_key(spec: CertificateSpec) -> PrivateKey:
    if spec.algorithm == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=spec.size)
    return ec.generate_private_key(CURVES[spec.size])


def _private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _leaf_extensions(
    spec: CertificateSpec, key: PrivateKey, issuer: ec.EllipticCurvePrivateKey
) -> list[tuple[x509.ExtensionType, bool]]:
    usages = {USAGES[u]: True for u in spec.usages if u in USAGES}
    extended = sorted((EXTENDED_USAGES[u] for u in spec.usages if u in EXTENDED_USAGES), key=lambda o: o.dotted_string)
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False),
    ]
    if usages:
        found.append((_key_usage(**usages), True))
    if extended:
        found.append((x509.ExtendedKeyUsage(extended), False))
    if spec.names:
        # Critical where there is no subject (RFC 5280 section 4.2.1.6).
        found.append((x509.SubjectAlternativeName(spec.names), not list(spec.subject)))
    return found


def _key_usage(**on: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    rest = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: on.get(name, False) for name in (*names, *rest)})
