"""What holds of attribution and of modes whatever the policies are: refusal and blame say the same of every client."""

from dataclasses import replace
from itertools import chain
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.attribution import Breach, broken_by
from holdfast.policy.certificate import AskedCertificate, certificate_decisions
from holdfast.policy.decision import DenialReason
from holdfast.policy.evaluate import client_decisions
from holdfast.policy.model import Policy, PolicyMode
from holdfast.policy.resolve import denied_thumbprints, enforced, resolve
from tests.core.policy.policies import ANY, CERTIFICATES, CLIENTS, TELLING, UNHURRIED

CLUSTER: dict[str, Any] = {"trust_domain": "cluster.local", "cluster_domain": "cluster.local"}
HOUSE = frozenset({
    DenialReason.METHOD_NOT_ALLOWED, DenialReason.BINDING_REQUIRED, DenialReason.CLIENT_ID_NOT_ALLOWED,
    DenialReason.AUDIENCE_NOT_ALLOWED, DenialReason.SUBJECT_NOT_ALLOWED, DenialReason.KEY_TOO_SMALL,
    DenialReason.KEYS_MISSING,
})  # fmt: skip
"""What built-in defaults say no to as well."""


def named_apart(policies: list[Policy]) -> list[Policy]:
    """As in a cluster: no two of one name."""
    return [replace(policy, name=f"{policy.name}-{i}") for i, policy in enumerate(policies)]


POLICIES = st.lists(ANY, max_size=4).map(named_apart)


def denied(client: ClientMetadata, asked: AskedCertificate, policies: list[Policy]) -> set[DenialReason]:
    merged = resolve(enforced(policies), **CLUSTER)
    pinned = frozenset(chain.from_iterable(p.allowed_anchors or () for p in enforced(policies)))
    seen = replace(
        client, trust_anchors=tuple(replace(a, shared=a.shared or a.name in pinned) for a in client.trust_anchors)
    )
    decisions = (*client_decisions(seen, merged), *certificate_decisions(asked, merged))
    return {d.reason for d in decisions if d.reason is not None}


def breaches(client: ClientMetadata, asked: AskedCertificate, policies: list[Policy]) -> tuple[Breach, ...]:
    return broken_by(client, asked, policies, **CLUSTER)


@UNHURRIED
@given(CLIENTS, CERTIFICATES, POLICIES)
def test_whatever_the_merge_denies_some_policy_or_a_default_is_to_blame_for(client: Any, asked: Any, policies: Any) -> None:
    blamed = {b.reason for b in breaches(client, asked, policies)}

    for reason in denied(client, asked, policies) - blamed:
        assert reason in HOUSE
        assert reason in denied(client, asked, []) | denied(client, asked, [Policy(name="x")]) or _became_shared(policies)


def _became_shared(policies: list[Policy]) -> bool:
    """Each of two policies pins the anchor, so that neither alone made it shared."""
    return sum(p.allowed_anchors is not None for p in policies) > 1


@UNHURRIED
@given(CLIENTS, CERTIFICATES, POLICIES)
def test_whoever_breaks_an_enforced_policy_is_denied(client: Any, asked: Any, policies: Any) -> None:
    if breaches(client, asked, policies):
        assert denied(client, asked, policies)


@UNHURRIED
@given(CLIENTS, CERTIFICATES, POLICIES, st.data())
def test_whoever_breaks_a_policy_in_audit_is_denied_once_it_is_enforced(
    client: Any, asked: Any, policies: Any, data: Any
) -> None:
    planned = replace(data.draw(ANY), name="planned", mode=PolicyMode.AUDIT)
    before = denied(client, asked, [*policies, planned])
    after = denied(client, asked, [*policies, replace(planned, mode=PolicyMode.ENFORCE)])

    broken = any(b.policy == "planned" for b in breaches(client, asked, [*policies, planned]))

    assert before == denied(client, asked, policies)
    if broken:
        assert after
    elif not before:
        assert not after


@UNHURRIED
@given(CLIENTS, CERTIFICATES, POLICIES, st.randoms())
def test_the_order_of_policies_changes_no_breach(client: Any, asked: Any, policies: Any, random: Any) -> None:
    shuffled = list(policies)
    random.shuffle(shuffled)

    assert breaches(client, asked, shuffled) == breaches(client, asked, policies)


@UNHURRIED
@given(POLICIES, st.lists(TELLING, min_size=1, max_size=3))
def test_policies_that_are_not_enforced_change_neither_the_effective_policy_nor_its_hash(policies: Any, more: Any) -> None:
    alone, together = resolve(policies, **CLUSTER), resolve(enforced([*more, *policies]), **CLUSTER)

    assert (together, together.hash) == (alone, alone.hash)
    assert denied_thumbprints([*policies, *more]) == denied_thumbprints(policies)
