"""From the wire form to typed values."""

from datetime import timedelta
from typing import Any

import pytest
from celpy.celtypes import DurationType
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.v1alpha1.convert import (
    UnreadableObject,
    duration,
    duration_seconds,
    parse_mtls_policy,
    parse_oauth_client,
    registered_keys,
    subject_rule,
    to_policy,
)
from holdfast.api.v1alpha1.fields import DURATION_PATTERN
from holdfast.api.v1alpha1.oauth_client import Authentication, SubjectRule
from holdfast.oauth.jwks import ALGORITHMS, JwkError
from holdfast.policy.model import AllowedSubjects, DnMatching, IssuerName, Policy, RevocationMode
from holdfast.x509.subject import SubjectKind, SubjectRuleError
from tests.core.api.manifests import MANIFESTS, own_documents


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86400), ("1h30m", 5400), ("90m", 5400), ("5m", 300), ("1500ms", 1), ("999ms", 0), ("1m1m", 120), ("0s", 0)],
)
def test_a_duration_is_read_in_whole_seconds(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1.5h", "1d", "5m\n", " 5m", "1h1h1h1h1h", "100000h", "٣h"])
def test_any_other_form_of_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a form such as 1h30m"):
        duration_seconds(text)


@given(st.from_regex(DURATION_PATTERN[1:-1], fullmatch=True, alphabet=st.sampled_from("0123456789hms")))
def test_a_duration_is_the_one_that_the_rules_see(text: str) -> None:
    assert abs(duration(text) - timedelta(seconds=DurationType(text).total_seconds())) < timedelta(milliseconds=1)


def test_a_client_has_its_computed_defaults() -> None:
    client = parse_oauth_client(
        {
            "metadata": {"name": "orders", "namespace": "shop", "uid": "7", "generation": 3},
            "spec": {"certificate": {"issuerRef": {"name": "workloads"}}},
        }
    )

    assert (client.client_id, client.service_account_name, client.secret_name) == ("shop.orders", "orders", "orders-mtls")
    assert client.spec.tokens.certificate_bound
    assert client.metadata.generation == 3


def test_a_client_that_chose_keeps_what_it_chose() -> None:
    obj = own_documents(MANIFESTS / "samples" / "oauthclient-all-options.yaml")[0]

    client = parse_oauth_client(obj)

    assert (client.client_id, client.service_account_name) == ("shop.ledger-v2", "ledger")
    assert client.secret_name == "ledger-tls"
    assert client.spec.resource_server is not None
    assert client.spec.resource_server.allow_from is not None
    assert client.spec.resource_server.allow_from[0].scopes == ("ledger.read",)


def test_a_client_with_its_own_certificate_has_no_secret() -> None:
    (obj,) = own_documents(MANIFESTS / "samples" / "oauthclient-own-certificate.yaml")

    client = parse_oauth_client(obj)

    assert client.secret_name is None
    assert client.spec.authentication.trust_anchors is not None
    assert client.spec.authentication.trust_anchors[0].config_map_key_ref.key == "ca.crt"


def test_a_field_of_a_later_version_is_ignored() -> None:
    spec = {"certificate": {"issuerRef": {"name": "workloads", "region": "eu"}}, "workload": {}}

    client = parse_oauth_client({"metadata": {"name": "a", "namespace": "b"}, "spec": spec})

    assert client.spec.certificate is not None
    assert client.spec.certificate.issuer_ref.name == "workloads"


def test_what_cannot_be_read_is_told_by_field() -> None:
    with pytest.raises(UnreadableObject) as refused:
        parse_oauth_client({"metadata": {"name": "a"}, "spec": {"certificate": {"issuerRef": {}}, "scopes": ["a", 1]}})

    assert [p.field for p in refused.value.problems] == ["spec.certificate.issuerRef.name", "spec.scopes[1]"]


@pytest.mark.parametrize(
    ("subject", "kind", "canonical"),
    [
        (SubjectRule(dns="Orders.Shop.Example"), SubjectKind.DNS, "orders.shop.example"),
        (SubjectRule(uri="HTTPS://A.Example/B"), SubjectKind.URI, "https://a.example/B"),
        (SubjectRule(ip="2001:DB8::0:7"), SubjectKind.IP, "2001:db8::7"),
    ],
)
def test_a_subject_is_its_one_rule_in_canonical_form(subject: SubjectRule, kind: SubjectKind, canonical: str) -> None:
    rule = subject_rule(subject)

    assert (rule.kind, rule.canonical) == (kind, canonical)


def test_a_subject_that_no_certificate_can_have_is_refused() -> None:
    with pytest.raises(SubjectRuleError):
        subject_rule(SubjectRule(ip="999.0.0.1"))


def test_a_policy_that_names_nothing_touches_nothing() -> None:
    assert to_policy(parse_mtls_policy({"metadata": {"name": "p"}, "spec": {}})) == Policy(name="p")


def test_a_policy_that_names_everything_becomes_its_values() -> None:
    (obj,) = own_documents(MANIFESTS / "samples" / "mtlspolicy-all-options.yaml")

    assert to_policy(parse_mtls_policy(obj), frozenset({"ab" * 32})) == Policy(
        name="everything",
        allowed_methods=frozenset({"tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"}),
        require_certificate_bound=True,
        max_lifetime=600,
        allowed_subjects=AllowedSubjects(
            uris=("spiffe://cluster.local/ns/{namespace}/sa/{serviceAccount}",),
            dns_names=("*.{namespace}.svc",),
            ip_addresses=("10.0.0.0/8", "fd00::/8"),
            email_addresses=("*@backend.example",),
            distinguished_names=("O=Backend,C=DE",),
        ),
        allowed_issuers=frozenset({IssuerName(name="workloads")}),
        allowed_resources=frozenset({"https://*.partner.example"}),
        allowed_audiences=frozenset({"https://{namespace}.api.example"}),
        allowed_client_ids=frozenset({"backend-{namespace}-*"}),
        allowed_anchors=frozenset({"ab" * 32}),
        min_rsa_bits=3072,
        min_ec_bits=256,
        max_certificate_duration=172800,
        require_client_auth_usage=True,
        dn_matching=DnMatching.STANDARD,
        revocation=RevocationMode.SOFT_FAIL,
        allowed_grant_types=frozenset({"client_credentials"}),
        allowed_scopes=frozenset({"orders.*", "ledger.read"}),
        denied_thumbprints=frozenset({"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}),
    )


def test_an_empty_list_is_not_the_same_as_none() -> None:
    spec: dict[str, Any] = {"grants": {"allowedResources": []}, "certificates": {"allowedIssuers": []}}

    policy = to_policy(parse_mtls_policy({"metadata": {"name": "p"}, "spec": spec}))

    assert (policy.allowed_resources, policy.allowed_issuers) == (frozenset(), frozenset())
    assert policy.allowed_audiences is None


def _authentication(**members: Any) -> Authentication:
    return Authentication.model_validate({"method": "private_key_jwt", **members})


def _key(file: str) -> dict[str, Any]:
    obj = own_documents(MANIFESTS / "samples" / file)[-1]
    return dict(obj["spec"]["authentication"]["jwks"]["keys"][0])


SIGNING, CERTIFIED = _key("oauthclient-private-key-jwt.yaml"), _key("oauthclient-self-signed.yaml")


def test_keys_by_value_are_the_registered_ones() -> None:
    assert registered_keys(_authentication(jwksUri="https://orders.example/jwks")) is None
    assert [key.kid for key in registered_keys(_authentication(jwks={"keys": [SIGNING], "extra": 1})) or ()] == ["2026-01"]


@pytest.mark.parametrize(("members", "named"), [
    ({"jwks": {"keys": [{**SIGNING, "d": "AAAA"}]}}, "spec.authentication.jwks: keys[0]: expected a public key"),
    ({"jwks": {"keys": [{**SIGNING, "x5c": CERTIFIED["x5c"]}]}}, "expected a certificate for this key"),
    ({"jwks": {"keys": [{**SIGNING, "use": "enc"}]}}, "expected a key for signatures"),
    ({"jwks": {"keys": [SIGNING]}, "signingAlgorithm": "PS256"}, "signingAlgorithm: expected one of ES256"),
    ({"method": "self_signed_tls_client_auth", "jwks": {"keys": [SIGNING]}}, "expected a key with the client's certificate"),
])  # fmt: skip
def test_keys_that_the_method_cannot_use_are_refused_by_field(members: dict[str, Any], named: str) -> None:
    with pytest.raises(JwkError) as refused:
        registered_keys(_authentication(**members))

    assert named in str(refused.value)


def test_a_client_may_sign_with_every_algorithm_that_keys_are_read_for() -> None:
    written = Authentication.model_json_schema()["properties"]["signingAlgorithm"]["anyOf"][0]["enum"]

    assert set(written) == set(ALGORITHMS)
