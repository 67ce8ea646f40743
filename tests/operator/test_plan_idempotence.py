"""Whatever a client looks like and whatever happened to it: plans end, and a plan carried out leaves nothing to do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast_operator.reconcile.observed import Observed, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from tests.operator.simulated import (
    FOREIGN,
    ROOT,
    config_map,
    converge,
    issue,
    mtls_policy,
    oauth_client,
    observed,
    with_client,
    with_stored,
)

SUBJECTS: list[Object | None] = [
    None,
    {"dns": "orders.shop.svc"},
    {"uri": "spiffe://cluster.local/ns/shop/sa/other"},
    {"uri": "spiffe://cluster.local/ns/fin/sa/other"},
    {"ip": "10.0.0.7"},
    {"email": "a@shop.test"},
    {"dn": "CN=orders,O=Shop"},
    {"dn": "nonsense"},
]
ANCHORS = [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]
POLICIES = [
    mtls_policy("lifetime", tokens={"maxLifetime": "10m"}),
    mtls_policy("subjects", certificates={"allowedSubjects": {"dnsNames": ["*.shop.svc"]}}),
    mtls_policy("issuers", certificates={"allowedIssuers": [{"name": "workloads", "kind": "Issuer"}]}),
    mtls_policy("broken", certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/99"]}}),
    mtls_policy("loose", tokens={"requireCertificateBound": False}),
]
BUNDLES = [None, config_map(), config_map(**{"ca.crt": FOREIGN.pem.decode()}), config_map(**{"ca.crt": "nonsense"})]


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {"authentication": {}}
    if subject := draw(st.sampled_from(SUBJECTS)):
        spec["authentication"]["subject"] = subject
    if draw(st.booleans()):
        spec["authentication"]["trustAnchors"] = ANCHORS
    kinds = [None, "ClusterIssuer", "Issuer"]
    kind = draw(st.sampled_from(kinds))
    spec["certificate"] = None if kind is None else {"issuerRef": {"name": "workloads", "kind": kind}}
    spec["tokens"] = {"certificateBound": draw(st.booleans()), "lifetime": draw(st.sampled_from(["5m", "1h"]))}
    spec["suspend"] = draw(st.booleans())
    spec["clientId"] = draw(st.sampled_from([None, "shop.other", "fin.orders"]))
    return spec


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    return observed(
        oauth_client(**draw(specs())),
        policies=tuple(draw(st.lists(st.sampled_from(POLICIES), unique_by=lambda p: p["metadata"]["name"]))),
        config_maps={"partner-ca": draw(st.sampled_from(BUNDLES))},
        issuer=draw(st.sampled_from([None, {"metadata": {"name": "workloads"}}])),
        shared_keys=draw(st.sampled_from([frozenset(), frozenset({ROOT.certificate.spki_sha256})])),
    )


def issued_now(world: Observed) -> Observed:
    return issue(world) if world.certificates else world


def edited(world: Observed) -> Observed:
    spec = {**world.client["spec"], "suspend": not world.client["spec"].get("suspend")}
    return with_client(world, spec=spec, metadata={"generation": 2})


HAPPENINGS: list[Callable[[Observed], Observed]] = [
    issued_now,
    edited,
    lambda world: replace(world, policies=()),
    lambda world: replace(world, policies=(POLICIES[3],)),
    lambda world: replace(world, config_maps={"partner-ca": None}),
    lambda world: replace(world, requests=()),
    lambda world: replace(world, issuer=None),
    lambda world: with_stored(world, None),
]


def assert_settled(world: Observed) -> None:
    again = plan(world)
    assert (again.actions, again.status, again.events) == ((), None, ())


@given(worlds(), st.lists(st.sampled_from(HAPPENINGS), max_size=5))
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(world: Observed, happenings: list[Any]) -> None:
    world, _, _ = converge(world)
    assert_settled(world)
    for happen in happenings:
        world, _, _ = converge(happen(world))
        assert_settled(world)


@given(worlds())
def test_ready_is_true_exactly_when_a_client_is_registered_and_its_certificate_fits(world: Observed) -> None:
    world, _, _ = converge(world)
    world, _, _ = converge(issued_now(world))

    status = {c["type"]: c["status"] for c in world.client["status"]["conditions"]}
    assert not isinstance(world.registry, RegistryUnreachable)
    registered = world.registry.stored is not None
    assert (status["Ready"] == "True") == (registered and status["CertificateReady"] == "True")


@given(worlds())
def test_the_finalizer_is_there_exactly_while_there_is_a_registration(world: Observed) -> None:
    world, _, _ = converge(world)
    world, _, _ = converge(issued_now(world))

    assert not isinstance(world.registry, RegistryUnreachable)
    assert bool(world.client["metadata"].get("finalizers")) == (world.registry.stored is not None)


@given(worlds())
def test_a_deletion_always_ends_with_the_object_gone_and_nothing_registered(world: Observed) -> None:
    world, _, _ = converge(world)
    world, _, _ = converge(issued_now(world))
    world = with_client(world, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})

    world, _, _ = converge(world)

    assert not isinstance(world.registry, RegistryUnreachable)
    assert world.registry.stored is None
    assert not world.client["metadata"].get("finalizers")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3)))
def test_no_spec_however_odd_makes_a_plan_raise(value: Any) -> None:
    for member in ("certificate", "authentication", "tokens", "scopes", "clientId", "resourceServer", "suspend"):
        status = plan(observed(oauth_client(**{member: value}))).status
        assert status is None or status["conditions"]
