"""The trust anchors of a client: its own from ConfigMaps, else the CA that issued its certificate.

Owns reading and refusing CA certificates, and which of them are shared: by its key an anchor is shared when it is a
ClusterIssuer's, wherever it is written. Pure: the moment is an argument. Neighbour: `holdfast.x509` judges.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.oauth_client import ConfigMapKey
from holdfast.oauth.client_metadata import TrustAnchor
from holdfast.x509.certificate import Certificate, CertificateError, load_pem_bundle
from holdfast.x509.chain import PathError, check_trust_anchor
from holdfast_operator.reconcile.authorities import authority
from holdfast_operator.reconcile.authority_bundle import BundleError, read_authorities
from holdfast_operator.reconcile.finding import Finding, stalled, waiting
from holdfast_operator.reconcile.issued import timestamp
from holdfast_operator.reconcile.ports import Object

MAX_ANCHORS = 32
MAX_ANCHOR_BYTES = 512 * 1024
"""Of all of a client's together: registrations travel together, and one tenant's must leave room for others'."""
"""As many as a registration holds."""


class Unusable(Exception):
    """What should give anchors does not. `finding`: what the condition says."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


class OwnAnchorsUnusable(Unusable):
    """The client's own anchors cannot be read: what they were before is no longer what the client trusts."""


class OwnAnchorsOutOfTime(Unusable):
    """They are readable, and what the client trusts, but none is valid now (RFC 5280 section 6.1.3): no login can succeed.

    `anchors`: what to register all the same. `judge_again`: when the first of them becomes valid, if one will.
    """

    def __init__(self, finding: Finding, anchors: tuple[TrustAnchor, ...], judge_again: datetime | None) -> None:
        self.anchors = anchors
        self.judge_again = judge_again
        super().__init__(finding)


def own_anchors(
    references: tuple[ConfigMapKey, ...],
    config_maps: Mapping[str, Object | None],
    shared_keys: frozenset[str],
    now: datetime,
) -> tuple[TrustAnchor, ...]:
    """The CA certificates of all references.

    Raises OwnAnchorsUnusable for the first reference that gives none, OwnAnchorsOutOfTime when none is valid at `now`.
    """
    bundles = [(reference, _bundle(reference, config_maps.get(reference.name))) for reference in references]
    found = [c for _, bundle in bundles for c in bundle]
    unique = tuple(dict.fromkeys(c.der for c in found))
    if len(unique) > MAX_ANCHORS:
        raise OwnAnchorsUnusable(
            stalled(
                Reason.TRUST_ANCHOR_INVALID,
                f"spec.authentication.trustAnchors: expected at most {MAX_ANCHORS} certificates, found {len(unique)}",
            )
        )
    if (size := sum(map(len, unique))) > MAX_ANCHOR_BYTES:
        raise OwnAnchorsUnusable(
            stalled(
                Reason.TRUST_ANCHOR_INVALID,
                f"spec.authentication.trustAnchors: expected at most {MAX_ANCHOR_BYTES} octets of DER, found {size}",
            )
        )
    keys = {c.der: c.spki_sha256 for c in found}
    anchors = tuple(TrustAnchor(der=der, shared=keys[der] in shared_keys) for der in unique)
    if found and not any(c.not_before <= now <= c.not_after for c in found):
        raise _out_of_time(bundles, anchors, now)
    return anchors


def _out_of_time(
    bundles: list[tuple[ConfigMapKey, tuple[Certificate, ...]]], anchors: tuple[TrustAnchor, ...], now: datetime
) -> OwnAnchorsOutOfTime:
    reasons = "; ".join(f"{_where(reference)}: {_ages(bundle, now)}" for reference, bundle in bundles)
    message = f"no trust anchor is valid now: {reasons}; put a CA certificate there that is"
    to_come = [c.not_before for _, bundle in bundles for c in bundle if now < c.not_before <= c.not_after]
    finding = (waiting if to_come else stalled)(Reason.TRUST_ANCHOR_INVALID, message)
    return OwnAnchorsOutOfTime(finding, anchors, min(to_come, default=None))


def _ages(bundle: tuple[Certificate, ...], now: datetime) -> str:
    """The last to end or the first to begin, whichever helps: one certificate speaks for its bundle."""
    to_come = [c for c in bundle if now < c.not_before]
    if to_come:
        first = min(to_come, key=lambda c: c.not_before)
        return f"the certificate {first.subject.text or first.x5t_s256!r} is not valid before {timestamp(first.not_before)}"
    last = max(bundle, key=lambda c: c.not_after)
    return f"the certificate {last.subject.text or last.x5t_s256!r} expired at {timestamp(last.not_after)}"


def last_to_end(anchors: tuple[TrustAnchor, ...]) -> Certificate:
    """The one that expires last."""
    return max((authority(anchor.der) for anchor in anchors), key=lambda certificate: certificate.not_after)


def _where(reference: ConfigMapKey) -> str:
    return f"ConfigMap {reference.name}, key {reference.key}"


def _bundle(reference: ConfigMapKey, config_map: Object | None) -> tuple[Certificate, ...]:
    where = _where(reference)
    if config_map is None:
        raise OwnAnchorsUnusable(
            waiting(
                Reason.TRUST_ANCHOR_NOT_FOUND,
                f"waits for ConfigMap {reference.name}, which does not exist in this namespace: create it with the CA "
                f"certificates in PEM under the key {reference.key}, or change spec.authentication.trustAnchors",
            )
        )
    text = config_map_value(config_map, reference.key)
    if text is None:
        keys = ", ".join(sorted({**(config_map.get("data") or {}), **(config_map.get("binaryData") or {})})) or "none"
        raise OwnAnchorsUnusable(
            waiting(
                Reason.TRUST_ANCHOR_NOT_FOUND,
                f"waits for {where}: the key does not exist, found: {keys}; add it or name another",
            )
        )
    return _certificates(text, where)


def config_map_value(config_map: Object, key: str) -> bytes | None:
    """What stands under a key of `data`, else of `binaryData`; None: there is no such key."""
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
        return read_authorities(text)
    except BundleError as error:
        raise OwnAnchorsUnusable(stalled(error.reason, f"{where}: {error}")) from None


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
