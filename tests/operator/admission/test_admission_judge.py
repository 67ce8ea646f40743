"""What is refused, what is warned of, and what passes: the pure judgement, by tables."""

import itertools
from typing import Any

import pytest

from holdfast.api.v1alpha1.conditions import Reason
from holdfast_operator.admission.judge import judge_client, judge_policy
from holdfast_operator.admission.objection import ALL_POLICIES
from holdfast_operator.admission.world import World, world_of
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import NOW
from tests.operator.admission.judged import (
    OTHER,
    PARTNER,
    REGISTERED,
    client,
    partner,
    partner_ca,
    registered,
    world,
)
from tests.operator.simulated import condition_of, config_map, mtls_policy, observed

BILLING = "https://billing.shop.svc"
HELD = "is held by OAuthClient shop/orders"


def test_an_ordinary_client_passes_without_a_word() -> None:
    found = judge_client(client(), world())

    assert (found.denials, found.warnings) == ((), ())


@pytest.mark.parametrize(
    ("asked", "reason", "says"),
    [
        ({"clientId": "fin.orders"}, Reason.CLIENT_ID_NOT_ALLOWED, "expected it to begin with shop. or to be allowed by"),
        (
            {"authentication": {"subject": {"uri": "spiffe://cluster.local/ns/fin/sa/x"}}},
            Reason.SUBJECT_NOT_ALLOWED,
            "expected spiffe://cluster.local/ns/shop/sa/* (a SPIFFE ID of this trust domain belongs to its namespace)",
        ),
        (
            {"authentication": {"subject": {"dns": "orders.example.com"}}},
            Reason.SUBJECT_NOT_ALLOWED,
            "spec.authentication.subject.dns: expected none of this kind",
        ),
        ({"tokens": {"certificateBound": False}}, Reason.BINDING_REQUIRED, "spec.tokens.certificateBound: expected true"),
        (
            {"resourceServer": {"audiences": ["https://api.fin.svc"]}},
            Reason.AUDIENCE_NOT_ALLOWED,
            "expected a host *.shop.svc",
        ),
        (
            {"authentication": {"method": "private_key_jwt", "jwks": {"keys": []}}},
            Reason.INVALID_SPEC,
            "spec.authentication.jwks",
        ),
    ],
)
def test_what_no_policy_allows_is_refused_with_what_was_expected(asked: Object, reason: Reason, says: str) -> None:
    (objection,) = judge_client(client(**asked), world()).objections

    assert objection.reason is reason
    assert says in objection.message


@pytest.mark.parametrize("mode", ["Enforce", "Warn", "Audit"])
def test_a_policy_refuses_warns_or_keeps_silent_as_its_mode_says(mode: str) -> None:
    policies = (mtls_policy("baseline", mode=mode, tokens={"maxLifetime": "15m"}),)

    found = judge_client(client(tokens={"lifetime": "30m"}), world(policies=policies))

    said = "spec.tokens.lifetime: expected at most 900s, found 1800s"
    assert found.denials == ((f"MTLSPolicy baseline: {said}",) if mode == "Enforce" else ())
    assert found.warnings == ((f"MTLSPolicy baseline (Warn): {said}",) if mode == "Warn" else ())


def test_every_policy_that_is_broken_is_named_at_once() -> None:
    policies = (
        mtls_policy("short", tokens={"maxLifetime": "15m"}),
        mtls_policy("few", grants={"allowedScopes": ["orders.*"]}),
        mtls_policy("issuers", certificates={"allowedIssuers": [{"name": "team", "kind": "ClusterIssuer"}]}),
    )

    denials = judge_client(client(tokens={"lifetime": "30m"}, scopes=["pay"]), world(policies=policies)).denials

    assert [d.split(":")[0] for d in denials] == ["MTLSPolicy few", "MTLSPolicy issuers", "MTLSPolicy short"]


def test_a_policy_of_other_namespaces_says_nothing() -> None:
    policy = mtls_policy("b", namespaceSelector={"matchLabels": {"tier": "gold"}}, tokens={"maxLifetime": "15m"})
    asked = client(tokens={"lifetime": "30m"})

    assert judge_client(asked, world(policies=(policy,))).denials == ()
    assert judge_client(asked, world(policies=(policy,), labels={"tier": "gold"})).denials != ()


def test_what_a_policy_allows_beyond_the_defaults_passes() -> None:
    policy = mtls_policy(
        "wide",
        grants={"allowedClientIds": ["fin.*"], "allowedAudiences": ["https://api.fin.svc"]},
        tokens={"requireCertificateBound": False},
    )
    asked = client(
        clientId="fin.orders", resourceServer={"audiences": ["https://api.fin.svc"]}, tokens={"certificateBound": False}
    )

    assert judge_client(asked, world(policies=(policy,))).denials == ()


def test_what_is_refused_by_policies_rests_on_all_of_them_and_on_the_namespace() -> None:
    (objection,) = judge_client(client(clientId="fin.orders"), world()).objections

    assert objection.rests_on == {ALL_POLICIES, Key(Kind.NAMESPACE, "", "shop")}


def test_what_the_object_alone_shows_rests_on_nothing() -> None:
    (objection,) = judge_client(client(authentication={"subject": {"ip": "nowhere"}}), world()).objections

    assert (objection.reason, objection.rests_on) == (Reason.INVALID_SPEC, frozenset())


def test_a_policy_that_was_never_accepted_is_a_warning_since_it_may_be_mended() -> None:
    broken = mtls_policy("broken", certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/33"]}})

    found = judge_client(client(), world(policies=(broken,)))

    assert found.denials == ()
    assert found.warnings == ("MTLSPolicy broken matches this client and was never accepted: mend it first",)


def test_and_does_not_hide_what_is_refused_in_any_case() -> None:
    broken = mtls_policy("broken", certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/33"]}})

    assert len(judge_client(client(clientId="fin.orders"), world(policies=(broken,))).denials) == 1


# What others have.


@pytest.mark.parametrize(
    ("mine", "says"),
    [
        ({"clientId": "shop.orders"}, f"spec.clientId: shop.orders {HELD}: choose another, in a new object"),
        (
            {"resourceServer": {"audiences": [BILLING]}},
            f"spec.resourceServer.audiences: {BILLING} is owned by OAuthClient shop/orders: name another",
        ),
    ],
)
def test_what_a_registered_client_has_is_taken(mine: Object, says: str) -> None:
    held = registered(clientId="shop.orders", resourceServer={"audiences": [BILLING]})

    (objection,) = judge_client(client("second", **mine), world(held)).objections

    assert objection.message.startswith(says)
    assert objection.rests_on == {Key(Kind.OAUTH_CLIENT, "shop", "orders")}


@pytest.mark.parametrize(
    ("status", "metadata"),
    [
        ({}, {}),
        ({**REGISTERED, "observedGeneration": 0}, {}),
        ({**REGISTERED, "conditions": [{"type": "Registered", "status": "False"}]}, {}),
        (REGISTERED, {"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ],
    ids=["not registered yet", "changed since", "registered as it was before", "on its way out"],
)
def test_who_does_not_hold_it_for_certain_is_only_warned_of(status: Object, metadata: Object) -> None:
    other = client(status=status, resourceServer={"audiences": [BILLING]})
    other["metadata"].update(metadata)

    found = judge_client(client("second", clientId="shop.orders", resourceServer={"audiences": [BILLING]}), world(other))

    assert found.denials == ()
    assert [w.split(":")[0] for w in found.warnings] == ["spec.clientId", "spec.resourceServer.audiences"]
    assert "shop/orders asks for" in found.warnings[0]


def test_who_holds_what_it_asks_for_hears_nothing_of_others_who_ask_too() -> None:
    mine = registered(resourceServer={"audiences": [BILLING]})
    rival = client("second", clientId="shop.orders", resourceServer={"audiences": [BILLING]})

    found = judge_client({**mine, "spec": {**mine["spec"], "suspend": True}}, world(mine, rival))

    assert (found.denials, found.warnings) == ((), ())


def test_a_subject_under_the_same_ca_is_its_holders_namespace_alone() -> None:
    held = registered("api", "fin", **partner(dns="api.example.com"))
    config_maps = partner_ca("fin") | partner_ca("shop")

    (objection,) = judge_client(client(**partner(dns="API.example.com")), world(held, config_maps=config_maps)).objections

    assert objection.reason is Reason.SUBJECT_TAKEN
    assert "API.example.com is held by OAuthClient fin/api under the same CA" in objection.message


@pytest.mark.parametrize(
    ("namespace", "ours"),
    [("fin", OTHER), ("shop", PARTNER)],
    ids=["under another CA", "in the same namespace"],
)
def test_the_same_subject_passes_where_the_registry_takes_it(namespace: str, ours: Any) -> None:
    held = registered("api", namespace, **partner(dns="api.example.com"))
    config_maps = partner_ca(namespace) | partner_ca("shop", ours)

    found = judge_client(client(**partner(dns="api.example.com")), world(held, config_maps=config_maps))

    assert (found.denials, found.warnings) == ((), ())


def test_the_same_subject_by_one_clusterissuer_is_taken() -> None:
    policy = mtls_policy("dns", certificates={"allowedSubjects": {"dnsNames": ["*.example.com"]}})
    subject: Object = {"authentication": {"subject": {"dns": "api.example.com"}}}
    held = registered("api", "fin", **subject)

    (objection,) = judge_client(client(**subject), world(held, policies=(policy,))).objections

    assert objection.reason is Reason.SUBJECT_TAKEN


def test_where_the_cas_cannot_be_compared_it_is_a_warning_that_names_nobody() -> None:
    held = registered("api", "fin", **partner(dns="api.example.com"))

    found = judge_client(client(**partner(dns="api.example.com")), world(held, config_maps=partner_ca("shop")))

    assert found.denials == ()
    (warning,) = found.warnings
    assert "a client of another namespace names api.example.com, too" in warning
    assert "fin" not in warning


# Trust anchors, which may still come.


@pytest.mark.parametrize(
    ("config_maps", "says"),
    [
        ({("shop", "partner-ca"): None}, "ConfigMap partner-ca, which does not exist in this namespace: create it"),
        ({("shop", "partner-ca"): config_map(**{"ca.crt": "garbage"})}, "put CA certificates in PEM there, nothing else"),
    ],
    ids=["absent", "garbage"],
)
def test_anchors_that_cannot_be_read_are_a_warning(config_maps: dict[tuple[str, str], Object | None], says: str) -> None:
    found = judge_client(client(**partner(dns="api.example.com")), world(config_maps=config_maps))

    assert found.denials == ()
    assert says in found.warnings[0]


def test_an_anchor_that_a_policy_pins_is_shared_so_that_the_subject_has_to_be_allowed() -> None:
    pinned = {"trustAnchors": [{"configMapKeyRef": {"namespace": "shop", "name": "partner-ca", "key": "ca.crt"}}]}
    policies = (mtls_policy("pins", certificates=pinned),)

    denials = judge_client(
        client(**partner(dns="api.example.com")), world(policies=policies, config_maps=partner_ca("shop"))
    ).denials

    assert len(denials) == 1
    assert "spec.authentication.subject.dns" in denials[0]


def test_an_anchor_that_no_policy_allows_is_a_warning_since_the_configmap_may_change() -> None:
    pinned = {"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "partner-ca", "key": "ca.crt"}}]}
    policies = (mtls_policy("pins", certificates=pinned),)
    config_maps = partner_ca("shop", OTHER) | partner_ca("platform")

    found = judge_client(client(**partner(dns="api.example.com")), world(policies=policies, config_maps=config_maps))

    assert found.denials == ()
    assert any("expected a CA certificate that every policy" in w for w in found.warnings)


# Policies.


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"certificates": {"allowedSubjects": {"ipAddresses": ["10.0.0.0/33"]}}}, Reason.INVALID_PATTERN),
        ({"namespaceSelector": {"matchLabels": {"no label!": "x"}}}, Reason.INVALID_SPEC),
        ({"tokens": {"maxLifetime": "soon"}}, Reason.INVALID_SPEC),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused(spec: Object, reason: Reason) -> None:
    (objection,) = judge_policy(mtls_policy("p", **spec), {}).objections

    assert objection.reason is reason


ROOTS = {"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "partner-ca", "key": "ca.crt"}}]}


def test_a_policy_whose_source_is_not_there_is_refused_before_it_denies_anybody() -> None:
    (objection,) = judge_policy(mtls_policy("p", certificates=ROOTS), {("platform", "partner-ca"): None}).objections

    assert (objection.reason, objection.may_come) == (Reason.TRUST_ANCHOR_NOT_FOUND, True)
    assert "ConfigMap platform/partner-ca, which does not exist: create it" in objection.message


def test_a_policy_whose_source_could_not_be_read_is_warned_of() -> None:
    found = judge_policy(mtls_policy("p", certificates=ROOTS), {})

    assert found.denials == ()
    assert found.warnings == (
        "ConfigMap platform/partner-ca could not be read: whether the policy can be used is not known",
    )


def test_a_policy_with_its_source_passes() -> None:
    assert judge_policy(mtls_policy("p", certificates=ROOTS), partner_ca("platform")).denials == ()


# A folder of manifests, as `holdfast lint` has it.


def test_in_a_folder_two_clients_with_one_id_are_told_of_each_other() -> None:
    documents = [client(clientId="shop.pay"), client("second", clientId="shop.pay")]
    folder = world_of(documents, ReconcileSettings(), NOW)

    told = [judge_client(document, folder).denials for document in documents]

    assert [["shop/second" in d, "shop/orders" in d] for (d,) in told] == [[True, False], [False, True]]


def test_in_a_folder_a_policy_of_it_rules_its_clients() -> None:
    policy = {**mtls_policy("b", tokens={"maxLifetime": "15m"}), "apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy"}

    assert judge_client(client(tokens={"lifetime": "1h"}), world_of([policy], ReconcileSettings(), NOW)).denials != ()


# The promise of the whole: nothing is refused here that would be accepted later.

_CLIENTS: tuple[Object, ...] = tuple(
    client(**spec)
    for spec in (
        {},
        {"clientId": "fin.orders"},
        {"tokens": {"lifetime": "30m"}},
        {"tokens": {"certificateBound": False}},
        {"scopes": ["pay"]},
        {"authentication": {"subject": {"dns": "api.example.com"}}},
        {"authentication": {"subject": {"uri": "spiffe://cluster.local/ns/fin/sa/x"}}},
        {"resourceServer": {"audiences": ["https://api.fin.svc"]}},
        partner(dns="api.example.com"),
        partner(uri="spiffe://cluster.local/ns/shop/sa/orders"),
        {"authentication": {"method": "self_signed_tls_client_auth"}},
        {"authentication": {"method": "private_key_jwt", "jwksUri": "https://keys.example.com/"}},
        {"certificate": {"issuerRef": {"name": "workloads"}, "duration": "72h", "privateKey": {"algorithm": "RSA"}}},
    )
)
_POLICIES: tuple[Object, ...] = (
    mtls_policy("short", tokens={"maxLifetime": "15m"}),
    mtls_policy("wide", tokens={"requireCertificateBound": False}, grants={"allowedClientIds": ["fin.*"]}),
    mtls_policy("dns", certificates={"allowedSubjects": {"dnsNames": ["*.example.com"]}}),
    mtls_policy("keys", certificates={"maxDuration": "48h", "minimumKey": {"rsaBits": 3072}}),
    mtls_policy("warns", mode="Warn", grants={"allowedScopes": []}),
    mtls_policy("broken", certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/33"]}}),
)


@pytest.mark.parametrize("number", range(len(_CLIENTS)))
def test_nothing_is_refused_that_reconcile_accepts(number: int) -> None:
    asked = _CLIENTS[number]
    for policies in itertools.chain.from_iterable(itertools.combinations(_POLICIES, n) for n in range(4)):
        config_maps = partner_ca("shop")
        seen = observed(asked, policies=policies, config_maps={"partner-ca": config_maps["shop", "partner-ca"]})
        accepted = condition_of(plan(seen).status, "Accepted")[0] == "True"
        found = judge_client(asked, world(policies=policies, config_maps=config_maps))

        names = [policy["metadata"]["name"] for policy in policies]
        assert not (accepted and found.denials), (names, found.denials)
        assert accepted or found.denials or found.warnings, (names, "reconcile refuses this without a word before")


def test_a_world_says_of_an_unknown_namespace_what_is_certain() -> None:
    empty: World = world()

    assert empty.labels_of("new") == {"kubernetes.io/metadata.name": "new"}
