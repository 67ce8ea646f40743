"""From any object to the keys that have to look at it, and to no others."""

from typing import Any

import pytest

from holdfast_operator.engine.index import Index
from holdfast_operator.reconcile.ports import Key, Kind, Object
from tests.operator.simulated import mtls_policy, oauth_client

ORDERS = Key(Kind.OAUTH_CLIENT, "shop", "orders")
PARTNER = Key(Kind.OAUTH_CLIENT, "shop", "partner")
CART = Key(Kind.OAUTH_CLIENT, "web", "cart")
BASELINE = Key(Kind.MTLS_POLICY, "", "baseline")


def namespace(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}}


@pytest.fixture
def index() -> Index:
    """Two clients in shop, of which one brings its own certificate, and one in web."""
    found = Index()
    found.observe(Kind.NAMESPACE, namespace("shop", team="shop"))
    found.observe(Kind.NAMESPACE, namespace("web", team="web"))
    found.observe(Kind.OAUTH_CLIENT, oauth_client())
    own = {"trustAnchors": [{"configMapKeyRef": {"name": "partner-ca"}}]}
    metadata = {"name": "partner", "labels": {"tier": "edge"}}
    found.observe(Kind.OAUTH_CLIENT, oauth_client(metadata=metadata, certificate=None, authentication=own))
    issuer = {"issuerRef": {"name": "own", "kind": "Issuer"}}
    found.observe(Kind.OAUTH_CLIENT, oauth_client(metadata={"namespace": "web", "name": "cart"}, certificate=issuer))
    return found


def place(name: str, namespace: str | None = "shop", **members: Any) -> Object:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, **members}


CONCERNS: list[tuple[Kind, Object, set[Key]]] = [
    (Kind.CERTIFICATE, place("orders", spec={"secretName": "x"}), {ORDERS}),
    (Kind.CERTIFICATE, place("other", spec={"secretName": "orders-mtls"}), {ORDERS}),
    (Kind.CERTIFICATE, place("other", spec={"secretName": "y"}), set()),
    (Kind.CERTIFICATE, place("orders", "web", spec={"secretName": "x"}), set()),
    (Kind.CONFIG_MAP, place("partner-ca"), {PARTNER}),
    (Kind.CONFIG_MAP, place("partner-ca", "web"), set()),
    (Kind.CONFIG_MAP, place("kube-root-ca.crt"), set()),
    (Kind.CLUSTER_ISSUER, place("workloads", None), {ORDERS}),
    (Kind.CLUSTER_ISSUER, place("own", None), set()),
    (Kind.ISSUER, place("own", "web"), {CART}),
    (Kind.ISSUER, place("own"), set()),
    (Kind.NAMESPACE, namespace("shop", team="shop"), set()),
    (Kind.NAMESPACE, namespace("shop", team="other"), {ORDERS, PARTNER}),
    (Kind.NAMESPACE, namespace("fresh"), set()),
]


@pytest.mark.parametrize(("kind", "obj", "keys"), CONCERNS)
def test_an_object_concerns_those_who_look_at_it(index: Index, kind: Kind, obj: Object, keys: set[Key]) -> None:
    assert index.observe(kind, obj) == keys


def test_a_request_concerns_the_client_whose_certificate_it_is_for(index: Index) -> None:
    annotations = {"cert-manager.io/certificate-name": "orders"}
    metadata = {"namespace": "shop", "name": "orders-1", "annotations": annotations}
    request = {"metadata": metadata, "status": {"certificate": "LS0t"}}

    assert index.observe(Kind.CERTIFICATE_REQUEST, request) == {ORDERS}


def test_a_policy_concerns_whom_it_matches_and_whom_it_matched(index: Index) -> None:
    shop = {"matchLabels": {"team": "shop"}}

    first = index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", namespaceSelector=shop))
    moved = index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", clientSelector={"matchLabels": {"tier": "edge"}}))
    gone = index.observe(Kind.MTLS_POLICY, mtls_policy("baseline"), deleted=True)

    assert first == {BASELINE, ORDERS, PARTNER}
    assert moved == {BASELINE, ORDERS, PARTNER}
    assert gone == {BASELINE, PARTNER}


def test_a_policy_whose_status_alone_changed_concerns_no_client(index: Index) -> None:
    policy = mtls_policy("baseline", tokens={"maxLifetime": "5m"})
    index.observe(Kind.MTLS_POLICY, policy)

    written = {**policy, "status": {"matchedClients": 3, "lastAccepted": {"spec": policy["spec"]}}}

    assert index.observe(Kind.MTLS_POLICY, written) == {BASELINE}


def test_a_policy_in_its_last_accepted_form_concerns_whom_that_form_matches(index: Index) -> None:
    accepted = {"clientSelector": {"matchLabels": {"tier": "edge"}}}
    narrowed = {"clientSelector": {"matchLabels": {"tier": "none"}}}
    policy = mtls_policy("baseline", status={"lastAccepted": {"spec": accepted}}, **narrowed)

    assert index.observe(Kind.MTLS_POLICY, policy) == {BASELINE, PARTNER}


def test_a_client_concerns_a_policy_when_its_spec_its_certificate_or_its_labels_change(index: Index) -> None:
    index.observe(Kind.MTLS_POLICY, mtls_policy("baseline"))
    denied = {"conditions": [{"type": "Accepted", "status": "False", "reason": "LifetimeTooLong"}]}
    issued = {**denied, "certificate": {"thumbprint": "t", "trustAnchors": ["a"]}}
    edited = oauth_client(metadata={"generation": 2}, status=issued)

    assert index.observe(Kind.OAUTH_CLIENT, oauth_client(status=denied)) == {ORDERS}
    assert index.observe(Kind.OAUTH_CLIENT, oauth_client(status=issued)) == {ORDERS, BASELINE}
    assert index.observe(Kind.OAUTH_CLIENT, edited) == {ORDERS, BASELINE}
    assert index.observe(Kind.OAUTH_CLIENT, edited) == {ORDERS}
    assert index.observe(Kind.OAUTH_CLIENT, edited, deleted=True) == {ORDERS, BASELINE}


def test_a_policy_that_was_accepted_as_it_is_written_concerns_no_client_again(index: Index) -> None:
    first, second = {"tokens": {"maxLifetime": "1m"}}, {"tokens": {"maxLifetime": "2m"}}
    everybody = {ORDERS, PARTNER, CART, BASELINE}
    assert index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", **first)) == everybody

    accepted = mtls_policy("baseline", status={"lastAccepted": {"spec": first}}, **first)
    assert index.observe(Kind.MTLS_POLICY, accepted) == {BASELINE}

    edited = mtls_policy("baseline", status={"lastAccepted": {"spec": first}}, **second)
    assert index.observe(Kind.MTLS_POLICY, edited) == everybody
    assert index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", **second)) == everybody, "what was in force is lost"


def test_a_policy_that_could_not_be_accepted_before_concerns_its_clients_once_it_is(index: Index) -> None:
    written, told = {"tokens": {"maxLifetime": "1m"}}, {"type": "Accepted", "status": "False"}
    before = {"spec": {"tokens": {"maxLifetime": "9m"}}}
    refused = {"conditions": [told], "lastAccepted": before}
    index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", status=refused, **written))

    accepted = {"conditions": [{**told, "status": "True"}], "lastAccepted": {"spec": written}}

    keys = index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", status=accepted, **written))
    assert keys == {ORDERS, PARTNER, CART, BASELINE}


def test_an_audit_concerns_no_client_until_it_is_more_than_that(index: Index) -> None:
    everybody = {ORDERS, PARTNER, CART, BASELINE}

    assert index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", mode="Audit")) == {BASELINE}
    assert index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", mode="Warn")) == everybody
    assert index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", mode="Audit")) == everybody
    assert index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", mode="Audit"), deleted=True) == {BASELINE}


def test_a_policy_that_changes_concerns_those_that_pin_trust_anchors(index: Index) -> None:
    pins = {"certificates": {"trustAnchors": [{"configMapKeyRef": {"namespace": "platform", "name": "roots"}}]}}
    index.observe(Kind.MTLS_POLICY, mtls_policy("pins", **pins))

    nobody = {"clientSelector": {"matchLabels": {"tier": "none"}}}
    keys = index.observe(Kind.MTLS_POLICY, mtls_policy("baseline", **nobody))

    assert keys == {BASELINE, Key(Kind.MTLS_POLICY, "", "pins")}


def test_a_client_that_cannot_be_parsed_is_looked_at_all_the_same(index: Index) -> None:
    odd = oauth_client(certificate=7, authentication=[], scopes="x")

    assert index.observe(Kind.OAUTH_CLIENT, odd) == {ORDERS}


def test_a_listing_tells_of_what_vanished_without_an_event(index: Index) -> None:
    keys = index.replace(Kind.OAUTH_CLIENT, [oauth_client()])

    assert keys == {ORDERS, PARTNER, CART}
    assert index.clients() == {ORDERS}


API = "https://billing.fin.svc"
BILLING = Key(Kind.OAUTH_CLIENT, "fin", "billing")


def billing(*audiences: str, generation: int = 1, observed: int = 1, revision: int | None = None) -> Object:
    """An API; `revision` of its registration, as its status shows it."""
    registration = {} if revision is None else {"registration": {"revision": revision}}
    return oauth_client(
        metadata={"namespace": "fin", "name": "billing", "generation": generation},
        status={"observedGeneration": observed, **registration},
        resourceServer={"audiences": list(audiences)} if audiences else None,
    )


@pytest.fixture
def asking(index: Index) -> Index:
    """As `index`; orders asks for the API, cart for another."""
    index.observe(Kind.OAUTH_CLIENT, oauth_client(resources=[API]))
    cart = oauth_client(metadata={"namespace": "web", "name": "cart"}, resources=["https://other.fin.svc"])
    index.observe(Kind.OAUTH_CLIENT, cart)
    return index


def test_an_api_concerns_those_who_ask_for_it_once_its_registration_has_changed(asking: Index) -> None:
    def seen(**state: Any) -> set[Key]:
        return asking.observe(Kind.OAUTH_CLIENT, billing(API, **state)) - {BILLING}

    assert seen() == set(), "it is not registered yet"
    assert seen(revision=5) == {ORDERS}
    assert seen(revision=5) == set(), "nothing new"
    assert seen(generation=2, revision=5) == set(), "edited, and the registry has the former"
    assert seen(generation=2, observed=2, revision=6) == {ORDERS}
    assert seen(generation=2, observed=2) == {ORDERS}, "withdrawn"


def test_an_api_that_moves_concerns_those_of_its_old_audience_and_of_its_new_one(asking: Index) -> None:
    asking.observe(Kind.OAUTH_CLIENT, billing(API, revision=5))

    other = "https://other.fin.svc"
    assert asking.observe(Kind.OAUTH_CLIENT, billing(other, generation=2, revision=5)) == {BILLING}
    third = billing("https://third.fin.svc", generation=3, observed=2, revision=6)
    assert asking.observe(Kind.OAUTH_CLIENT, third) == {BILLING, ORDERS, CART}
    none = billing(generation=4, observed=4, revision=7)
    assert asking.observe(Kind.OAUTH_CLIENT, none) == {BILLING, ORDERS, CART}, "the registry may have had any of them"
    assert asking.observe(Kind.OAUTH_CLIENT, billing(generation=4, observed=4, revision=8)) == {BILLING}


def test_an_api_that_is_deleted_or_has_vanished_concerns_those_who_ask_for_it(asking: Index) -> None:
    asking.observe(Kind.OAUTH_CLIENT, billing(API, revision=5))
    assert asking.observe(Kind.OAUTH_CLIENT, billing(API, revision=5), deleted=True) == {BILLING, ORDERS}

    asking.observe(Kind.OAUTH_CLIENT, billing(API, revision=9))
    listed = [oauth_client(resources=[API])]
    assert asking.replace(Kind.OAUTH_CLIENT, listed) >= {BILLING, ORDERS}


def test_who_asks_no_longer_is_left_alone(asking: Index) -> None:
    asking.observe(Kind.OAUTH_CLIENT, oauth_client())

    assert asking.requesters() == {CART}
    assert asking.observe(Kind.OAUTH_CLIENT, billing(API, revision=5)) == {BILLING}


CONFIG = Key(Kind.CONFIG_MAP, "shop", "holdfast")
OURS = {"holdfast.dev/config": "server"}


def test_a_namespaces_config_map_is_looked_at_when_its_first_client_comes_and_its_last_one_goes() -> None:
    found, second = Index("holdfast"), oauth_client(metadata={"name": "second"})

    assert CONFIG in found.observe(Kind.OAUTH_CLIENT, oauth_client())
    assert CONFIG not in found.observe(Kind.OAUTH_CLIENT, oauth_client())
    assert CONFIG not in found.observe(Kind.OAUTH_CLIENT, second)
    assert found.config_maps() == {CONFIG}
    assert CONFIG not in found.observe(Kind.OAUTH_CLIENT, oauth_client(), deleted=True)
    assert CONFIG in found.observe(Kind.OAUTH_CLIENT, second, deleted=True)
    assert found.config_maps() == set()


def test_a_change_of_the_config_map_is_looked_at_where_there_are_clients_or_it_is_ours() -> None:
    found = Index("holdfast")
    found.observe(Kind.OAUTH_CLIENT, oauth_client())
    left_behind = {"metadata": {"namespace": "web", "name": "holdfast", "labels": OURS}}

    assert found.observe(Kind.CONFIG_MAP, place("holdfast")) == {CONFIG}
    assert found.observe(Kind.CONFIG_MAP, place("holdfast"), deleted=True) == {CONFIG}
    assert found.observe(Kind.CONFIG_MAP, left_behind) == {Key(Kind.CONFIG_MAP, "web", "holdfast")}
    assert found.observe(Kind.CONFIG_MAP, place("holdfast", "web")) == set()
    assert found.observe(Kind.CONFIG_MAP, place("another")) == set()
