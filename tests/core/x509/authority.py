"""Makes real certificates for tests: roots, intermediates and leaves, good and bad ones alike."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from holdfast.x509.certificate import Certificate, PeerCertificate

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def name(dn: str | x509.Name) -> x509.Name:
    return dn if isinstance(dn, x509.Name) else x509.Name.from_rfc4514_string(dn)


@dataclass(frozen=True)
class Issued:
    """A leaf with its key and the intermediates it needs."""

    certificate: Certificate
    key: Key = field(repr=False)
    chain: tuple[Certificate, ...] = ()

    @property
    def peer(self) -> PeerCertificate:
        return PeerCertificate(self.certificate, self.chain)

    @property
    def cert_pem(self) -> bytes:
        return self.certificate.pem

    @property
    def chain_pem(self) -> bytes:
        """Leaf first, then the intermediates, as a server or client presents them."""
        return b"".join(c.pem for c in (self.certificate, *self.chain))

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """`tls.crt` and `tls.key` in `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tls.crt").write_bytes(self.chain_pem)
        (folder / "tls.key").write_bytes(self.key_pem)
        return folder / "tls.crt", folder / "tls.key"


@dataclass(frozen=True)
class Authority:
    """A CA, and the intermediates from it up to (not including) the root."""

    certificate: Certificate
    key: Key = field(repr=False)
    above: tuple[Certificate, ...] = ()

    @classmethod
    def root(cls, dn: str = "CN=Root", *, key: Key | None = None, not_after: dt.datetime = NOW + 365 * DAY,
             constraints: x509.NameConstraints | None = None, basic: bool = True, usage: bool = True,
             eku: Sequence[x509.ObjectIdentifier] = ()) -> "Authority":  # fmt: skip
        key = key or new_key()
        builder = _ca_builder(name(dn), name(dn), key, not_after, None, constraints, basic, usage, eku)
        return cls(_sign(builder, key), key)

    def intermediate(self, dn: str = "CN=Intermediate", *, key: Key | None = None, path_length: int | None = None,
                     not_after: dt.datetime = NOW + 300 * DAY, constraints: x509.NameConstraints | None = None,
                     eku: Sequence[x509.ObjectIdentifier] = ()) -> "Authority":  # fmt: skip
        key = key or new_key()
        builder = _ca_builder(self.name, name(dn), key, not_after, path_length, constraints, True, True, eku)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        above = (self.certificate, *self.above) if self.certificate.issuer != self.certificate.subject else self.above
        return Authority(_sign(builder, self.key), key, above)

    @cached_property
    def name(self) -> x509.Name:
        return self.certificate.parsed.subject

    @property
    def pem(self) -> bytes:
        return self.certificate.pem

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """What a leaf of this CA has to send besides itself."""
        is_root = self.certificate.issuer == self.certificate.subject
        return () if is_root else (self.certificate, *self.above)

    def issue(self, subject_dn: str | x509.Name = "", *, dns: Sequence[str] = (), uris: Sequence[str] = (),
              ips: Sequence[str] = (), emails: Sequence[str] = (), not_before: dt.datetime = NOW - DAY,
              not_after: dt.datetime = NOW + 30 * DAY, client_auth: bool = True, key: Key | None = None,
              usages: Sequence[x509.ObjectIdentifier] | None = None, digital_signature: bool | None = True,
              ca: bool = False, aki: bool = True, server: bool = False,
              extra: Sequence[tuple[x509.ExtensionType, bool]] = ()) -> Issued:  # fmt: skip
        """A leaf. `usages` replaces the extended key usage; `digital_signature=None` leaves key usage out."""
        key = key or new_key()
        builder = _leaf_builder(self.name, name(subject_dn), key, not_before, not_after)
        if sans := _alternative_names(dns, uris, ips, emails):
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=not subject_dn)
        if usages is None:
            usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if client_auth else []
            usages += [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if digital_signature is not None:
            builder = builder.add_extension(
                key_usage(digital_signature=digital_signature, content_commitment=True), critical=True
            )
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if aki:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        for value, critical in extra:
            builder = builder.add_extension(value, critical=critical)
        return Issued(_sign(builder, self.key), key, self.chain)


def key_usage(**flags: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{n: flags.get(n, False) for n in names})


def _alternative_names(
    dns: Sequence[str], uris: Sequence[str], ips: Sequence[str], emails: Sequence[str]
) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(v) for v in dns),
        *(x509.UniformResourceIdentifier(v) for v in uris),
        *(x509.IPAddress(ipaddress.ip_network(v) if "/" in v else ipaddress.ip_address(v)) for v in ips),
        *(x509.RFC822Name(v) for v in emails),
    ]


def _leaf_builder(
    issuer: x509.Name, subject: x509.Name, key: Key, not_before: dt.datetime, not_after: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _ca_builder(issuer: x509.Name, subject: x509.Name, key: Key, not_after: dt.datetime, path_length: int | None,
                constraints: x509.NameConstraints | None, basic: bool, usage: bool,
                eku: Sequence[x509.ObjectIdentifier]) -> x509.CertificateBuilder:  # fmt: skip
    builder = _leaf_builder(issuer, subject, key, min(NOW, not_after) - 2 * DAY, not_after)
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    if usage:
        builder = builder.add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    if eku:
        builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=False)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _sign(builder: x509.CertificateBuilder, key: Key) -> Certificate:
    chosen = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Certificate.from_der(builder.sign(key, chosen).public_bytes(Encoding.DER))
