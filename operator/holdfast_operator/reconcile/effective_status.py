"""What a client's status says of the policies that are enforced on it: their names, and the values that they come to.

Pure. Neighbours: `holdfast.policy.resolve` makes the values, `status` carries them.
"""

from typing import Any

from holdfast.policy.evaluate import filled_in
from holdfast.policy.model import (
    DEFAULT_MIN_EC_BITS,
    DEFAULT_MIN_RSA_BITS,
    AllowedSubjects,
    DnMatching,
    EffectivePolicy,
    IssuerName,
    RevocationMode,
)
from holdfast.policy.scopes import common_patterns
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Object

_KINDS = {
    "uris": "uris",
    "dns_names": "dnsNames",
    "ip_addresses": "ipAddresses",
    "email_addresses": "emailAddresses",
    "distinguished_names": "distinguishedNames",
}


def effective_policy_status(policy: EffectivePolicy, client: Object) -> Object:
    """For `status.effectivePolicy`; a member that is not there is limited by no policy."""
    return {
        "names": sorted({*policy.names, *policy.unaccepted}),
        "hash": policy.hash,
        "allowedMethods": sorted(policy.allowed_methods),
        "requireCertificateBound": policy.require_certificate_bound,
        **_limit("maxLifetime", policy.max_lifetime),
        **_grants(policy),
        **_certificates(policy, client),
    }


def _limit(member: str, seconds: int | None) -> Object:
    return {} if seconds is None else {member: f"{seconds}s"}


def _grants(policy: EffectivePolicy) -> Object:
    found: dict[str, Any] = {}
    if policy.allowed_grant_types:
        found["allowedGrantTypes"] = sorted(frozenset.intersection(*policy.allowed_grant_types))
    if policy.allowed_scopes:
        found["allowedScopes"] = list(common_patterns(policy.allowed_scopes))
    return found


def _certificates(policy: EffectivePolicy, client: Object) -> Object:
    found = _limit("maxDuration", policy.max_certificate_duration)
    if policy.allowed_issuers:
        issuers: frozenset[IssuerName] = frozenset.intersection(*policy.allowed_issuers)
        found["allowedIssuers"] = sorted(f"{i.kind}/{i.name}" for i in issuers)
    if policy.allowed_subjects:
        found["allowedSubjects"] = [_subjects(entry, client) for entry in policy.allowed_subjects]
    if (policy.min_rsa_bits, policy.min_ec_bits) != (DEFAULT_MIN_RSA_BITS, DEFAULT_MIN_EC_BITS):
        found["minimumKey"] = {"rsaBits": policy.min_rsa_bits, "ecBits": policy.min_ec_bits}
    if policy.require_client_auth_usage:
        found["requireClientAuthUsage"] = True
    if policy.dn_matching is not DnMatching.STANDARD:
        found["dnMatching"] = policy.dn_matching.value
    if policy.revocation is not RevocationMode.DISABLED:
        found["revocation"] = policy.revocation.value
    return found


def _subjects(entry: AllowedSubjects, client: Object) -> Object:
    metadata, spec = client["metadata"], mapping(client.get("spec"))
    account = str(spec.get("serviceAccountName") or metadata["name"])
    found = {
        shown: [filled_in(pattern, metadata["namespace"], account) for pattern in getattr(entry, member)]
        for member, shown in _KINDS.items()
    }
    readable = {member: [pattern for pattern in patterns if pattern is not None] for member, patterns in found.items()}
    return {member: patterns for member, patterns in readable.items() if patterns}
