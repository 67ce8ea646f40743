"""Which policies rule a client, which form of them is in force, and what their own status says."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.policy_plan import ObservedPolicy, plan_policy
from holdfast_operator.reconcile.ports import Object
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


def planned_policy(policy: Object, *clients: Object, namespaces: Any = NAMESPACES) -> Any:
    return plan_policy(ObservedPolicy(policy=policy, namespaces=namespaces, clients=clients, now=NOW))


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


def client_of(namespace: str, name: str, *, reason: str = "Accepted", policy: str = "baseline") -> Object:
    accepted = {
        "type": "Accepted",
        "status": "True" if reason == "Accepted" else "False",
        "reason": reason,
        "message": f"{name} breaks it",
    }
    status = {"conditions": [accepted], "effectivePolicy": {"names": [policy]}}
    return oauth_client(metadata={"namespace": namespace, "name": name}, status=status)


def test_a_policy_counts_whom_it_matches_and_who_breaks_it() -> None:
    policy = mtls_policy("baseline", namespaceSelector={"matchLabels": {"team": "shop"}})
    clients = [client_of("shop", f"c{i:02}", reason="LifetimeTooLong") for i in range(12)]
    others = [
        client_of("fin", "far", reason="LifetimeTooLong"),
        client_of("shop", "good"),
        client_of("shop", "taken", reason="ClientIdTaken"),
        client_of("shop", "not-mine", reason="LifetimeTooLong", policy="other"),
    ]

    status = planned_policy(policy, *reversed(clients), *others).status

    assert (status["matchedClients"], status["violations"]["count"]) == (15, 12)
    assert [v["name"] for v in status["violations"]["first"]] == [f"c{i:02}" for i in range(10)]
    assert status["violations"]["first"][0] == {"namespace": "shop", "name": "c00", "message": "c00 breaks it"}


def test_a_policy_status_that_would_not_change_is_not_written() -> None:
    policy = mtls_policy("baseline", tokens={"maxLifetime": "15m"})
    written = {**policy, "status": planned_policy(policy).status}

    again = planned_policy(written)

    assert (again.status, again.events) == (None, ())
