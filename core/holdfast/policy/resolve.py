"""Many policies to one: every policy that matches applies, and none of them can loosen what another names.

Allowed sets intersect (kept as conjunctions, one entry a policy), maxima take the smallest, requirements the strictest.
There are no priorities and no order. Must not know which objects match: that is the operator's to find out.
"""

from collections.abc import Iterable

from holdfast.policy.model import MTLS_METHODS, EffectivePolicy, Policy


def resolve(
    policies: Iterable[Policy], *, trust_domain: str, cluster_domain: str, unaccepted: Iterable[str] = ()
) -> EffectivePolicy:
    """The effective policy. `unaccepted`: names of matching policies that were never accepted; they deny everything."""
    found = sorted(policies, key=lambda p: p.name)
    methods = [p.allowed_methods for p in found if p.allowed_methods is not None]
    bound = [p.require_certificate_bound for p in found if p.require_certificate_bound is not None]
    maxima = [p.max_lifetime for p in found if p.max_lifetime is not None]
    return EffectivePolicy(
        trust_domain=trust_domain,
        cluster_domain=cluster_domain,
        names=tuple(p.name for p in found),
        unaccepted=tuple(sorted(set(unaccepted))),
        allowed_methods=frozenset.intersection(*methods) if methods else MTLS_METHODS,
        require_certificate_bound=any(bound) if bound else True,
        max_lifetime=min(maxima, default=None),
        allowed_subjects=tuple(p.allowed_subjects for p in found if p.allowed_subjects is not None),
        allowed_issuers=tuple(p.allowed_issuers for p in found if p.allowed_issuers is not None),
        allowed_resources=tuple(p.allowed_resources for p in found if p.allowed_resources is not None),
        allowed_audiences=tuple(p.allowed_audiences for p in found if p.allowed_audiences is not None),
        allowed_client_ids=tuple(p.allowed_client_ids for p in found if p.allowed_client_ids is not None),
    )
