"""The values policies are made of: one written policy, and the effective one that results from all that match.

Every `allowed_*` field of `EffectivePolicy` is a conjunction: a tuple with one entry for each policy that names the
field, and what is asked for must be inside every entry. An empty tuple means that no policy named it, so the built-in
default holds. That makes the merge a union of entries: order never matters, and a further policy never loosens.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

MTLS_METHODS = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
"""What a client may authenticate with where no policy says otherwise (RFC 8705 section 2)."""


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
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"effective policy: member {error} is missing or of the wrong type") from error


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
