"""The merge of policies: its order never matters, and a further policy never loosens what another names."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.policy.evaluate import evaluate_client
from holdfast.policy.model import MTLS_METHODS, AllowedSubjects, EffectivePolicy, IssuerName, Policy, from_json, to_json
from holdfast.policy.resolve import resolve
from tests.core.policy.policies import ANY, CLIENTS, COMPLETE, METHODS, NAMES, UNHURRIED
from tests.registry_conformance.registrations import a_client

CONJUNCTIONS = ("allowed_subjects", "allowed_issuers", "allowed_resources", "allowed_audiences", "allowed_client_ids")


def _resolve(*policies: Policy) -> EffectivePolicy:
    return resolve(policies, trust_domain="cluster.local", cluster_domain="cluster.local")


@UNHURRIED
@given(st.lists(ANY, max_size=4), st.randoms())
def test_the_order_of_policies_never_matters(policies: list[Policy], random: Any) -> None:
    shuffled = list(policies)
    random.shuffle(shuffled)

    assert _resolve(*shuffled).hash == _resolve(*policies).hash


@UNHURRIED
@given(st.lists(COMPLETE, min_size=1, max_size=3), COMPLETE, CLIENTS)
def test_a_further_policy_never_allows_what_was_denied(policies: list[Policy], further: Policy, client: Any) -> None:
    if evaluate_client(client, _resolve(*policies, further)).allowed:
        assert evaluate_client(client, _resolve(*policies)).allowed


@UNHURRIED
@given(st.lists(ANY, min_size=1, max_size=3), ANY)
def test_a_further_policy_never_loosens_a_field_that_another_names(policies: list[Policy], further: Policy) -> None:
    before, after = _resolve(*policies), _resolve(*policies, further)

    if any(p.allowed_methods is not None for p in policies):
        assert after.allowed_methods <= before.allowed_methods
    if any(p.require_certificate_bound for p in policies):
        assert after.require_certificate_bound
    if before.max_lifetime is not None:
        assert after.max_lifetime is not None
        assert after.max_lifetime <= before.max_lifetime
    for field in CONJUNCTIONS:
        assert all(entry in getattr(after, field) for entry in getattr(before, field))


@UNHURRIED
@given(st.lists(ANY, max_size=4), st.sets(NAMES))
def test_an_effective_policy_survives_its_json(policies: list[Policy], unaccepted: set[str]) -> None:
    policy = resolve(policies, trust_domain="a.example", cluster_domain="b.example", unaccepted=unaccepted)

    read = from_json(to_json(policy))

    assert read.hash == policy.hash
    assert to_json(read) == to_json(policy)


def test_without_a_policy_only_mtls_methods_and_bound_tokens_are_allowed() -> None:
    policy = _resolve()

    assert policy.allowed_methods == MTLS_METHODS == {"tls_client_auth", "self_signed_tls_client_auth"}
    assert policy.require_certificate_bound
    assert policy.max_lifetime is None


def test_a_field_that_no_policy_names_stays_as_built_in() -> None:
    policy = _resolve(Policy(name="lifetime", max_lifetime=60))

    assert policy.allowed_methods == MTLS_METHODS
    assert policy.require_certificate_bound


def test_a_policy_may_name_what_the_default_does_not_allow() -> None:
    policy = _resolve(Policy(name="old", allowed_methods=frozenset({"private_key_jwt"}), require_certificate_bound=False))

    assert policy.allowed_methods == {"private_key_jwt"}
    assert not policy.require_certificate_bound


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_maxima_take_the_smallest_and_requirements_the_strictest(order: tuple[int, ...]) -> None:
    policies = [
        Policy(name="a", max_lifetime=900, require_certificate_bound=False, allowed_methods=frozenset(METHODS)),
        Policy(name="b", max_lifetime=60, require_certificate_bound=True),
        Policy(name="c", allowed_methods=frozenset(METHODS[1:])),
    ]

    policy = _resolve(*(policies[i] for i in order))

    assert (policy.max_lifetime, policy.require_certificate_bound) == (60, True)
    assert policy.allowed_methods == frozenset(METHODS[1:])
    assert policy.names == ("a", "b", "c")


def test_sets_that_have_nothing_in_common_allow_nothing() -> None:
    policy = _resolve(
        Policy(name="a", allowed_methods=frozenset({"tls_client_auth"})),
        Policy(name="b", allowed_methods=frozenset({"self_signed_tls_client_auth"})),
    )

    assert policy.allowed_methods == frozenset()
    assert "one of none" in evaluate_client(a_client(), policy).message


def test_the_hash_covers_every_field() -> None:
    base = _resolve()
    fields: dict[str, Any] = {
        "allowed_methods": frozenset({"tls_client_auth"}),
        "require_certificate_bound": False,
        "max_lifetime": 1,
        "allowed_subjects": AllowedSubjects(uris=("a:b",)),
        "allowed_issuers": frozenset({IssuerName(name="a")}),
        "allowed_resources": frozenset({"a:b"}),
        "allowed_audiences": frozenset({"a:b"}),
        "allowed_client_ids": frozenset({"a"}),
    }
    hashes = {base.hash} | {_resolve(replace(Policy(name="p"), **{field: value})).hash for field, value in fields.items()}
    others = {
        replace(base, trust_domain="x").hash, replace(base, cluster_domain="x").hash, replace(base, unaccepted=("x",)).hash
    }  # fmt: skip

    assert len(hashes | others) == 12


@pytest.mark.parametrize("value", [{}, {"trust_domain": "a"}, {**to_json(_resolve()), "allowed_subjects": [{"nets": []}]}])
def test_a_policy_that_cannot_be_read_is_a_value_error(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="effective policy"):
        from_json(value)
