"""What a policy allows a client to be: one table for each question, and each denial names field, expected and found."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.policy.decision import ALLOW, DenialReason
from holdfast.policy.evaluate import (
    evaluate_audience,
    evaluate_client,
    evaluate_client_id,
    evaluate_issuer,
    evaluate_subject,
    uri_allowed,
)
from holdfast.policy.model import AllowedSubjects, IssuerName, Policy
from holdfast.policy.resolve import resolve
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from tests.registry_conformance.registrations import BUILT_IN, a_client, a_policy, an_anchor, an_api

OWN_URI = "spiffe://cluster.local/ns/shop/sa/orders"


def _allowed(kind: str, value: str, *subjects: AllowedSubjects, shared: bool, sa: str = "orders", ns: str = "shop") -> bool:
    policy = a_policy(*(Policy(name=f"p{i}", allowed_subjects=s) for i, s in enumerate(subjects)))
    return evaluate_subject(parse_subject_rule(SubjectKind(kind), value), ns, sa, policy, shared=shared).allowed


def test_an_ordinary_client_is_allowed() -> None:
    assert evaluate_client(a_client(), BUILT_IN) == ALLOW
    assert evaluate_client(an_api(), BUILT_IN) == ALLOW


@pytest.mark.parametrize(("changes", "policy", "reason", "words"), [
    ({"token_endpoint_auth_method": "private_key_jwt", "subject": None}, Policy(name="p"),
     DenialReason.METHOD_NOT_ALLOWED, ["spec.authentication.method", "tls_client_auth", "private_key_jwt"]),
    ({"certificate_bound": False}, Policy(name="p"),
     DenialReason.BINDING_REQUIRED, ["spec.tokens.certificateBound", "true", "false"]),
    ({"token_lifetime": 901}, Policy(name="p", max_lifetime=900),
     DenialReason.LIFETIME_TOO_LONG, ["spec.tokens.lifetime", "900s", "901s"]),
    ({"subject": None}, Policy(name="p"), DenialReason.SUBJECT_MISSING, ["spec.authentication.subject"]),
    ({"trust_anchors": ()}, Policy(name="p"), DenialReason.TRUST_ANCHOR_MISSING, ["trust anchor"]),
    ({"client_id": "fin.orders"}, Policy(name="p"),
     DenialReason.CLIENT_ID_NOT_ALLOWED, ["spec.clientId", "shop.", "fin.orders"]),
    ({"subject": parse_subject_rule(SubjectKind.DNS, "a.example.org")}, Policy(name="p"),
     DenialReason.SUBJECT_NOT_ALLOWED, ["spec.authentication.subject.dns", "a.example.org"]),
])  # fmt: skip
def test_a_denial_names_field_expected_and_found(
    changes: dict[str, Any], policy: Policy, reason: DenialReason, words: list[str]
) -> None:
    decision = evaluate_client(replace(a_client(), **changes), a_policy(policy))

    assert not decision.allowed
    assert decision.reason is reason
    assert all(word in decision.message for word in words), decision.message


def test_a_lifetime_of_the_maximum_and_none_at_all_are_allowed() -> None:
    policy = a_policy(Policy(name="p", max_lifetime=900))

    assert evaluate_client(a_client(token_lifetime=900), policy).allowed
    assert evaluate_client(a_client(token_lifetime=None), policy).allowed


def test_unbound_tokens_are_allowed_where_every_policy_that_says_so_agrees() -> None:
    loose, strict = Policy(name="a", require_certificate_bound=False), Policy(name="b", require_certificate_bound=True)
    client = a_client(certificate_bound=False)

    assert evaluate_client(client, a_policy(loose)).allowed
    assert not evaluate_client(client, a_policy(loose, strict)).allowed


def test_a_policy_that_was_never_accepted_denies_everything_and_is_named() -> None:
    policy = resolve(
        [], trust_domain="cluster.local", cluster_domain="cluster.local", unaccepted=["broken", "awry", "broken"]
    )

    decision = evaluate_client(a_client(), policy)

    assert decision.reason is DenialReason.POLICY_NOT_ACCEPTED
    assert "awry, broken" in decision.message


def test_suspension_is_no_matter_of_policy() -> None:
    assert evaluate_client(a_client(suspended=True), BUILT_IN).allowed


def test_the_anchor_decides_what_may_be_claimed() -> None:
    rule = parse_subject_rule(SubjectKind.DNS, "orders.example.org")
    own, shared = an_anchor("Partner", shared=False), an_anchor()

    assert evaluate_client(a_client(subject=rule, trust_anchors=(own,)), BUILT_IN).allowed
    assert not evaluate_client(a_client(subject=rule, trust_anchors=(own, shared)), BUILT_IN).allowed


@pytest.mark.parametrize(("kind", "value"), [
    ("uri", "spiffe://cluster.local/ns/shop/sa/other"),
    ("uri", OWN_URI),
])  # fmt: skip
def test_under_a_shared_anchor_a_namespace_has_its_own_spiffe_ids(kind: str, value: str) -> None:
    assert _allowed(kind, value, shared=True)


@pytest.mark.parametrize(("kind", "value"), [
    ("uri", "spiffe://cluster.local/ns/fin/sa/orders"),
    ("uri", "spiffe://cluster.local/ns/shop/sa/orders/extra"),
    ("uri", "spiffe://cluster.local/ns/shop"),
    ("uri", "spiffe://cluster.local/ns/shop-x/sa/orders"),
    ("uri", "spiffe://other.example/ns/shop/sa/orders"),
    ("uri", "https://orders.shop.svc/"),
    ("dns", "orders.shop.svc"),
    ("ip", "10.0.0.1"),
    ("email", "orders@example.org"),
    ("dn", "CN=orders"),
])  # fmt: skip
def test_under_a_shared_anchor_nothing_else_may_be_claimed(kind: str, value: str) -> None:
    assert not _allowed(kind, value, shared=True)


@pytest.mark.parametrize(("kind", "value"), [
    ("uri", "spiffe://other.example/anything"), ("uri", "https://partner.example/x"), ("dns", "a.example.org"),
    ("ip", "2001:db8::1"), ("email", "a@example.org"), ("dn", "CN=orders,O=Partner"), ("uri", OWN_URI),
])  # fmt: skip
def test_under_own_anchors_any_subject_may_be_claimed(kind: str, value: str) -> None:
    assert _allowed(kind, value, shared=False)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("value", [
    "spiffe://cluster.local/ns/fin/sa/orders", "spiffe://cluster.local/other", "spiffe://cluster.local",
])  # fmt: skip
def test_a_uri_of_our_trust_domain_is_always_the_namespaces_own(value: str, shared: bool) -> None:
    everything = AllowedSubjects(uris=(value, "spiffe://cluster.local/*", "spiffe://cluster.local/ns/*/sa/*"))

    assert not _allowed("uri", value, shared=shared)
    assert not _allowed("uri", value, everything, shared=shared)


def test_a_policy_may_keep_a_namespace_from_its_own_uris() -> None:
    assert not _allowed("uri", OWN_URI, AllowedSubjects(uris=("spiffe://cluster.local/ns/fin/sa/*",)), shared=True)


@pytest.mark.parametrize(("subjects", "kind", "value", "allowed"), [
    (AllowedSubjects(uris=("spiffe://cluster.local/ns/{namespace}/sa/*",)), "uri", OWN_URI, True),
    (AllowedSubjects(uris=("spiffe://cluster.local/ns/{namespace}/sa/{serviceAccount}",)), "uri", OWN_URI, True),
    (AllowedSubjects(uris=("spiffe://cluster.local/ns/{namespace}/sa/{serviceAccount}",)), "uri",
     "spiffe://cluster.local/ns/shop/sa/other", False),
    (AllowedSubjects(uris=("https://x.example/*",)), "uri", "https://x.example/a", True),
    (AllowedSubjects(uris=("https://x.example/*",)), "uri", "https://x.example/a/b", False),
    (AllowedSubjects(dns_names=("*.{namespace}.example.org",)), "dns", "a.shop.example.org", True),
    (AllowedSubjects(dns_names=("*.{namespace}.example.org",)), "dns", "a.fin.example.org", False),
    (AllowedSubjects(dns_names=("*.example.org",)), "dns", "a.b.example.org", False),
    (AllowedSubjects(ip_addresses=("10.0.0.0/8",)), "ip", "10.200.0.1", True),
    (AllowedSubjects(ip_addresses=("10.0.0.0/8",)), "ip", "11.0.0.1", False),
    (AllowedSubjects(email_addresses=("*@example.org",)), "email", "a@example.org", True),
    (AllowedSubjects(email_addresses=("a@example.org",)), "email", "b@example.org", False),
    (AllowedSubjects(distinguished_names=("O=Shop,C=DE",)), "dn", "CN=orders,O=Shop,C=DE", True),
    (AllowedSubjects(distinguished_names=("O=Shop,C=DE",)), "dn", "CN=orders,O=Fin,C=DE", False),
    (AllowedSubjects(distinguished_names=("O=Shop,C=DE",)), "uri", OWN_URI, False),
    (AllowedSubjects(uris=("not a uri",)), "uri", OWN_URI, False),
    (AllowedSubjects(), "uri", OWN_URI, False),
])  # fmt: skip
@pytest.mark.parametrize("shared", [True, False])
def test_what_a_policy_lists_is_what_may_be_claimed(
    subjects: AllowedSubjects, kind: str, value: str, allowed: bool, shared: bool
) -> None:
    assert _allowed(kind, value, subjects, shared=shared) is allowed


def test_every_policy_has_to_list_a_subject() -> None:
    wide, narrow = AllowedSubjects(dns_names=("*.example.org",)), AllowedSubjects(dns_names=("a.example.org",))

    assert _allowed("dns", "a.example.org", wide, narrow, shared=True)
    assert not _allowed("dns", "b.example.org", wide, narrow, shared=True)


@pytest.mark.parametrize("name", ["*", "a/b", "a.b/*", "", "{serviceAccount}", "a,O=Shop", "..", "A"])
def test_a_name_that_is_no_kubernetes_name_fills_no_placeholder(name: str) -> None:
    """Such a name could widen the pattern it is put into."""
    by_account = AllowedSubjects(uris=("spiffe://x.example/{serviceAccount}", "spiffe://x.example/{serviceAccount}/z"))
    by_namespace = AllowedSubjects(uris=("spiffe://x.example/{namespace}", "spiffe://x.example/{namespace}/z"))

    for value in ("spiffe://x.example/a", "spiffe://x.example/z", "spiffe://x.example/a/z"):
        assert not _allowed("uri", value, by_account, shared=True, sa=name)
        assert not _allowed("uri", value, by_namespace, shared=True, ns=name)
    assert not _allowed("uri", "spiffe://cluster.local/ns/fin/sa/orders", shared=True, ns=name)


def test_without_a_policy_any_issuer_is_allowed() -> None:
    assert evaluate_issuer(IssuerName(name="any"), BUILT_IN).allowed
    assert evaluate_issuer(IssuerName(name="own", kind="Issuer"), BUILT_IN).allowed


def test_an_issuer_has_to_be_listed_by_name_kind_and_group() -> None:
    policy = a_policy(Policy(name="p", allowed_issuers=frozenset({IssuerName(name="workloads")})))

    assert evaluate_issuer(IssuerName(name="workloads"), policy).allowed
    for other in (
        IssuerName(name="x"),
        IssuerName(name="workloads", kind="Issuer"),
        IssuerName(name="workloads", group="x.io"),
    ):
        decision = evaluate_issuer(other, policy)
        assert decision.reason is DenialReason.ISSUER_NOT_ALLOWED
        assert "ClusterIssuer/workloads" in decision.message


@pytest.mark.parametrize(("client_id", "allowed"), [
    ("shop.orders", True), ("shop.a.b", True), ("shop.", False), ("shop", False), ("shopping.orders", False),
    ("fin.orders", False), ("legacy-1", False),
])  # fmt: skip
def test_a_client_id_begins_with_its_namespace(client_id: str, allowed: bool) -> None:
    assert evaluate_client_id(client_id, "shop", BUILT_IN).allowed is allowed


def test_a_policy_may_allow_more_client_ids() -> None:
    policy = a_policy(Policy(name="p", allowed_client_ids=frozenset({"legacy-*", "{namespace}-orders", "exact"})))

    assert all(evaluate_client_id(i, "shop", policy).allowed for i in ("legacy-1", "shop-orders", "exact", "shop.orders"))
    assert not any(evaluate_client_id(i, "shop", policy).allowed for i in ("legacy-", "fin-orders", "exactly"))


@pytest.mark.parametrize(("audience", "allowed"), [
    ("https://orders.shop.svc", True),
    ("https://orders.shop.svc:8443/v1", True),
    ("https://a.orders.shop.svc", True),
    ("https://orders.shop.svc.cluster.local", True),
    ("https://ORDERS.shop.svc", True),
    ("https://shop.svc", False),
    ("https://orders.fin.svc", False),
    ("https://orders.fin.svc.shop.svc.example", False),
    ("https://orders.shop.svc.example.org", False),
    ("https://orders.shop.svc@evil.example", False),
    ("https://evil.example@orders.shop.svc", False),
    ("https://evil.example#.shop.svc", False),
    ("https://evil.example?.shop.svc", False),
    ("https://evil.example/orders.shop.svc", False),
    ("https://orders.shop.svc\n.evil.example", False),
    ("https://[", False),
    ("https://orders.shop.svc:port", False),
    ("urn:orders.shop.svc", False),
    ("", False),
])  # fmt: skip
def test_a_namespace_owns_the_audiences_of_its_services(audience: str, allowed: bool) -> None:
    assert evaluate_audience(audience, "shop", BUILT_IN).allowed is allowed


def test_a_policy_may_allow_more_audiences() -> None:
    policy = a_policy(
        Policy(name="p", allowed_audiences=frozenset({"https://{namespace}.example.org/*", "urn:example:api"}))
    )

    assert evaluate_audience("https://shop.example.org/v1", "shop", policy).allowed
    assert evaluate_audience("urn:example:api", "shop", policy).allowed
    decision = evaluate_audience("https://fin.example.org/v1", "shop", policy)
    assert decision.reason is DenialReason.AUDIENCE_NOT_ALLOWED
    assert "https://fin.example.org/v1" in decision.message


@pytest.mark.parametrize(("uri", "pattern", "allowed"), [
    ("https://a.example.org", "https://a.example.org", True),
    ("https://a.example.org", "https://*.example.org", True),
    ("https://a.b.example.org", "https://*.example.org", False),
    ("https://example.org", "https://*.example.org", False),
    ("http://a.example.org", "https://*.example.org", False),
    ("https://a.example.org:444", "https://*.example.org", False),
    ("https://a.example.org/x", "https://*.example.org", False),
    ("https://a.example.org/v1.2/x", "https://a.example.org/*/x", True),
    ("https://a.example.org//x", "https://a.example.org/*/x", False),
    ("https://a.example.org/x?q=1", "https://a.example.org/*", False),
    ("https://evil?x.example.org", "https://*.example.org", False),
    ("https://evil@x.example.org", "https://*.example.org", False),
    ("https://evil#x.example.org", "https://*.example.org", False),
    ("https://evil\\x.example.org", "https://*.example.org", False),
    ("javascript:alert", "*:alert", False),
])  # fmt: skip
def test_a_star_stands_for_one_label_or_one_segment(uri: str, pattern: str, allowed: bool) -> None:
    assert uri_allowed(uri, pattern) is allowed
