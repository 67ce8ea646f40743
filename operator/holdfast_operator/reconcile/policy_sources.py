"""What a policy keeps in ConfigMaps: the CA certificates that it pins, and the CRLs that it brings.

Owns which ConfigMaps a policy refers to and the reading of both kinds of content. Pure. Neighbours: `policies` decides what
follows from a source that cannot be read; `holdfast.x509` judges certificates and CRLs.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.mtls_policy import AnchorKey, MTLSPolicy, RevocationListKey
from holdfast.x509.revocation_list import RevocationListError, load_revocation_lists
from holdfast_operator.reconcile.anchors import MAX_ANCHORS, Unusable, config_map_value
from holdfast_operator.reconcile.authority_bundle import BundleError, read_authorities
from holdfast_operator.reconcile.finding import stalled, waiting
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Object

ConfigMaps = Mapping[tuple[str, str], Object | None]
"""By namespace and name; None or absent: not found."""


def referenced_config_maps(form: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Namespace and name of every ConfigMap that a spec names, read leniently: the spec may be one that cannot be parsed."""
    certificates = mapping(form.get("certificates"))
    lists = (certificates.get("trustAnchors"), mapping(certificates.get("revocation")).get("crls"))
    entries = [mapping(entry) for found in lists if isinstance(found, list | tuple) for entry in found]
    references = [mapping(entry.get("configMapKeyRef")) for entry in entries]
    return frozenset((str(r["namespace"]), str(r["name"])) for r in references if r.get("namespace") and r.get("name"))


def pinned_anchors(policy: MTLSPolicy, config_maps: ConfigMaps) -> tuple[bytes, ...] | None:
    """DER of each CA certificate; None: the policy pins none. Raises Unusable."""
    certificates = policy.spec.certificates
    if certificates is None or certificates.trust_anchors is None:
        return None
    field = "spec.certificates.trustAnchors"
    references = [source.config_map_key_ref for source in certificates.trust_anchors]
    found = tuple(dict.fromkeys(der for r in references for der in _anchors(r, config_maps, field)))
    if len(found) > MAX_ANCHORS:
        message = f"{field}: expected at most {MAX_ANCHORS} certificates, found {len(found)}"
        raise Unusable(stalled(Reason.TRUST_ANCHOR_INVALID, message))
    return found


def _anchors(reference: AnchorKey, config_maps: ConfigMaps, field: str) -> Iterator[bytes]:
    data = _read(reference, config_maps, field, Reason.TRUST_ANCHOR_NOT_FOUND)
    try:
        yield from (certificate.der for certificate in read_authorities(data))
    except BundleError as error:
        raise Unusable(stalled(error.reason, f"{field}: {_where(reference)}: {error}")) from None


def revocation_lists(policy: MTLSPolicy, config_maps: ConfigMaps) -> tuple[bytes, ...]:
    """DER of each CRL that the policy brings. Raises Unusable."""
    revocation = policy.spec.certificates.revocation if policy.spec.certificates else None
    references = [source.config_map_key_ref for source in revocation.crls] if revocation else []
    field = "spec.certificates.revocation.crls"
    found: dict[bytes, None] = {}
    for reference in references:
        data = _read(reference, config_maps, field, Reason.REVOCATION_LIST_NOT_FOUND)
        try:
            found |= dict.fromkeys(_lists(data))
        except RevocationListError as error:
            message = f"{field}: {_where(reference)}: {error}; put CRLs in PEM there, or one in DER in binaryData"
            raise Unusable(stalled(Reason.REVOCATION_LIST_INVALID, message)) from None
    return tuple(found)


@lru_cache(maxsize=64)  # every pass over a client looks at its policies; a CRL of a megabyte takes milliseconds
def _lists(data: bytes) -> tuple[bytes, ...]:
    return tuple(found.der for found in load_revocation_lists(data))


def _read(reference: AnchorKey | RevocationListKey, config_maps: ConfigMaps, field: str, missing: Reason) -> bytes:
    config_map = config_maps.get((reference.namespace, reference.name))
    if config_map is None:
        message = (
            f"{field}: waits for ConfigMap {reference.namespace}/{reference.name}, which does not exist: create it, or name "
            "another"
        )
        raise Unusable(waiting(missing, message))
    value = config_map_value(config_map, reference.key)
    if value is None:
        keys = ", ".join(sorted({**(config_map.get("data") or {}), **(config_map.get("binaryData") or {})})) or "none"
        message = f"{field}: waits for {_where(reference)}: the key does not exist, found: {keys}; add it or name another"
        raise Unusable(waiting(missing, message))
    return value


def _where(reference: AnchorKey | RevocationListKey) -> str:
    return f"ConfigMap {reference.namespace}/{reference.name}, key {reference.key}"
