"""CA certificates in the form that ConfigMaps hold, as trust-manager and people write them: a bundle in PEM.

Owns telling apart what may lie there instead, each with a reason and a text of its own; none repeats what it found, which
may be a secret. Pure. Neighbours: `anchors` and `policy_sources` say where it was; `holdfast.x509` judges certificates.
"""

import re
from functools import lru_cache

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast.x509.chain import PathError, check_trust_anchor

_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_KEYSTORES = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce", b"0\x82")
"""How JKS, JCEKS and anything in DER, PKCS#12 among them, begin."""


class BundleError(ValueError):
    """What lies there gives no trust anchors; the message says what to put there instead."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@lru_cache(maxsize=256)  # every pass over every client reads its anchors, and few bundles serve many
def read_authorities(data: bytes) -> tuple[Certificate, ...]:
    """Every certificate of the bundle, each one that can be a trust anchor. Raises BundleError."""
    if _PRIVATE_KEY.search(data):
        raise BundleError(
            Reason.PRIVATE_KEY_EXPOSED,
            "a private key lies there, where everyone who may read ConfigMaps can read it: put CA certificates there, and "
            "replace that key wherever it is in use",
        )
    try:
        found = load_pem_bundle(data)
    except CertificateError as error:
        raise BundleError(Reason.TRUST_ANCHOR_UNREADABLE, f"{error}; {_instead(data)}") from None
    for certificate in found:
        _check(certificate)
    return found


def _instead(data: bytes) -> str:
    if data.startswith(_KEYSTORES):
        return "a keystore or DER is not read: name the key that holds the same in PEM"
    return "put CA certificates in PEM there, nothing else"


def _check(certificate: Certificate) -> None:
    if not certificate.is_ca:
        raise BundleError(
            Reason.TRUST_ANCHOR_NOT_AUTHORITY,
            f"the certificate {_called(certificate)} is no CA's but a client's or a server's (its basic constraints do not "
            "say CA:TRUE): put the certificate of the CA there that issued it",
        )
    try:
        check_trust_anchor(certificate)
    except PathError as error:
        raise BundleError(Reason.TRUST_ANCHOR_INVALID, f"{error}; put a CA certificate there that can be used") from None


def _called(certificate: Certificate) -> str:
    """By what people know it."""
    names = (certificate.subject.text, *certificate.uris, *certificate.dns_names, certificate.x5t_s256)
    return repr(next(name for name in names if name)[:200])
