"""Every field of an MTLSPolicy on values: whom it refuses and whom it lets through, from manifest to client's status."""

from typing import Any

import pytest

from holdfast.oauth.client_metadata import anchor_name
from holdfast.policy.model import DnMatching, EffectivePolicy, RevocationMode
from holdfast_operator.reconcile.actions import PutClient
from holdfast_operator.reconcile.observed import Observed
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import Object
from tests.operator.simulated import (
    FOREIGN,
    ROOT,
    condition_of,
    converge,
    issue,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
)

ACCEPTED = ("True", "Accepted")
ROOTS = [{"configMapKeyRef": {"namespace": "platform", "name": "roots"}}]


def settled(client: Object, *policies: Object, **world: Any) -> Object:
    """The status of the client once everything that can be done is done."""
    before = observed(client, policies=policies, policy_config_maps={("platform", "roots"): roots()}, **world)
    after = converge(before)[0]
    if after.client["spec"].get("certificate") and after.certificates:
        after = converge(issue(after))[0]
    status: Object = after.client["status"]
    return status


def roots() -> Object:
    return {"metadata": {}, "data": {"ca.crt": FOREIGN.pem.decode()}}


def policies(**spec: Any) -> list[Object]:
    """One that names nothing and is never to blame, and the one in question."""
    return [mtls_policy("silent"), mtls_policy("strict", **spec)]


def own(subject: Object, authority: Any = FOREIGN) -> tuple[Object, Object]:
    """A client that brings its certificate, under its own CA, and the ConfigMap of that."""
    anchors = [{"configMapKeyRef": {"name": "own"}}]
    client = oauth_client(certificate=None, authentication={"subject": subject, "trustAnchors": anchors})
    return client, {"config_maps": {"own": {"metadata": {}, "data": {"ca.crt": authority.pem.decode()}}}}


ISSUER = {"issuerRef": {"name": "workloads"}}
RSA = {"algorithm": "RSA"}
FIELDS: list[tuple[str, Object, Object, Object, str]] = [
    ("allowedMethods", {"authentication": {"allowedMethods": ["self_signed_tls_client_auth"]}},
     {}, {"certificate": {"issuerRef": {"name": "workloads"}},
          "authentication": {"method": "self_signed_tls_client_auth"}}, "MethodNotAllowed"),
    ("requireCertificateBound", {"tokens": {"requireCertificateBound": True}},
     {"tokens": {"certificateBound": False}}, {}, "BindingRequired"),
    ("maxLifetime", {"tokens": {"maxLifetime": "90s"}},
     {"tokens": {"lifetime": "91s"}}, {"tokens": {"lifetime": "90s"}}, "LifetimeTooLong"),
    ("allowedIssuers", {"certificates": {"allowedIssuers": [{"name": "vault"}]}},
     {}, {"certificate": {"issuerRef": {"name": "vault"}}}, "IssuerNotAllowed"),
    ("allowedIssuers of a kind", {"certificates": {"allowedIssuers": [{"name": "workloads", "kind": "ClusterIssuer"}]}},
     {"certificate": {"issuerRef": {"name": "workloads", "kind": "Issuer"}}}, {}, "IssuerNotAllowed"),
    ("minimumKey.rsaBits", {"certificates": {"minimumKey": {"rsaBits": 3072}}},
     {"certificate": {**ISSUER, "privateKey": {**RSA, "size": 2048}}},
     {"certificate": {**ISSUER, "privateKey": {**RSA, "size": 4096}}}, "KeyTooSmall"),
    ("minimumKey.ecBits", {"certificates": {"minimumKey": {"ecBits": 384}}},
     {"certificate": {**ISSUER, "privateKey": {"algorithm": "ECDSA", "size": 256}}},
     {"certificate": {**ISSUER, "privateKey": {"algorithm": "ECDSA", "size": 384}}}, "KeyTooSmall"),
    ("maxDuration", {"certificates": {"maxDuration": "12h"}},
     {"certificate": {**ISSUER, "duration": "13h"}}, {"certificate": {**ISSUER, "duration": "12h"}}, "DurationTooLong"),
    ("maxDuration against renewBefore", {"certificates": {"maxDuration": "2h"}},
     {"certificate": {**ISSUER, "renewBefore": "3h"}}, {"certificate": {**ISSUER, "renewBefore": "1h"}}, "DurationTooLong"),
    ("allowedGrantTypes", {"grants": {"allowedGrantTypes": []}}, {}, {"grantTypes": []}, "GrantTypeNotAllowed"),
    ("allowedScopes", {"grants": {"allowedScopes": ["orders.*", "health"]}},
     {"scopes": ["orders.read", "billing.read"]}, {"scopes": ["orders.read", "health"]}, "ScopeNotAllowed"),
    ("allowedClientIds", {"grants": {"allowedClientIds": ["legacy-{namespace}-*"]}},
     {"clientId": "legacy-fin-1"}, {"clientId": "legacy-shop-1"}, "ClientIdNotAllowed"),
    ("allowedAudiences", {"grants": {"allowedAudiences": ["https://*.{namespace}.example"]}},
     {"resourceServer": {"audiences": ["https://api.fin.example"]}},
     {"resourceServer": {"audiences": ["https://api.shop.example"]}}, "AudienceNotAllowed"),
    ("allowedSubjects.uris with {serviceAccount}",
     {"certificates": {"allowedSubjects": {"uris": ["spiffe://cluster.local/ns/{namespace}/sa/{serviceAccount}"]}}},
     {"authentication": {"subject": {"uri": "spiffe://cluster.local/ns/shop/sa/other"}}}, {}, "SubjectNotAllowed"),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "breaks", "keeps", "reason"), [row[1:] for row in FIELDS], ids=[r[0] for r in FIELDS])
def test_a_field_refuses_what_is_outside_of_it_and_names_the_policy(
    policy: Object, breaks: Object, keeps: Object, reason: str
) -> None:
    refused, allowed = (
        settled(oauth_client(**breaks), *policies(**policy)),
        settled(oauth_client(**keeps), *policies(**policy)),
    )

    assert condition_of(refused, "Accepted") == ("False", reason)
    assert message_of(refused, "Accepted").startswith("MTLSPolicy strict: spec.")
    assert condition_of(allowed, "Accepted") == ACCEPTED


SUBJECTS = [
    ("uris", "uri", "https://{namespace}.example/{serviceAccount}", "https://shop.example/orders", "https://shop.example/x"),
    ("uris", "uri", "https://a.example/apps/*", "https://a.example/apps/b", "https://a.example/apps/b/c"),
    ("dnsNames", "dns", "*.{namespace}.svc", "orders.shop.svc", "orders.fin.svc"),
    ("dnsNames", "dns", "{serviceAccount}.{namespace}.svc", "orders.shop.svc", "cart.shop.svc"),
    ("ipAddresses", "ip", "10.1.0.0/16", "10.1.2.3", "10.2.0.1"),
    ("emailAddresses", "email", "*@{namespace}.example", "orders@shop.example", "orders@fin.example"),
    ("distinguishedNames", "dn", "O=Shop,C=DE", "CN=orders,O=Shop,C=DE", "CN=orders,O=Fin,C=DE"),
]


@pytest.mark.parametrize(("member", "kind", "pattern", "inside", "outside"), SUBJECTS, ids=lambda value: value)
def test_allowed_subjects_fill_in_the_namespace_and_the_service_account(
    member: str, kind: str, pattern: str, inside: str, outside: str
) -> None:
    allowing = policies(certificates={"allowedSubjects": {member: [pattern]}})
    (let_in, world), (kept_out, _) = own({kind: inside}), own({kind: outside})

    refused = settled(kept_out, *allowing, **world)

    assert condition_of(settled(let_in, *allowing, **world), "Accepted") == ACCEPTED
    assert condition_of(refused, "Accepted") == ("False", "SubjectNotAllowed")
    assert message_of(refused, "Accepted").startswith(f"MTLSPolicy strict: spec.authentication.subject.{kind}: expected ")


def test_a_kind_of_subject_that_is_not_listed_is_refused_once_any_is() -> None:
    client, world = own({"dns": "orders.shop.svc"})

    status = settled(client, *policies(certificates={"allowedSubjects": {"uris": ["https://a.example/*"]}}), **world)

    assert condition_of(status, "Accepted") == ("False", "SubjectNotAllowed")
    assert "none of this kind" in message_of(status, "Accepted")


def test_trust_anchors_are_pinned_by_certificate_and_not_by_name() -> None:
    pins = policies(certificates={"trustAnchors": ROOTS, "allowedSubjects": {"dnsNames": ["*.partner.example"]}})
    namesake = type(FOREIGN).root("CN=foreign")
    (client, mine), (_, theirs) = own({"dns": "a.partner.example"}), own({"dns": "a.partner.example"}, namesake)

    refused = settled(client, *pins, **theirs)

    assert condition_of(settled(client, *pins, **mine), "Accepted") == ACCEPTED
    assert condition_of(refused, "Accepted") == ("False", "TrustAnchorNotAllowed")
    assert message_of(refused, "Accepted").startswith("MTLSPolicy strict: spec.authentication.trustAnchors")


def test_trust_anchors_of_a_policy_are_judged_for_issued_certificates_too() -> None:
    status = settled(oauth_client(), *policies(certificates={"trustAnchors": ROOTS}))

    assert condition_of(status, "Accepted") == ("False", "TrustAnchorNotAllowed")
    assert anchor_name(ROOT.certificate.der) in message_of(status, "Accepted")


def test_a_resource_that_nobody_owns_is_told_of_where_the_policies_do_not_list_it() -> None:
    client = oauth_client(resources=["https://old.example/a"])
    lists, other = ({"allowedResources": [f"https://{host}.example/*"]} for host in ("old", "new"))

    assert condition_of(settled(client, *policies(grants=lists)), "Accepted") == ACCEPTED
    assert condition_of(settled(client, *policies(grants=other)), "Accepted") == ("True", "ResourceNotAllowed")


def registered_policy(**spec: Any) -> EffectivePolicy:
    """What the server is told to enforce on a client."""
    world = converge(observed(oauth_client(), policies=tuple(policies(**spec))))[0]
    after, _, done = converge(issue(world))
    assert isinstance(after, Observed)
    (put,) = (action for action in done if isinstance(action, PutClient))
    return put.policy


def test_what_is_judged_when_a_certificate_is_presented_goes_to_the_server() -> None:
    policy = registered_policy(
        certificates={
            "requireClientAuthUsage": True,
            "dnMatching": "Exact",
            "revocation": {"mode": "HardFail"},
            "minimumKey": {"rsaBits": 3072, "ecBits": 256},
            "maxDuration": "48h",
        }
    )

    assert (policy.require_client_auth_usage, policy.dn_matching) == (True, DnMatching.EXACT)
    assert (policy.revocation, policy.max_certificate_duration) == (RevocationMode.HARD_FAIL, 172_800)
    assert (policy.min_rsa_bits, policy.min_ec_bits) == (3072, 256)


def test_denied_thumbprints_are_read_as_they_are_written() -> None:
    found = in_force(mtls_policy("stolen", certificates={"deniedThumbprints": ["A" * 43]}))

    assert found.policy is not None
    assert found.policy.denied_thumbprints == {"A" * 43}


def test_the_status_of_a_client_shows_what_its_policies_come_to() -> None:
    strict: Object = {
        "authentication": {"allowedMethods": ["tls_client_auth", "private_key_jwt"]},
        "tokens": {"maxLifetime": "15m"},
        "grants": {"allowedScopes": ["orders.*", "health"], "allowedGrantTypes": ["client_credentials"]},
        "certificates": {
            "allowedIssuers": [{"name": "workloads"}, {"name": "vault"}],
            "allowedSubjects": {"uris": ["spiffe://cluster.local/ns/{namespace}/sa/{serviceAccount}"]},
            "minimumKey": {"ecBits": 256},
            "maxDuration": "48h",
            "revocation": {"mode": "SoftFail"},
            "dnMatching": "Exact",
            "requireClientAuthUsage": True,
        },
    }
    narrower: Object = {
        "authentication": {"allowedMethods": ["tls_client_auth"]},
        "tokens": {"maxLifetime": "5m"},
        "grants": {"allowedScopes": ["orders.read", "billing.*"]},
        "certificates": {"allowedIssuers": [{"name": "workloads"}]},
    }

    status = settled(oauth_client(scopes=["orders.read"]), mtls_policy("a", **strict), mtls_policy("b", **narrower))

    shown = dict(status["effectivePolicy"])
    assert len(shown.pop("hash")) == 64
    assert shown == {
        "names": ["a", "b"],
        "allowedMethods": ["tls_client_auth"],
        "requireCertificateBound": True,
        "maxLifetime": "300s",
        "allowedGrantTypes": ["client_credentials"],
        "allowedScopes": ["orders.read"],
        "allowedIssuers": ["ClusterIssuer/workloads"],
        "allowedSubjects": [{"uris": ["spiffe://cluster.local/ns/shop/sa/orders"]}],
        "minimumKey": {"rsaBits": 2048, "ecBits": 256},
        "maxDuration": "172800s",
        "requireClientAuthUsage": True,
        "dnMatching": "Exact",
        "revocation": "SoftFail",
    }
