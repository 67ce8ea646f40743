"""Which single policy a client breaks: by what it names, in whatever mode it is, and never by a built-in default."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.attribution import Breach, broken_by
from holdfast.policy.certificate import AskedCertificate
from holdfast.policy.decision import DenialReason
from holdfast.policy.model import AllowedSubjects, IssuerName, Policy, PolicyMode
from holdfast.x509.subject import SubjectKind, SubjectRule, parse_subject_rule
from tests.registry_conformance.registrations import a_client, an_anchor, an_api

OWN = an_anchor("Partner", shared=False)
OTHER = an_anchor("Elsewhere", shared=False)
ASKED = AskedCertificate(
    issuer=IssuerName(name="workloads"), duration=90_000, default_duration=86_400, renew_before=None, algorithm="RSA",
    bits=2048,
)  # fmt: skip


def breaches(client: ClientMetadata, *policies: Policy, **known: Any) -> tuple[Breach, ...]:
    certificate = known.pop("certificate", None)
    return broken_by(client, certificate, policies, trust_domain="cluster.local", cluster_domain="cluster.local", **known)


def broken(client: ClientMetadata, *policies: Policy, **known: Any) -> list[tuple[str, str]]:
    return [(b.policy, str(b.reason)) for b in breaches(client, *policies, **known)]


def subject(kind: str, value: str) -> SubjectRule:
    return parse_subject_rule(SubjectKind(kind), value)


@pytest.mark.parametrize(("field", "value", "changes", "reason"), [
    ("allowed_methods", frozenset({"self_signed_tls_client_auth"}), {}, DenialReason.METHOD_NOT_ALLOWED),
    ("require_certificate_bound", True, {"certificate_bound": False}, DenialReason.BINDING_REQUIRED),
    ("max_lifetime", 300, {"token_lifetime": 301}, DenialReason.LIFETIME_TOO_LONG),
    ("allowed_subjects", AllowedSubjects(dns_names=("*.{namespace}.svc",)), {}, DenialReason.SUBJECT_NOT_ALLOWED),
    ("allowed_anchors", frozenset({OTHER.name}), {"trust_anchors": (OWN,)}, DenialReason.TRUST_ANCHOR_NOT_ALLOWED),
    ("allowed_client_ids", frozenset({"legacy-2"}), {"client_id": "legacy-1"}, DenialReason.CLIENT_ID_NOT_ALLOWED),
    ("allowed_grant_types", frozenset[str](), {}, DenialReason.GRANT_TYPE_NOT_ALLOWED),
    ("allowed_scopes", frozenset({"billing.*"}), {}, DenialReason.SCOPE_NOT_ALLOWED),
    ("allowed_issuers", frozenset({IssuerName(name="vault")}), {}, DenialReason.ISSUER_NOT_ALLOWED),
    ("max_certificate_duration", 86_400, {}, DenialReason.DURATION_TOO_LONG),
    ("min_rsa_bits", 3072, {}, DenialReason.KEY_TOO_SMALL),
])  # fmt: skip
@pytest.mark.parametrize("mode", list(PolicyMode))
def test_a_breach_names_the_policy_its_mode_and_the_reason(
    field: str, value: object, changes: dict[str, Any], reason: DenialReason, mode: PolicyMode
) -> None:
    policy = Policy(name="strict", mode=mode, **{field: value})  # type: ignore[arg-type]  # a table of all fields
    client = a_client(**changes)

    found = breaches(client, Policy(name="harmless", max_lifetime=3600), policy, certificate=ASKED)

    assert [(b.policy, b.mode, b.reason) for b in found] == [("strict", mode, reason)]
    assert "expected" in found[0].message
    assert str(found[0]) == f"MTLSPolicy strict: {found[0].message}"


def test_an_audience_that_a_policy_does_not_list_breaks_it() -> None:
    api = an_api("shop", "orders", "https://api.shop.example")

    assert broken(api, Policy(name="a", allowed_audiences=frozenset({"https://*.fin.example"}))) == [
        ("a", "AudienceNotAllowed")
    ]
    assert broken(api, Policy(name="a", allowed_audiences=frozenset({"https://*.{namespace}.example"}))) == []


def test_a_resource_that_nobody_owns_breaks_the_policy_that_lists_others() -> None:
    client = a_client(resources=("https://old.example",))
    policy = Policy(name="a", allowed_resources=frozenset({"https://new.example"}))

    assert broken(client, policy, unowned=client.resources) == [("a", "ResourceNotAllowed")]
    assert broken(client, policy) == []
    assert broken(client, Policy(name="b", max_lifetime=60), unowned=client.resources) == []


def test_every_broken_policy_is_named_and_each_of_its_breaches() -> None:
    client = a_client(token_lifetime=900, certificate_bound=False)
    policies = (
        Policy(name="b", max_lifetime=600),
        Policy(name="a", max_lifetime=60, require_certificate_bound=True, mode=PolicyMode.AUDIT),
        Policy(name="c", max_lifetime=900),
    )

    assert broken(client, *policies) == [
        ("a", "BindingRequired"),
        ("a", "LifetimeTooLong"),
        ("b", "LifetimeTooLong"),
    ]


def test_breaches_of_the_modes_in_question_are_told_beside_what_is_enforced() -> None:
    client = a_client(token_lifetime=900, trust_anchors=(OWN, OTHER))
    policies = (
        Policy(name="audit", max_lifetime=60, mode=PolicyMode.AUDIT),
        Policy(name="enforced", max_lifetime=60, allowed_anchors=frozenset({OWN.name})),
        Policy(name="warn", allowed_anchors=frozenset({OTHER.name}), mode=PolicyMode.WARN),
    )

    assert broken(client, *policies, modes=[PolicyMode.WARN]) == [("warn", "TrustAnchorNotAllowed")]
    assert broken(client, *policies, modes=[PolicyMode.ENFORCE]) == [("enforced", "LifetimeTooLong")]


@pytest.mark.parametrize(("changes", "known"), [
    ({"token_endpoint_auth_method": "private_key_jwt", "subject": None}, {}),
    ({"certificate_bound": False}, {}),
    ({"client_id": "legacy-1"}, {}),
    ({"subject": subject("dns", "a.example.org")}, {}),
    ({"subject": None}, {}),
    ({"trust_anchors": ()}, {}),
    ({}, {"certificate": replace(ASKED, bits=1024)}),
], ids=["method", "binding", "client-id", "subject", "no-subject", "no-anchors", "key"])  # fmt: skip
def test_what_a_built_in_default_denies_is_no_policys(changes: dict[str, Any], known: dict[str, Any]) -> None:
    assert broken(a_client(**changes), Policy(name="lifetime", max_lifetime=3600), **known) == []


def test_a_spiffe_id_of_another_namespace_is_refused_by_the_house_and_not_by_a_policy() -> None:
    thief = a_client(subject=subject("uri", "spiffe://cluster.local/ns/fin/sa/orders"))

    assert (
        broken(thief, Policy(name="all", allowed_subjects=AllowedSubjects(uris=("spiffe://cluster.local/*/*/*/*",)))) == []
    )


def test_while_a_client_has_no_anchors_its_subject_is_judged_and_they_are_not() -> None:
    coming = a_client(trust_anchors=())
    pins = Policy(name="pins", allowed_anchors=frozenset({OTHER.name}))
    subjects = Policy(name="subjects", allowed_subjects=AllowedSubjects(dns_names=("*.svc",)))

    assert broken(coming, pins, subjects) == [("subjects", "SubjectNotAllowed")]
    assert broken(coming, pins, anchors=[OWN.name]) == [("pins", "TrustAnchorNotAllowed")]
    assert broken(coming, pins, anchors=[OWN.name, OTHER.name]) == []


def test_policies_that_leave_no_anchor_only_together_are_both_broken() -> None:
    client = a_client(trust_anchors=(OWN, OTHER))
    first = Policy(name="first", allowed_anchors=frozenset({OWN.name}))
    second = Policy(name="second", allowed_anchors=frozenset({OTHER.name}))

    assert broken(client, first) == broken(client, second) == []
    assert broken(client, first, second) == [("first", "TrustAnchorNotAllowed"), ("second", "TrustAnchorNotAllowed")]


def test_an_audit_policy_says_who_would_be_left_without_an_anchor_beside_what_is_enforced() -> None:
    client = a_client(trust_anchors=(OWN, OTHER))
    policies = (
        Policy(name="enforced", allowed_anchors=frozenset({OWN.name})),
        Policy(name="planned", allowed_anchors=frozenset({OTHER.name}), mode=PolicyMode.AUDIT),
        Policy(name="also-planned", allowed_anchors=frozenset({OWN.name}), mode=PolicyMode.AUDIT),
    )

    assert broken(client, *policies) == [("planned", "TrustAnchorNotAllowed")]


def test_an_anchor_that_a_policy_pins_becomes_shared_and_the_subject_under_it_the_policys_concern() -> None:
    partner = a_client(subject=subject("dns", "orders.partner.example"), trust_anchors=(OWN,))
    pins = Policy(name="pins", allowed_anchors=frozenset({OWN.name}), mode=PolicyMode.AUDIT)
    lists = Policy(name="lists", allowed_subjects=AllowedSubjects(dns_names=("*.partner.example",)))

    assert broken(partner, pins) == [("pins", "SubjectNotAllowed")]
    assert broken(partner, pins, lists) == []


def test_a_subject_that_was_refused_before_does_not_break_a_policy_that_only_pins() -> None:
    shared = an_anchor("Workloads")
    client = a_client(subject=subject("dns", "a.example.org"), trust_anchors=(shared,))

    assert broken(client, Policy(name="pins", allowed_anchors=frozenset({shared.name}))) == []
