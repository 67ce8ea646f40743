"""CA certificates, parsed once however many clients have one as their anchor."""

from functools import lru_cache

from holdfast.x509.certificate import Certificate


@lru_cache(maxsize=1024)  # far more issuers than a cluster has; what falls out is parsed again
def authority(der: bytes) -> Certificate:
    """Raises CertificateError, where it is looked at, for what is none."""
    return Certificate.from_der(der)
