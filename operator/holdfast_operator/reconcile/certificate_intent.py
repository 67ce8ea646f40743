"""The cert-manager Certificate that a client asks for, and whether the live one already is that.

Owns the spec we write. Must not judge what was issued (`certificate`). Pure.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.api.v1alpha1.convert import duration_seconds
from holdfast.api.v1alpha1.oauth_client import DEFAULT_CERTIFICATE_DURATION, Certificate, OAuthClient
from holdfast.policy.certificate import default_bits, default_duration
from holdfast.policy.model import EffectivePolicy
from holdfast.x509.subject import SubjectKind, SubjectRule
from holdfast_operator.reconcile.names import CLIENT_LABEL, owner_reference
from holdfast_operator.reconcile.permission import on
from holdfast_operator.reconcile.ports import Kind, Object

PERMISSIONS = (
    on(
        Kind.OAUTH_CLIENT,
        "update",
        subresource="finalizers",
        why="a Certificate's blockOwnerDeletion, where the admission plugin for it is on",
    ),
)

KEPT_REQUESTS = 2
"""The request before the current one tells what a renewal has replaced, which may still be in use."""

_SAN_FIELDS = {
    SubjectKind.URI: "uris",
    SubjectKind.DNS: "dnsNames",
    SubjectKind.IP: "ipAddresses",
    SubjectKind.EMAIL: "emailAddresses",
}


def spiffe_id(client: OAuthClient, trust_domain: str) -> str:
    """The SPIFFE ID of the client's ServiceAccount."""
    return f"spiffe://{trust_domain}/ns/{client.metadata.namespace}/sa/{client.service_account_name}"


def intended_certificate(
    obj: Object, client: OAuthClient, wanted: Certificate, subject: SubjectRule | None, policy: EffectivePolicy
) -> Object:
    """The complete intent: lists that are empty are written as such, so that they are ours and stay empty.

    `policy`: what defaults give way to.
    """
    names: dict[str, list[str]] = {field: [] for field in _SAN_FIELDS.values()}
    names["uris"].append(spiffe_id(client, policy.trust_domain))
    spec: dict[str, Any] = {
        "secretName": client.secret_name,
        "issuerRef": {"name": wanted.issuer_ref.name, "kind": wanted.issuer_ref.kind, "group": wanted.issuer_ref.group},
        "privateKey": {
            "algorithm": wanted.private_key.algorithm,
            "size": wanted.private_key.size or default_bits(wanted.private_key.algorithm, policy),
            "rotationPolicy": "Always",
        },
        "usages": ["client auth", "digital signature"],
        "revisionHistoryLimit": KEPT_REQUESTS,
        **_times(wanted, policy),
        **names,
    }
    if subject is not None and subject.kind is SubjectKind.DN:
        spec["literalSubject"] = subject.value
    elif subject is not None and subject.value not in spec[_SAN_FIELDS[subject.kind]]:
        spec[_SAN_FIELDS[subject.kind]].append(subject.value)
    metadata = obj["metadata"]
    return {
        "apiVersion": Kind.CERTIFICATE.api_version,
        "kind": Kind.CERTIFICATE.kind,
        "metadata": {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "labels": {CLIENT_LABEL: metadata["name"]},
            "ownerReferences": [owner_reference(obj)],
        },
        "spec": spec,
    }


def asked_duration(wanted: Certificate, policy: EffectivePolicy) -> int:
    """Seconds that the certificate is asked for."""
    return duration_seconds(wanted.duration) if wanted.duration else default_duration(DEFAULT_CERTIFICATE_DURATION, policy)


def _times(wanted: Certificate, policy: EffectivePolicy) -> dict[str, str]:
    """A third of the duration is left for renewing where the client does not say otherwise."""
    seconds = asked_duration(wanted, policy)
    return {
        "duration": wanted.duration or f"{seconds}s",
        "renewBefore": wanted.renew_before or f"{max(1, seconds // 3)}s",
    }


def is_as_intended(intent: Object, live: Object) -> bool:
    """Whether applying the intent would change nothing that we own."""
    return not differing(intent, live)


def differing(intent: Object, live: Object) -> list[str]:
    """What applying the intent would change: members of the spec, `labels`."""
    wanted, found = intent["spec"], live.get("spec") or {}
    labels = live["metadata"].get("labels") or {}
    names = [key for key, value in wanted.items() if not _same(key, value, found.get(key))]
    if "literalSubject" not in wanted and found.get("literalSubject"):
        names.append("literalSubject")
    return names if intent["metadata"]["labels"].items() <= labels.items() else [*names, "labels"]


def _same(key: str, wanted: object, found: object) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(found.get(k) == v for k, v in wanted.items())
    if key in ("duration", "renewBefore"):
        return _seconds(wanted) == _seconds(found)
    return bool(wanted == found or (not wanted and not found))


def _seconds(text: object) -> object:
    """Go writes `24h` back as `24h0m0s`."""
    try:
        return duration_seconds(str(text))
    except ValueError:
        return text
