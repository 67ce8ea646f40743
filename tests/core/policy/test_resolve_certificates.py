"""How policies on certificates and grants come to one: the strictest holds, whatever the order."""

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from holdfast.policy.model import DnMatching, EffectivePolicy, Policy, RevocationMode, from_json, to_json
from holdfast.policy.resolve import denied_thumbprints, resolve

SETS = st.none() | st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=3)
POLICIES = st.lists(
    st.builds(
        Policy,
        name=st.text("abcdef", min_size=1, max_size=4),
        allowed_anchors=SETS,
        min_rsa_bits=st.none() | st.sampled_from([2048, 3072, 4096]),
        min_ec_bits=st.none() | st.sampled_from([256, 384]),
        max_certificate_duration=st.none() | st.integers(1, 10**6),
        require_client_auth_usage=st.none() | st.booleans(),
        dn_matching=st.none() | st.sampled_from(DnMatching),
        revocation=st.none() | st.sampled_from(RevocationMode),
        allowed_grant_types=SETS,
        allowed_scopes=SETS,
        denied_thumbprints=st.frozensets(st.sampled_from(["t1", "t2"])),
    ),
    max_size=4,
    unique_by=lambda policy: policy.name,
)
STRICTNESS = list(RevocationMode)


def _resolve(policies: list[Policy]) -> EffectivePolicy:
    return resolve(policies, trust_domain="cluster.local", cluster_domain="cluster.local")


@given(POLICIES, st.randoms())
def test_order_never_matters(policies: list[Policy], random: object) -> None:
    shuffled = list(policies)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert _resolve(policies).hash == _resolve(shuffled).hash


@given(POLICIES.filter(bool))
def test_a_further_policy_never_loosens(policies: list[Policy]) -> None:
    before, after = _resolve(policies[:-1]), _resolve(policies)

    assert after.min_rsa_bits >= before.min_rsa_bits
    assert after.min_ec_bits >= before.min_ec_bits
    assert (after.max_certificate_duration or 10**9) <= (before.max_certificate_duration or 10**9)
    assert after.require_client_auth_usage >= before.require_client_auth_usage
    assert STRICTNESS.index(after.revocation) >= STRICTNESS.index(before.revocation)
    assert (before.dn_matching, after.dn_matching) != (DnMatching.EXACT, DnMatching.STANDARD)
    for field in ("allowed_anchors", "allowed_grant_types", "allowed_scopes"):
        assert set(getattr(before, field)) <= set(getattr(after, field))
    assert denied_thumbprints(policies[:-1]) <= denied_thumbprints(policies)


@given(POLICIES)
def test_an_effective_policy_is_read_back_as_it_was_written(policies: list[Policy]) -> None:
    effective = _resolve(policies)
    again = from_json(json.loads(json.dumps(to_json(effective))))

    assert again.hash == effective.hash
    assert {f.name for f in fields(again) if f.name.startswith("min_")} == {"min_rsa_bits", "min_ec_bits"}
    assert again.revocation is effective.revocation


def test_a_policy_stored_by_an_earlier_release_asks_for_nothing_more() -> None:
    effective = _resolve([])
    first_form = {name: value for name, value in to_json(effective).items() if name not in {
        "allowed_anchors", "min_rsa_bits", "min_ec_bits", "max_certificate_duration", "require_client_auth_usage",
        "dn_matching", "revocation", "allowed_grant_types", "allowed_scopes"}}  # fmt: skip

    assert from_json(first_form) == effective
