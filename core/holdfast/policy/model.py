"""The values policies are made of: one written policy, and the effective one that results from all that match.

Every `allowed_*` field of `EffectivePolicy` is a conjunction: a tuple with one entry for each policy that names the
field, and what is asked for must be inside every entry. An empty tuple means that no policy named it, so the built-in
default holds. That makes the merge a union of entries: order never matters, and a further policy never loosens.
"""

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MTLS_METHODS = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
"""What a client may authenticate with where no policy says otherwise (RFC 8705 section 2)."""


DEFAULT_MIN_RSA_BITS = 2048
DEFAULT_MIN_EC_BITS = 224
"""The least that is taken where no policy asks for more (RFC 9325 section 4.5); no policy can ask for less."""


class PolicyMode(StrEnum):
    """What follows where a client breaks a policy: it is refused; it is told so; only the policy's status tells.

    Only what is enforced is merged: `Warn` and `Audit` change nothing of what a client may.
    """

    ENFORCE = "Enforce"
    WARN = "Warn"
    AUDIT = "Audit"


class DnMatching(StrEnum):
    """How values of distinguished names compare: as RFC 4517 section 4.2.15 has it, or case for case."""

    STANDARD = "Standard"
    EXACT = "Exact"


class RevocationMode(StrEnum):
    """What a certificate needs to be told of no revocation: nothing; no CRL that lists it; a CRL that covers it."""

    DISABLED = "Disabled"
    SOFT_FAIL = "SoftFail"
    HARD_FAIL = "HardFail"


REVOCATION_BY_STRICTNESS = (RevocationMode.DISABLED, RevocationMode.SOFT_FAIL, RevocationMode.HARD_FAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedSubjects:
    """Subject patterns by kind, `{namespace}` and `{serviceAccount}` not yet filled in.

    `*` stands for one path segment (uris) or one label (dns_names); ip_addresses are CIDRs;
    distinguished_names are trailing RDNs. A kind with no pattern is refused once any kind has one.
    """

    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    email_addresses: tuple[str, ...] = ()
    distinguished_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerName:
    """A cert-manager issuer: kind is `Issuer` (of the client's namespace) or `ClusterIssuer`."""

    name: str
    kind: str = "ClusterIssuer"
    group: str = "cert-manager.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One accepted MTLSPolicy as a value. None: this policy does not name the field."""

    name: str
    mode: PolicyMode = PolicyMode.ENFORCE
    allowed_methods: frozenset[str] | None = None
    require_certificate_bound: bool | None = None
    max_lifetime: int | None = None
    """Seconds an access token may live."""
    allowed_subjects: AllowedSubjects | None = None
    allowed_issuers: frozenset[IssuerName] | None = None
    allowed_resources: frozenset[str] | None = None
    """Audiences that nobody owns and that may be asked for all the same."""
    allowed_audiences: frozenset[str] | None = None
    """Audiences an API may own beyond those its namespace has by right."""
    allowed_client_ids: frozenset[str] | None = None
    """Client ids (`*` at the end: any ending) a client may choose beyond `<namespace>.…`; `{namespace}` is filled in."""
    allowed_anchors: frozenset[str] | None = None
    """SHA-256, hex, of the DER of each CA certificate that may be a trust anchor."""
    min_rsa_bits: int | None = None
    min_ec_bits: int | None = None
    max_certificate_duration: int | None = None
    """Seconds from the beginning of a certificate to its end."""
    require_client_auth_usage: bool | None = None
    """Whether a leaf has to have an extended key usage that names clientAuth (RFC 5280 section 4.2.1.12)."""
    dn_matching: DnMatching | None = None
    revocation: RevocationMode | None = None
    allowed_grant_types: frozenset[str] | None = None
    allowed_scopes: frozenset[str] | None = None
    """Scopes a client may have; `*` at the end of one stands for any ending."""
    denied_thumbprints: frozenset[str] = frozenset()
    """`x5t#S256` of certificates that nobody may use, whichever clients this policy selects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePolicy:
    """The one value that results from all policies that match a client. The operator computes it, the server enforces it."""

    trust_domain: str
    """SPIFFE trust domain of the cluster; its URIs always belong to the namespace they name."""
    cluster_domain: str
    """DNS domain of the cluster, as in `<service>.<namespace>.svc.<cluster domain>`."""
    names: tuple[str, ...] = ()
    """Names of the policies that match, sorted."""
    unaccepted: tuple[str, ...] = ()
    """Matching policies that were never accepted: while there is one, everything is denied and it is named."""
    allowed_methods: frozenset[str] = MTLS_METHODS
    require_certificate_bound: bool = True
    max_lifetime: int | None = None
    allowed_subjects: tuple[AllowedSubjects, ...] = ()
    allowed_issuers: tuple[frozenset[IssuerName], ...] = ()
    allowed_resources: tuple[frozenset[str], ...] = ()
    allowed_audiences: tuple[frozenset[str], ...] = ()
    allowed_client_ids: tuple[frozenset[str], ...] = ()
    allowed_anchors: tuple[frozenset[str], ...] = ()
    min_rsa_bits: int = DEFAULT_MIN_RSA_BITS
    min_ec_bits: int = DEFAULT_MIN_EC_BITS
    max_certificate_duration: int | None = None
    require_client_auth_usage: bool = False
    dn_matching: DnMatching = DnMatching.STANDARD
    revocation: RevocationMode = RevocationMode.DISABLED
    allowed_grant_types: tuple[frozenset[str], ...] = ()
    allowed_scopes: tuple[frozenset[str], ...] = ()
    hash: str = field(init=False, compare=False)
    """SHA-256, hex, of the canonical JSON: the name under which the registry keeps it."""

    def __post_init__(self) -> None:
        canonical = json.dumps(to_json(self), sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "hash", hashlib.sha256(canonical.encode()).hexdigest())


def to_json(policy: EffectivePolicy) -> dict[str, Any]:
    """The canonical JSON form: sets sorted, conjunctions sorted and without repeats."""
    return {
        "trust_domain": policy.trust_domain,
        "cluster_domain": policy.cluster_domain,
        "names": sorted(policy.names),
        "unaccepted": sorted(policy.unaccepted),
        "allowed_methods": sorted(policy.allowed_methods),
        "require_certificate_bound": policy.require_certificate_bound,
        "max_lifetime": policy.max_lifetime,
        "allowed_subjects": _sorted([_subjects_to_json(s) for s in policy.allowed_subjects]),
        "allowed_issuers": _sorted([sorted([i.kind, i.name, i.group] for i in entry) for entry in policy.allowed_issuers]),
        "allowed_resources": _sorted([sorted(entry) for entry in policy.allowed_resources]),
        "allowed_audiences": _sorted([sorted(entry) for entry in policy.allowed_audiences]),
        "allowed_client_ids": _sorted([sorted(entry) for entry in policy.allowed_client_ids]),
        "allowed_anchors": _sorted([sorted(entry) for entry in policy.allowed_anchors]),
        "min_rsa_bits": policy.min_rsa_bits,
        "min_ec_bits": policy.min_ec_bits,
        "max_certificate_duration": policy.max_certificate_duration,
        "require_client_auth_usage": policy.require_client_auth_usage,
        "dn_matching": policy.dn_matching.value,
        "revocation": policy.revocation.value,
        "allowed_grant_types": _sorted([sorted(entry) for entry in policy.allowed_grant_types]),
        "allowed_scopes": _sorted([sorted(entry) for entry in policy.allowed_scopes]),
    }


def from_json(value: dict[str, Any]) -> EffectivePolicy:
    """Read what `to_json` wrote. Raises ValueError when it is not that, naming the member."""
    try:
        return EffectivePolicy(
            trust_domain=str(value["trust_domain"]),
            cluster_domain=str(value["cluster_domain"]),
            names=tuple(value["names"]),
            unaccepted=tuple(value["unaccepted"]),
            allowed_methods=frozenset(value["allowed_methods"]),
            require_certificate_bound=bool(value["require_certificate_bound"]),
            max_lifetime=None if value["max_lifetime"] is None else int(value["max_lifetime"]),
            allowed_subjects=tuple(
                AllowedSubjects(**{k: tuple(v) for k, v in entry.items()}) for entry in value["allowed_subjects"]
            ),
            allowed_issuers=tuple(
                frozenset(IssuerName(kind=k, name=n, group=g) for k, n, g in entry) for entry in value["allowed_issuers"]
            ),
            allowed_resources=tuple(frozenset(entry) for entry in value["allowed_resources"]),
            allowed_audiences=tuple(frozenset(entry) for entry in value["allowed_audiences"]),
            allowed_client_ids=tuple(frozenset(entry) for entry in value["allowed_client_ids"]),
            **_certificate_rules(value),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"effective policy: member {error} is missing or of the wrong type") from error


def _certificate_rules(value: dict[str, Any]) -> dict[str, Any]:
    """Members that the first form did not have: a policy that was stored in it asks for nothing more."""
    duration = value.get("max_certificate_duration")
    return {
        "allowed_anchors": tuple(frozenset(entry) for entry in value.get("allowed_anchors", ())),
        "min_rsa_bits": int(value.get("min_rsa_bits", DEFAULT_MIN_RSA_BITS)),
        "min_ec_bits": int(value.get("min_ec_bits", DEFAULT_MIN_EC_BITS)),
        "max_certificate_duration": None if duration is None else int(duration),
        "require_client_auth_usage": bool(value.get("require_client_auth_usage", False)),
        "dn_matching": DnMatching(value.get("dn_matching", DnMatching.STANDARD)),
        "revocation": RevocationMode(value.get("revocation", RevocationMode.DISABLED)),
        "allowed_grant_types": tuple(frozenset(entry) for entry in value.get("allowed_grant_types", ())),
        "allowed_scopes": tuple(frozenset(entry) for entry in value.get("allowed_scopes", ())),
    }


def _subjects_to_json(subjects: AllowedSubjects) -> dict[str, list[str]]:
    return {
        "uris": sorted(subjects.uris),
        "dns_names": sorted(subjects.dns_names),
        "ip_addresses": sorted(subjects.ip_addresses),
        "email_addresses": sorted(subjects.email_addresses),
        "distinguished_names": sorted(subjects.distinguished_names),
    }


def _sorted(entries: list[Any]) -> list[Any]:
    unique = {json.dumps(entry, sort_keys=True): entry for entry in entries}
    return [unique[key] for key in sorted(unique)]
