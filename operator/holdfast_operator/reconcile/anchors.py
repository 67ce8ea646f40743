"""The trust anchors of a client: its own from ConfigMaps, else the CA that issued its certificate.

Owns reading and refusing CA certificates, and which of them are shared: by its key an anchor is shared when it is a
ClusterIssuer's, wherever it is written. Pure. Neighbour: `holdfast.x509` judges.
"""

import base64
import binascii
from collections.abc import Mapping

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.oauth_client import ConfigMapKey
from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast.x509.chain import PathError, check_trust_anchor
from holdfast_operator.reconcile.finding import Finding, stalled
from holdfast_operator.reconcile.ports import Object

MAX_ANCHORS = 32
"""As many as a registration holds."""


class Unusable(Exception):
    """What should give anchors does not. `finding`: what the condition says."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


class OwnAnchorsUnusable(Unusable):
    """The client's own anchors cannot be read: what they were before is no longer what the client trusts."""


def own_anchors(
    references: tuple[ConfigMapKey, ...], config_maps: Mapping[str, Object | None], shared_keys: frozenset[str]
) -> tuple[TrustAnchor, ...]:
    """The CA certificates of all references. Raises OwnAnchorsUnusable for the first that gives none."""
    found = [c for reference in references for c in _bundle(reference, config_maps.get(reference.name))]
    unique = tuple(dict.fromkeys(c.der for c in found))
    if len(unique) > MAX_ANCHORS:
        raise OwnAnchorsUnusable(
            stalled(
                Reason.TRUST_ANCHOR_INVALID,
                f"spec.authentication.trustAnchors: expected at most {MAX_ANCHORS} certificates, found {len(unique)}",
            )
        )
    keys = {c.der: c.spki_sha256 for c in found}
    return tuple(TrustAnchor(der=der, shared=keys[der] in shared_keys) for der in unique)


def _bundle(reference: ConfigMapKey, config_map: Object | None) -> tuple[Certificate, ...]:
    where = f"ConfigMap {reference.name}, key {reference.key}"
    if config_map is None:
        raise OwnAnchorsUnusable(
            stalled(
                Reason.TRUST_ANCHOR_NOT_FOUND,
                f"ConfigMap {reference.name} does not exist in this namespace: create it with the CA certificates in PEM "
                f"under the key {reference.key}, or change spec.authentication.trustAnchors",
            )
        )
    text = _value(config_map, reference.key)
    if text is None:
        keys = ", ".join(sorted({**(config_map.get("data") or {}), **(config_map.get("binaryData") or {})})) or "none"
        raise OwnAnchorsUnusable(
            stalled(Reason.TRUST_ANCHOR_NOT_FOUND, f"{where}: the key does not exist, found: {keys}; add it or name another")
        )
    return _certificates(text, where)


def _value(config_map: Object, key: str) -> bytes | None:
    text = (config_map.get("data") or {}).get(key)
    if text is not None:
        return str(text).encode()
    binary = (config_map.get("binaryData") or {}).get(key)
    try:
        return None if binary is None else base64.b64decode(binary)
    except binascii.Error:
        return b""


def _certificates(text: bytes, where: str) -> tuple[Certificate, ...]:
    try:
        found = load_pem_bundle(text)
        for certificate in found:
            check_trust_anchor(certificate)
    except (CertificateError, PathError) as error:
        raise OwnAnchorsUnusable(
            stalled(Reason.TRUST_ANCHOR_INVALID, f"{where}: {error}; put CA certificates in PEM there, nothing else")
        ) from None
    return found


def issuing_anchors(pem: bytes, *, shared: bool, shared_keys: frozenset[str]) -> tuple[TrustAnchor, ...]:
    """The CA that an issuer says it issued under. Raises Unusable."""
    try:
        found = load_pem_bundle(pem)
        for certificate in found:
            check_trust_anchor(certificate)
    except (CertificateError, PathError) as error:
        raise Unusable(
            stalled(
                Reason.TRUST_ANCHOR_INVALID,
                f"the issuer's CA cannot be a trust anchor: {error}; use an issuer with another CA, or name "
                "spec.authentication.trustAnchors",
            )
        ) from None
    return tuple(
        TrustAnchor(der=c.der, shared=shared or c.spki_sha256 in shared_keys) for c in {c.der: c for c in found}.values()
    )
