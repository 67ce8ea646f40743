"""What a client's plan makes of policies in each mode: refused, warned, or untouched; and which policy the message names."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.client_metadata import anchor_name
from holdfast.policy.model import Policy, to_json
from holdfast_operator.reconcile.observed import RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.policies import (
    PolicyInForce,
    effective_policy,
    in_force,
    pinned_keys,
    policy_anchors,
    written_policies,
)
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.policy.policies import ANY, TELLING, UNHURRIED
from tests.operator.simulated import (
    FOREIGN,
    ROOT,
    condition_of,
    converge,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
    registered_world,
)

LONG = {"tokens": {"lifetime": "20m"}}
SHORT = {"tokens": {"maxLifetime": "15m"}}
SETTINGS = ReconcileSettings()


def settled(client: Object, *policies: Object) -> Object:
    status: Object = converge(replace(registered_world(client), policies=policies))[0].client["status"]
    return status


def pinning(name: str, **spec: Any) -> Object:
    """It pins what the ConfigMap of its name holds."""
    anchors = [{"configMapKeyRef": {"namespace": "platform", "name": name, "key": "ca.crt"}}]
    return mtls_policy(name, certificates={"trustAnchors": anchors}, **spec)


def roots(**pems: bytes) -> dict[tuple[str, str], Object | None]:
    return {("platform", name): {"data": {"ca.crt": pem.decode()}} for name, pem in pems.items()}


def test_a_denial_names_the_policy_that_says_no_and_not_those_that_do_not() -> None:
    status = settled(oauth_client(**LONG), mtls_policy("long", tokens={"maxLifetime": "1h"}), mtls_policy("strict", **SHORT))

    assert condition_of(status, "Accepted") == ("False", "LifetimeTooLong")
    assert message_of(status, "Accepted") == "MTLSPolicy strict: spec.tokens.lifetime: expected at most 900s, found 1200s"
    assert message_of(status, "Ready") == message_of(status, "Accepted")


def test_a_denial_names_every_policy_that_says_it() -> None:
    status = settled(oauth_client(**LONG), mtls_policy("b", **SHORT), mtls_policy("a", tokens={"maxLifetime": "1m"}))

    assert message_of(status, "Accepted") == "MTLSPolicy a, b: spec.tokens.lifetime: expected at most 60s, found 1200s"


def test_what_a_built_in_default_denies_names_no_policy() -> None:
    unbound = observed(oauth_client(tokens={"certificateBound": False}), policies=(mtls_policy("strict", **SHORT),))

    status = converge(unbound)[0].client["status"]

    assert condition_of(status, "Accepted") == ("False", "BindingRequired")
    assert "MTLSPolicy" not in message_of(status, "Accepted")


def test_a_client_that_breaks_a_policy_in_warn_works_and_says_so_once() -> None:
    strict = mtls_policy("strict", mode="Warn", **SHORT)
    world, planned, _ = converge(replace(registered_world(oauth_client(**LONG)), policies=(strict,)))
    status = world.client["status"]

    assert condition_of(status, "Ready") == ("True", "Ready")
    assert condition_of(status, "Accepted") == ("True", "PolicyWarning")
    assert "MTLSPolicy strict: spec.tokens.lifetime: expected at most 900s" in message_of(status, "Accepted")
    assert "not enforced yet" in message_of(status, "Accepted")
    assert condition_of(status, "Registered") == ("True", "Registered")
    assert [(e.warning, e.reason) for e in planned.events] == [(True, "PolicyWarning")]
    again = plan(world)
    assert (again.actions, again.status, again.events) == ((), None, ())


def test_a_warning_stands_beside_what_the_condition_says_already() -> None:
    client = oauth_client(**LONG, resources=["https://old.example"])
    status = settled(client, mtls_policy("strict", mode="Warn", **SHORT))

    assert condition_of(status, "Accepted") == ("True", "ResourceNotAllowed")
    assert "nobody owns https://old.example" in message_of(status, "Accepted")
    assert "MTLSPolicy strict" in message_of(status, "Accepted")


def test_a_warning_stays_while_the_registry_cannot_be_asked() -> None:
    world, _, _ = converge(
        replace(registered_world(oauth_client(**LONG)), policies=(mtls_policy("strict", mode="Warn", **SHORT),))
    )

    away = plan(replace(world, registry=RegistryUnreachable(message="connection refused")))

    assert away.status is not None
    assert condition_of(away.status, "Accepted") == ("True", "PolicyWarning")


def test_a_policy_in_audit_leaves_no_trace_on_the_client() -> None:
    world = registered_world(oauth_client(**LONG))

    audited = plan(replace(world, policies=(mtls_policy("strict", mode="Audit", **SHORT),)))

    assert (audited.actions, audited.status, audited.events) == ((), None, ())


@pytest.mark.parametrize("mode", ["Warn", "Audit"])
def test_what_a_policy_that_is_not_enforced_pins_denies_and_allows_changes_nothing(mode: str) -> None:
    forms = [
        pinning("pins", mode=mode),
        mtls_policy("loosens", mode=mode, tokens={"requireCertificateBound": False}, grants={"allowedClientIds": ["*"]}),
        mtls_policy("never-accepted", mode=mode, certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/99"]}}),
    ]
    policies = [in_force(form, roots(pins=FOREIGN.pem)) for form in forms]

    effective = effective_policy(policies, {}, {}, SETTINGS)

    assert (effective, effective.hash) == ((alone := effective_policy([], {}, {}, SETTINGS)), alone.hash)
    assert policy_anchors(policies, {}, {}) == ()
    assert pinned_keys(policies) == frozenset()


def forced(policy: Policy) -> PolicyInForce:
    """Matches everybody, and pins a CA where it names any."""
    pinned = (ROOT.certificate.der,) if policy.allowed_anchors is not None else ()
    return PolicyInForce(name=policy.name, form={}, policy=policy, problem=None, anchors=pinned, lists=(b"a list",))


@UNHURRIED
@given(st.lists(ANY, max_size=3), st.lists(TELLING, max_size=3), st.permutations(range(6)))
def test_whatever_is_not_enforced_reaches_nothing_that_is(policies: Any, telling: Any, order: Any) -> None:
    enforced = [forced(policy) for policy in policies]
    mixed = [*enforced, *(forced(policy) for policy in telling)]
    shuffled = [mixed[i] for i in order if i < len(mixed)]

    alone, together = (effective_policy(found, {}, {}, SETTINGS) for found in (enforced, shuffled))

    assert (together.hash, to_json(together)) == (alone.hash, to_json(alone))
    assert set(policy_anchors(shuffled, {}, {})) == set(policy_anchors(enforced, {}, {}))
    assert pinned_keys(shuffled) == pinned_keys(enforced)
    assert len(written_policies(shuffled, {}, {})) == len(mixed)


def test_a_mode_that_cannot_be_read_of_a_policy_never_accepted_denies() -> None:
    found = in_force(mtls_policy("odd", mode="Whatever"))

    assert found.enforced
    assert effective_policy([found], {}, {}, SETTINGS).unaccepted == ("odd",)


def test_an_edit_to_enforce_that_cannot_be_accepted_leaves_the_policy_in_audit() -> None:
    accepted = {"lastAccepted": {"spec": {"mode": "Audit", **SHORT}}}
    edited = mtls_policy("p", status=accepted, mode="Enforce", tokens={"maxLifetime": "soon"})

    assert not in_force(edited).enforced


def test_a_client_shows_the_trust_anchors_by_which_policies_judge_it() -> None:
    status = settled(oauth_client())

    assert status["certificate"]["trustAnchors"] == [anchor_name(ROOT.certificate.der)]


def test_policies_that_leave_no_anchor_together_are_both_named() -> None:
    own = {"authentication": {"trustAnchors": [{"configMapKeyRef": {"name": "own"}}]}}
    world = observed(
        oauth_client(**own),
        policies=(pinning("first"), pinning("second")),
        policy_config_maps=roots(first=ROOT.pem, second=FOREIGN.pem),
        config_maps={"own": {"data": {"ca.crt": (ROOT.pem + FOREIGN.pem).decode()}}},
    )

    status = converge(world)[0].client["status"]

    assert condition_of(status, "Accepted") == ("False", "TrustAnchorNotAllowed")
    assert message_of(status, "Accepted").startswith("MTLSPolicy first, second: spec.authentication.trustAnchors")
