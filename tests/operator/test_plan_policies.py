"""Which policies rule a client, which form of them is in force, and what their own status says."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast_operator.reconcile.census import Census
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.policy_plan import ObservedPolicy, plan_policy
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import NOW
from tests.operator.simulated import (
    condition_of,
    converge,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
    registered_world,
    types_of,
)

BAD = {"certificates": {"allowedSubjects": {"ipAddresses": ["10.0.0.0/99"]}}}
NAMESPACES = {"shop": {"team": "shop"}, "fin": {"team": "fin"}}


def effective_names(policy: Object) -> list[str]:
    client = oauth_client(metadata={"labels": {"tier": "web"}})
    world = observed(client, namespace_labels={"team": "shop"}, policies=(policy,))
    names: list[str] = converge(world)[0].client["status"]["effectivePolicy"]["names"]
    return names


SELECTORS: list[tuple[Object, bool]] = [
    ({}, True),
    ({"namespaceSelector": {}}, True),
    ({"namespaceSelector": {"matchLabels": {"team": "shop"}}}, True),
    ({"namespaceSelector": {"matchLabels": {"team": "fin"}}}, False),
    ({"clientSelector": {"matchLabels": {"tier": "web"}}}, True),
    ({"clientSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}, True),
    ({"clientSelector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}, False),
    (
        {"namespaceSelector": {"matchLabels": {"team": "shop"}}, "clientSelector": {"matchLabels": {"tier": "db"}}},
        False,
    ),
]


@pytest.mark.parametrize(("spec", "matches"), SELECTORS)
def test_a_policy_rules_whom_both_its_selectors_match(spec: Object, matches: bool) -> None:
    assert effective_names(mtls_policy("baseline", **spec)) == (["baseline"] if matches else [])


def planned_policy(policy: Object, *clients: Object, others: tuple[Object, ...] = ()) -> Any:
    census = Census(ReconcileSettings())
    for client in clients:
        census.take(client)
    found = in_force(policy)
    *_, count = census.count(found, [found, *map(in_force, others)], NAMESPACES)
    assert count is not None
    return plan_policy(ObservedPolicy(policy=policy, found=found, count=count, now=NOW))


def test_an_accepted_policy_is_enforced_and_keeps_its_form_in_its_status() -> None:
    policy = mtls_policy("baseline", tokens={"maxLifetime": "15m"})

    status = planned_policy(policy).status

    assert condition_of(status, "Ready") == ("True", "Enforced")
    assert condition_of(status, "Accepted") == ("True", "Accepted")
    assert types_of(status) == {"Ready", "Accepted"}
    assert status["lastAccepted"] == {"spec": policy["spec"]}


def test_an_edit_that_cannot_be_accepted_leaves_the_last_accepted_form_in_force() -> None:
    good = mtls_policy("baseline", tokens={"maxLifetime": "1m"})
    accepted = planned_policy(good).status

    edited = {**mtls_policy("baseline", status=accepted, **BAD), "metadata": {"name": "baseline", "generation": 2}}
    status = planned_policy(edited).status

    assert condition_of(status, "Accepted") == ("False", "InvalidPattern")
    assert "10.0.0.0/99" in message_of(status, "Accepted")
    assert "last accepted form stays in force" in message_of(status, "Ready")
    assert "Stalled" in types_of(status)
    assert status["lastAccepted"] == accepted["lastAccepted"]
    found = in_force(edited)
    assert found.policy is not None
    assert found.policy.max_lifetime == 60


def test_a_policy_that_was_never_accepted_denies_whom_it_matches() -> None:
    world, _, _ = converge(replace(registered_world(), policies=(mtls_policy("broken", **BAD),)))

    status = world.client["status"]
    assert condition_of(status, "Accepted") == ("False", "PolicyNotAccepted")
    assert "broken" in message_of(status, "Accepted")
    assert status["effectivePolicy"]["names"] == ["broken"]


@pytest.mark.parametrize(
    "spec",
    [
        {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Resembles"}]}},
        {"tokens": {"maxLifetime": "soon"}},
        {"authentication": {"allowedMethods": ["guess"]}},
    ],
)
def test_a_policy_that_cannot_be_read_is_not_accepted_and_matches_in_doubt(spec: Object) -> None:
    found = in_force(mtls_policy("odd", **spec))

    assert found.policy is None
    assert found.problem is not None
    assert found.problem.reason == "InvalidSpec"
    assert found.matches({}, {})


def client_of(namespace: str, name: str, **spec: Any) -> Object:
    return oauth_client(metadata={"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}"}, **spec)


LONG = {"tokens": {"lifetime": "2h"}}


@pytest.mark.parametrize("mode", ["Enforce", "Warn", "Audit"])
def test_a_policy_in_any_mode_counts_whom_it_matches_and_who_breaks_it(mode: str) -> None:
    spec: Object = {"namespaceSelector": {"matchLabels": {"team": "shop"}}, "tokens": {"maxLifetime": "1h"}, "mode": mode}
    clients = [client_of("shop", f"c{i:02}", **LONG) for i in range(22)]
    others = [
        client_of("fin", "far", **LONG),
        client_of("shop", "good"),
        client_of("shop", "breaks-another-rule", clientId="not-allowed"),
        client_of("shop", "cannot-be-read", authentication={"subject": {"dn": "no DN"}}),
    ]

    status = planned_policy(mtls_policy("baseline", **spec), *reversed(clients), *others).status

    assert (status["matchedClients"], status["violations"]["count"]) == (25, 22)
    assert [v["name"] for v in status["violations"]["first"]] == [f"c{i:02}" for i in range(20)]
    assert status["violations"]["first"][0] == {
        "namespace": "shop",
        "name": "c00",
        "message": "spec.tokens.lifetime: expected at most 3600s, found 7200s",
    }


def test_a_policy_that_was_never_accepted_counts_whom_it_denies_and_in_audit_nobody() -> None:
    denying, silent = mtls_policy("a", **BAD), mtls_policy("b", mode="Audit", **BAD)

    denied, observed_only = planned_policy(denying, client_of("shop", "x")), planned_policy(silent, client_of("shop", "x"))

    assert denied.status["violations"]["count"] == 1
    assert "never accepted" in denied.status["violations"]["first"][0]["message"]
    assert "its clients are denied" in message_of(denied.status, "Ready")
    assert (observed_only.status["matchedClients"], observed_only.status["violations"]["count"]) == (1, 0)
    assert "nobody is judged by it" in message_of(observed_only.status, "Ready")


@pytest.mark.parametrize("mode", ["Warn", "Audit"])
def test_a_policy_that_is_not_enforced_says_that_it_refuses_nobody(mode: str) -> None:
    status = planned_policy(mtls_policy("baseline", mode=mode)).status

    assert condition_of(status, "Ready") == ("True", "Observed")
    assert f"mode {mode}" in message_of(status, "Ready")
    assert "refuses nobody" in message_of(status, "Ready")


def test_a_policy_status_that_would_not_change_is_not_written() -> None:
    policy = mtls_policy("baseline", tokens={"maxLifetime": "15m"})
    written = {**policy, "status": planned_policy(policy).status}

    again = planned_policy(written)

    assert (again.status, again.events) == (None, ())
