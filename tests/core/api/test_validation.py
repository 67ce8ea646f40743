"""What is refused without an API server, and how it is told."""

from typing import Any

import pytest

from holdfast.api.v1alpha1.rules import UnusableRule, compile_rules
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from holdfast.oauth.client_metadata import Problem

CERTIFICATE = {"issuerRef": {"name": "workloads"}}


def client(spec: object, **metadata: object) -> dict[str, Any]:
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"name": "orders", "namespace": "shop", **metadata},
        "spec": spec,
    }


def problems(obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[Problem]:
    with pytest.raises(InvalidObject) as refused:
        apply_defaults_and_validate(obj, old)
    return list(refused.value.problems)


def test_defaults_are_filled_in() -> None:
    stored = apply_defaults_and_validate(client({"certificate": CERTIFICATE}))

    assert stored["spec"] == {
        "authentication": {"method": "tls_client_auth"},
        "certificate": {
            "issuerRef": {"name": "workloads", "kind": "ClusterIssuer", "group": "cert-manager.io"},
            "privateKey": {"algorithm": "ECDSA"},
        },
        "grantTypes": ["client_credentials"],
        "tokens": {"certificateBound": True, "format": "JWT"},
        "suspend": False,
        "deletionPolicy": "Delete",
        "adoptionPolicy": "Never",
    }


def test_the_object_given_is_left_as_it_was() -> None:
    obj = client({"certificate": CERTIFICATE})

    apply_defaults_and_validate(obj)

    assert obj == client({"certificate": {"issuerRef": {"name": "workloads"}}})


def test_defaults_once_filled_in_stay() -> None:
    stored = apply_defaults_and_validate(client({"certificate": CERTIFICATE}))

    assert apply_defaults_and_validate(stored, stored) == stored


def test_null_counts_as_absent() -> None:
    stored = apply_defaults_and_validate(client({"certificate": CERTIFICATE, "suspend": None, "scopes": None}))

    assert stored["spec"]["suspend"] is False
    assert "scopes" not in stored["spec"]


def test_all_problems_are_told_at_once_by_field() -> None:
    found = problems(client({"certificate": CERTIFICATE, "clientID": "x", "scopes": ["a b"], "tokens": {"lifetime": "0s"}}))

    assert [problem.field for problem in found] == ["spec.clientID", "spec.scopes[0]", "spec.tokens"]


def test_a_value_is_quoted_with_what_was_expected() -> None:
    (found,) = problems(client({"certificate": CERTIFICATE, "resources": ["ftp://a"]}))

    assert found == Problem(
        "spec.resources[0]",
        'Invalid value: "ftp://a": must be an absolute https URI, host in lower case, without user or fragment '
        "(RFC 8707 section 2)",
    )


def test_a_trailing_newline_does_not_pass_a_pattern_or_a_rule() -> None:
    found = problems(client({"certificate": CERTIFICATE, "clientId": "shop.orders\n", "resources": ["https://a.b\n"]}))

    assert [problem.field for problem in found] == ["spec.clientId", "spec.resources[0]"]


def test_rules_wait_until_types_and_limits_are_right() -> None:
    found = problems(client({"authentication": {"subject": {"dn": "a", "dns": "b"}}, "suspend": "yes"}))

    assert [problem.field for problem in found] == ["spec.suspend"]


def test_a_rule_about_a_change_is_silent_at_first() -> None:
    apply_defaults_and_validate(client({"certificate": CERTIFICATE, "clientId": "shop.a"}))


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": "Orders"}, "metadata.name"),
        ({"name": "orders\n"}, "metadata.name"),
        ({"name": "-orders"}, "metadata.name"),
        ({"name": "o" * 64}, "metadata.name"),
        ({"name": ""}, "metadata.name"),
        ({"name": 7}, "metadata.name"),
        ({"namespace": "shop.eu"}, "metadata.namespace"),
        ({"namespace": "s" * 64}, "metadata.namespace"),
        ({"namespace": None}, "metadata.namespace"),
        ({"label": {}}, "metadata.label"),
    ],
)
def test_names_and_metadata_have_the_form_the_api_server_asks(metadata: dict[str, Any], field: str) -> None:
    (found,) = problems(client({"certificate": CERTIFICATE}, **metadata))

    assert found.field == field


def test_a_policy_has_no_namespace() -> None:
    policy = {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "MTLSPolicy",
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {},
    }

    assert problems(policy) == [Problem("metadata.namespace", "Forbidden: not allowed on this type")]


@pytest.mark.parametrize("kind", ["OAuthClients", "Certificate", None])
def test_an_unknown_kind_names_the_known_ones(kind: str | None) -> None:
    (found,) = problems({**client({}), "kind": kind})

    assert found.field == "kind"
    assert "OAuthClient" in found.message


@pytest.mark.parametrize("body", [[], "text", 7, True])
def test_a_spec_that_is_no_object_is_told_by_type(body: object) -> None:
    (found,) = problems(client(body))

    assert found.field == "spec"
    assert "must be of type object" in found.message


@pytest.mark.parametrize("metadata", [None, [], "orders"])
def test_metadata_that_is_no_object_is_refused(metadata: object) -> None:
    obj = client({"certificate": CERTIFICATE}) | {"metadata": metadata}

    assert [problem.field for problem in problems(obj)] == ["metadata"]


def test_status_is_judged_by_the_same_schema() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "Yes", "reason": "R", "message": "", "lastTransitionTime": "today"}]
    }

    found = problems(client({"certificate": CERTIFICATE}) | {"status": status})

    assert [p.field for p in found] == ["status.conditions[0].lastTransitionTime", "status.conditions[0].status"]


def test_a_rule_about_a_change_inside_a_list_cannot_be_used() -> None:
    entry = {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed"}]}

    with pytest.raises(UnusableRule, match="fixed"):
        compile_rules({"type": "array", "items": entry})
