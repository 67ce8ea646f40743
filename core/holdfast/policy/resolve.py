"""Many policies to one: every policy that matches applies, and none of them can loosen what another names.

Allowed sets intersect (kept as conjunctions, one entry a policy), maxima take the smallest, requirements the strictest.
There are no priorities and no order. Must not know which objects match: that is the operator's to find out.
"""

from collections.abc import Iterable
from typing import Any

from holdfast.policy.model import (
    DEFAULT_MIN_EC_BITS,
    DEFAULT_MIN_RSA_BITS,
    MTLS_METHODS,
    REVOCATION_BY_STRICTNESS,
    DnMatching,
    EffectivePolicy,
    Policy,
    PolicyMode,
    RevocationMode,
)

_CONJUNCTIONS = (
    "allowed_subjects",
    "allowed_issuers",
    "allowed_resources",
    "allowed_audiences",
    "allowed_client_ids",
    "allowed_anchors",
    "allowed_grant_types",
    "allowed_scopes",
)
"""Fields of both models of which every entry has to agree."""


def enforced(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """Those that are merged: what a policy in another mode says is told (`attribution`) and changes nothing."""
    return tuple(p for p in policies if p.mode is PolicyMode.ENFORCE)


def resolve(
    policies: Iterable[Policy], *, trust_domain: str, cluster_domain: str, unaccepted: Iterable[str] = ()
) -> EffectivePolicy:
    """The effective policy of policies that are enforced. `unaccepted`: names of matching policies that were never
    accepted; they deny everything."""
    found = sorted(policies, key=lambda p: p.name)
    assert all(p.mode is PolicyMode.ENFORCE for p in found), "only what is enforced is merged"
    methods = _named(found, "allowed_methods")
    bound = _named(found, "require_certificate_bound")
    return EffectivePolicy(
        trust_domain=trust_domain,
        cluster_domain=cluster_domain,
        names=tuple(p.name for p in found),
        unaccepted=tuple(sorted(set(unaccepted))),
        allowed_methods=frozenset.intersection(*methods) if methods else MTLS_METHODS,
        require_certificate_bound=any(bound) if bound else True,
        max_lifetime=min(_named(found, "max_lifetime"), default=None),
        min_rsa_bits=max((DEFAULT_MIN_RSA_BITS, *_named(found, "min_rsa_bits"))),
        min_ec_bits=max((DEFAULT_MIN_EC_BITS, *_named(found, "min_ec_bits"))),
        max_certificate_duration=min(_named(found, "max_certificate_duration"), default=None),
        require_client_auth_usage=any(_named(found, "require_client_auth_usage")),
        dn_matching=DnMatching.EXACT if DnMatching.EXACT in _named(found, "dn_matching") else DnMatching.STANDARD,
        revocation=max(_named(found, "revocation"), key=REVOCATION_BY_STRICTNESS.index, default=RevocationMode.DISABLED),
        **{field: tuple(_named(found, field)) for field in _CONJUNCTIONS},
    )


def _named(policies: Iterable[Policy], field: str) -> list[Any]:
    """What each policy that names the field says of it."""
    return [value for policy in policies if (value := getattr(policy, field)) is not None]


def denied_thumbprints(policies: Iterable[Policy]) -> frozenset[str]:
    """What any enforced policy denies is denied to everybody: a stolen certificate is nobody's."""
    return frozenset().union(*(policy.denied_thumbprints for policy in enforced(policies)))
