"""Trust anchors as certificates, parsed once however many clients share one."""

from functools import lru_cache

from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.x509.certificate import Certificate
from holdfast.x509.chain import check_trust_anchor


@lru_cache(maxsize=1024)  # far more issuers than a cluster has; what falls out is parsed again
def parse_anchor(der: bytes) -> Certificate:
    """Raises CertificateError for what is no certificate, PathError for what cannot be an anchor."""
    anchor = Certificate.from_der(der)
    check_trust_anchor(anchor)
    return anchor


@lru_cache(maxsize=1024)
def parse_anchors(anchors: tuple[TrustAnchor, ...]) -> tuple[Certificate, ...]:
    """Those of one client, as one object for all clients that have the same. Raises as `parse_anchor`."""
    return tuple(parse_anchor(anchor.der) for anchor in anchors)
