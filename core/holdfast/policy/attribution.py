"""Which single policy a client breaks, of all that match it and in whatever mode they are.

A policy is broken by what it names, never by a built-in default that it leaves alone: what no policy can allow is no
policy's to refuse. The judgement is `evaluate`'s, over that policy alone. Trust anchors are the one thing that has to be
seen together with others: those that several policies leave may be none, and one that a policy pins becomes shared.
Pure. Neighbours: `resolve` merges what is enforced; the statuses of policies and clients, admission and the command tell.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.audience import decide_audience
from holdfast.policy.certificate import AskedCertificate, certificate_decisions
from holdfast.policy.decision import Decision, DenialReason
from holdfast.policy.evaluate import Anchor, client_decisions, evaluate_authentication, evaluate_subject
from holdfast.policy.model import EffectivePolicy, Policy, PolicyMode
from holdfast.policy.resolve import enforced, resolve

_FIELDS: dict[DenialReason, tuple[str, ...]] = {
    DenialReason.METHOD_NOT_ALLOWED: ("allowed_methods",),
    DenialReason.BINDING_REQUIRED: ("require_certificate_bound",),
    DenialReason.LIFETIME_TOO_LONG: ("max_lifetime",),
    DenialReason.SUBJECT_NOT_ALLOWED: ("allowed_subjects",),
    DenialReason.TRUST_ANCHOR_NOT_ALLOWED: ("allowed_anchors",),
    DenialReason.ISSUER_NOT_ALLOWED: ("allowed_issuers",),
    DenialReason.CLIENT_ID_NOT_ALLOWED: ("allowed_client_ids",),
    DenialReason.AUDIENCE_NOT_ALLOWED: ("allowed_audiences",),
    DenialReason.RESOURCE_NOT_ALLOWED: ("allowed_resources",),
    DenialReason.SCOPE_NOT_ALLOWED: ("allowed_scopes",),
    DenialReason.GRANT_TYPE_NOT_ALLOWED: ("allowed_grant_types",),
    DenialReason.DURATION_TOO_LONG: ("max_certificate_duration",),
    DenialReason.KEY_TOO_SMALL: ("min_rsa_bits", "min_ec_bits"),
    DenialReason.CERTIFICATE_DENIED: ("denied_thumbprints",),
}
"""Which fields of a policy may be what says no; reasons that are not here are no policy's."""

_OF_ANCHORS = frozenset({DenialReason.TRUST_ANCHOR_NOT_ALLOWED, DenialReason.SUBJECT_NOT_ALLOWED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One thing in which a client breaks one policy. `message` names field, expected and found, not the policy."""

    policy: str
    mode: PolicyMode
    reason: DenialReason
    message: str

    def __str__(self) -> str:
        return f"MTLSPolicy {self.policy}: {self.message}"


def broken_by(
    client: ClientMetadata,
    certificate: AskedCertificate | None,
    policies: Iterable[Policy],
    *,
    trust_domain: str,
    cluster_domain: str,
    anchors: Iterable[str] = (),
    unowned: Iterable[str] = (),
    thumbprints: Iterable[str] = (),
    modes: Collection[PolicyMode] = tuple(PolicyMode),
) -> tuple[Breach, ...]:
    """Every breach, by policy name. `policies`: accepted ones that match the client, in any mode.

    `certificate`: what it asks an issuer for; None: it brings its own. `anchors`: names of its trust anchors, where they
    are known and their certificates are not. While a client has none yet, what hangs on them is not judged.
    `unowned`: those of its resources that no API owns. `thumbprints`: `x5t#S256` of certificates that it has. `modes`: of
    which policies to tell.
    """
    found = sorted(policies, key=lambda p: p.name)
    known: tuple[Anchor, ...] = client.trust_anchors or tuple(_Anchor(name, False) for name in anchors)
    house = _House(trust_domain, cluster_domain)
    judged = _Judged(client, certificate, known, tuple(unowned), tuple(thumbprints), house)
    return tuple(
        Breach(policy=policy.name, mode=policy.mode, reason=decision.reason, message=decision.message)
        for policy in found
        if policy.mode in modes
        for decision in _denials(judged, policy, [p for p in enforced(found) if p is not policy])
        if decision.reason is not None
    )


class _Anchor(NamedTuple):
    name: str
    shared: bool


_NOT_KNOWN_YET = (_Anchor("", False),)


class _House(NamedTuple):
    """What holds without any policy."""

    trust_domain: str
    cluster_domain: str


class _Judged(NamedTuple):
    """Who is looked at, and what is known of it. No anchors: not known yet."""

    client: ClientMetadata
    certificate: AskedCertificate | None
    anchors: tuple[Anchor, ...]
    unowned: tuple[str, ...]
    thumbprints: tuple[str, ...]
    house: _House


def _denials(judged: _Judged, policy: Policy, others: list[Policy]) -> Iterator[Decision]:
    """`others`: those that are enforced beside it."""
    alone = [d for d in _alone(judged, policy) if not d.allowed and _names(policy, d) and not _is_of_the_house(judged, d)]
    yield from alone
    if policy.allowed_anchors is not None and judged.anchors and not {d.reason for d in alone} & _OF_ANCHORS:
        yield from _together(judged, policy, others)


def _names(policy: Policy, decision: Decision) -> bool:
    """Whether the policy says anything of what is denied; else a built-in default does."""
    assert decision.reason is not None, "a denial has a reason"
    return any(getattr(policy, field) is not None for field in _FIELDS.get(decision.reason, ()))


def _is_of_the_house(judged: _Judged, decision: Decision) -> bool:
    """A SPIFFE ID of the trust domain is its namespace's own, whatever a policy lists."""
    subject, owner = judged.client.subject, judged.client.owner
    if decision.reason is not DenialReason.SUBJECT_NOT_ALLOWED or subject is None:
        return False
    ruled = _merged((), judged.house)
    return not evaluate_subject(subject, owner.namespace, owner.service_account, ruled, shared=False).allowed


def _alone(judged: _Judged, policy: Policy) -> Iterator[Decision]:
    """All that this policy says. Whom the anchors are shared with counts for subjects that no policy lists: not here."""
    known = tuple(_Anchor(anchor.name, False) for anchor in judged.anchors)
    ruled = _merged((policy if known else replace(policy, allowed_anchors=None),), judged.house)
    yield from client_decisions(judged.client, ruled, known or _NOT_KNOWN_YET)
    if judged.certificate is not None:
        yield from certificate_decisions(judged.certificate, ruled)
    for resource in judged.unowned:
        yield decide_audience(judged.client, ruled, resource=resource, scopes=None, owner=None, issuer="").decision
    for thumbprint in judged.thumbprints:
        if thumbprint in policy.denied_thumbprints:
            denied = f"certificates.deniedThumbprints: expected another certificate, found {thumbprint}"
            yield Decision.deny(DenialReason.CERTIFICATE_DENIED, denied)


def _together(judged: _Judged, policy: Policy, others: list[Policy]) -> Iterator[Decision]:
    """What the policy's anchors add to what the others say: none may be left, and what is pinned is shared."""
    before, after = _authentication(judged, others), _authentication(judged, [*others, policy])
    if not after.allowed and after.reason in _OF_ANCHORS and after.reason is not before.reason:
        yield after


def _authentication(judged: _Judged, policies: list[Policy]) -> Decision:
    pinned = frozenset[str]().union(*(p.allowed_anchors or () for p in policies))
    anchors = [_Anchor(a.name, a.shared or a.name in pinned) for a in judged.anchors]
    return evaluate_authentication(judged.client, _merged(tuple(policies), judged.house), anchors)


@lru_cache(maxsize=1024)  # few combinations of policies rule many clients, and each has a hash to be made
def _merged(policies: tuple[Policy, ...], house: _House) -> EffectivePolicy:
    """As if each were enforced."""
    return resolve(
        (replace(p, mode=PolicyMode.ENFORCE) for p in policies),
        trust_domain=house.trust_domain,
        cluster_domain=house.cluster_domain,
    )
