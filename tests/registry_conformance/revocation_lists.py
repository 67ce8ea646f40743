"""Real CRLs, signed by the authorities of the other tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.core.x509.authority import Authority


def a_crl(authority: Authority, serials: Sequence[int] = (), *, at: datetime | None = None) -> bytes:
    """DER of a CRL that is current for a day."""
    now = (at or datetime.now(UTC)).replace(microsecond=0)
    builder = x509.CertificateRevocationListBuilder(authority.name, now - timedelta(hours=1), now + timedelta(days=1))
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(hours=2)).build()
        builder = builder.add_revoked_certificate(entry)
    signed = builder.sign(authority.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)
