"""Makes real revocation lists for tests, good and bad ones alike."""

import datetime as dt
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from holdfast.x509.certificate import Certificate
from tests.core.x509.authority import DAY, NOW, Authority

HOUR = DAY / 24


def revocation_list(
    ca: Authority,
    revoked: Iterable[Certificate | int] = (),
    *,
    this_update: dt.datetime = NOW - HOUR,
    next_update: dt.datetime = NOW + DAY,
    number: int | None = None,
    reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    entry_extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """A list of `ca` in DER."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.name).last_update(this_update).next_update(next_update)
    builder._revoked_certificates = [_entry(each, this_update, reason, entry_extra) for each in revoked]
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for value, critical in extra:
        builder = builder.add_extension(value, critical=critical)
    chosen = None if isinstance(ca.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(ca.key, chosen).public_bytes(Encoding.DER)


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


def _entry(
    each: Certificate | int,
    date: dt.datetime,
    reason: x509.ReasonFlags | None,
    extra: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.RevokedCertificate:
    serial = each if isinstance(each, int) else each.serial_number
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(date)
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    for value, critical in extra:
        builder = builder.add_extension(value, critical=critical)
    return builder.build()
