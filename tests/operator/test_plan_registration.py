"""When a client is registered, replaced, suspended or withdrawn, and what its status says of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.oauth.client_metadata import AllowedRequester, ClientMetadata, Owner, ResourceServer
from holdfast.registry.port import RefusalReason, RegistrationRefused
from holdfast_operator.reconcile.actions import (
    FINALIZER,
    AddFinalizer,
    DeleteClient,
    PutClient,
    RemoveFinalizer,
)
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from tests.core.x509.authority import NOW
from tests.operator.simulated import (
    ROOT,
    carry_out,
    condition_of,
    converge,
    message_of,
    mtls_policy,
    oauth_client,
    registered_world,
    stored_client,
    types_of,
    with_client,
    with_stored,
)


def stored_of(world: Observed) -> ClientMetadata:
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    return world.registry.stored.metadata


def edited(world: Observed, **spec: Any) -> Observed:
    """The same object after an edit."""
    return with_client(world, spec={**world.client["spec"], **spec}, metadata={"generation": 2})


def refused(world: Observed, reason: RefusalReason) -> Observed:
    """The world after the registry has refused what the plan wants to put."""
    put = next(a for a in plan(world).actions if isinstance(a, PutClient))
    assert isinstance(world.registry, RegistrySeen)
    refusal = RegistrationRefused(reason, "shop/other has it")
    return replace(world, registry=replace(world.registry, refusal=refusal, refused=put.metadata.digest))


def test_a_client_is_registered_as_its_manifest_says() -> None:
    client = oauth_client(
        scopes=["orders.read"],
        resources=["https://billing.fin.svc"],
        resourceServer={
            "audiences": ["https://orders.shop.svc"],
            "allowFrom": [{"namespace": "web", "client": "cart", "scopes": ["orders.read"]}],
        },
        tokens={"certificateBound": True, "lifetime": "5m"},
    )

    found = stored_of(registered_world(client))

    assert found.owner == Owner(namespace="shop", name="orders", uid="uid-1", generation=1, service_account="orders")
    assert (found.client_id, found.scopes, found.token_lifetime) == ("shop.orders", ("orders.read",), 300)
    assert found.resources == ("https://billing.fin.svc",)
    assert found.resource_server == ResourceServer(
        audiences=("https://orders.shop.svc",),
        allow_from=(AllowedRequester(namespace="web", client="cart", scopes=("orders.read",)),),
    )
    assert [a.der for a in found.trust_anchors] == [ROOT.certificate.der]
    assert found.subject is not None
    assert found.subject.value == "spiffe://cluster.local/ns/shop/sa/orders"


def test_the_finalizer_comes_with_the_registration_and_never_for_one_that_is_refused() -> None:
    world = with_stored(with_client(registered_world(), metadata={"finalizers": []}), None)

    _, _, done = converge(world)

    assert [type(a) for a in done] == [PutClient, AddFinalizer]
    assert [type(a) for a in plan(world).actions] == [PutClient]


def test_a_client_that_is_not_registered_any_more_and_refused_lets_go_of_its_object() -> None:
    world = with_stored(registered_world(), None)
    assert isinstance(world.registry, RegistrySeen)
    refusal = RegistrationRefused(RefusalReason.AUDIENCE_TAKEN, "fin/billing owns it")
    world = replace(world, registry=replace(world.registry, refusal=refusal))

    assert [type(a) for a in plan(world).actions] == [RemoveFinalizer]


def test_ready_is_true_only_after_the_registry_has_read_back_what_was_written() -> None:
    world = edited(registered_world(), scopes=["more"])

    planned = plan(world)
    assert condition_of(planned.status, "Registered") == ("False", "RegistrationPending")
    assert condition_of(planned.status, "Ready") == ("False", "RegistrationPending")

    planned = plan(carry_out(world, planned.actions[0]))
    assert condition_of(planned.status, "Ready") == ("True", "Ready")


def test_a_ready_client_shows_registration_endpoints_and_no_sign_of_work() -> None:
    status = registered_world().client["status"]

    assert types_of(status) == {"Ready", "Accepted", "CertificateReady", "Registered", "TokenIssued"}
    assert status["registration"] == {"revision": 1, "lastSyncTime": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert status["endpoints"]["tokenEndpoint"] == "https://m.as.test/t"
    assert status["observedGeneration"] == 1
    assert {c["observedGeneration"] for c in status["conditions"]} == {1}


def test_an_edit_that_changes_nothing_for_tokens_writes_no_registration() -> None:
    world = edited(registered_world(), certificate={"issuerRef": {"name": "workloads"}, "duration": "24h"})

    planned = plan(world)

    assert not planned.actions
    assert planned.status is not None
    assert planned.status["observedGeneration"] == 2


def test_suspending_registers_the_suspension_and_is_neither_stalled_nor_work() -> None:
    world, planned, _ = converge(edited(registered_world(), suspend=True))

    assert stored_of(world).suspended
    assert condition_of(world.client["status"], "Ready") == ("True", "Suspended")
    assert not {"Stalled", "Reconciling"} & types_of(world.client["status"])
    assert [(e.warning, e.reason) for e in planned.events] == [(False, "Suspended")]


def test_suspending_takes_effect_while_the_spec_cannot_be_read() -> None:
    broken = edited(registered_world(), suspend=True, authentication={"subject": {"dn": "nonsense"}})

    world, _, _ = converge(broken)

    assert stored_of(world).suspended
    assert condition_of(world.client["status"], "Accepted") == ("False", "InvalidSpec")


def test_suspending_takes_effect_while_the_registry_refuses_the_rest_of_the_edit() -> None:
    world = edited(registered_world(), suspend=True, resourceServer={"audiences": ["https://a.shop.svc"]})

    world, _, done = converge(refused(world, RefusalReason.AUDIENCE_TAKEN))

    assert len(done) == 1
    assert stored_of(world).suspended
    assert stored_of(world).resource_server is None


def test_a_spec_that_cannot_be_read_leaves_the_last_registration_in_force() -> None:
    broken = edited(registered_world(), authentication={"subject": {"dn": "nonsense"}})

    world, _, done = converge(broken)

    assert not done
    assert "generation 1 stays in force" in message_of(world.client["status"], "Registered")
    assert "Stalled" in types_of(world.client["status"])


REFUSALS = [
    (RefusalReason.AUDIENCE_TAKEN, "AudienceTaken"),
    (RefusalReason.SUBJECT_TAKEN, "SubjectTaken"),
    (RefusalReason.CLIENT_ID_TAKEN, "ClientIdTaken"),
    (RefusalReason.CLIENT_ID_NOT_ALLOWED, "ClientIdNotAllowed"),
    (RefusalReason.INVALID_CLIENT_METADATA, "RegistrationRefused"),
]


@pytest.mark.parametrize(("reason", "shown"), REFUSALS)
def test_a_refusal_is_shown_and_the_form_before_the_edit_goes_on(reason: RefusalReason, shown: str) -> None:
    world = refused(edited(registered_world(), scopes=["more"]), reason)

    planned = plan(world)

    assert not planned.actions
    assert condition_of(planned.status, "Accepted") == ("False", shown)
    assert "shop/other has it" in message_of(planned.status, "Ready")
    assert "Stalled" in types_of(planned.status)


def test_a_client_that_collides_with_another_asks_again_without_writing_to_the_cluster() -> None:
    world = refused(edited(registered_world(), scopes=["more"]), RefusalReason.SUBJECT_TAKEN)
    planned = plan(world)
    assert planned.requeue_after == 30.0

    world = with_client(world, status=planned.status)
    assert isinstance(world.registry, RegistrySeen)
    again = plan(replace(world, registry=replace(world.registry, refusal=None, refused="")))

    assert [type(a) for a in again.actions] == [PutClient]


def test_a_client_id_that_another_object_holds_stays_with_it() -> None:
    holder = stored_of(registered_world())
    other = replace(holder, owner=replace(holder.owner, namespace="fin"))
    world = with_stored(with_client(registered_world(), metadata={"finalizers": []}), stored_client(other))

    planned = plan(world)

    assert not planned.actions
    assert condition_of(planned.status, "Accepted") == ("False", "ClientIdTaken")
    assert "fin/orders" in message_of(planned.status, "Accepted")
    assert condition_of(planned.status, "Registered") == ("False", "NotRegistered")


def test_the_registration_of_a_former_object_of_the_same_name_is_removed_first() -> None:
    world = with_client(registered_world(), metadata={"uid": "uid-2", "finalizers": []}, status={})
    live = world.certificates[0]
    live["metadata"]["ownerReferences"][0]["uid"] = "uid-2"

    _, _, done = converge(world)

    assert done[0] == DeleteClient("shop.orders", "uid-1")
    assert [type(a) for a in done] == [DeleteClient, PutClient, AddFinalizer]


def test_a_registry_that_cannot_be_reached_is_said_and_tried_again() -> None:
    world = replace(registered_world(), registry=RegistryUnreachable(message="connection refused", retry_after=3.0))

    planned = plan(world)

    assert (planned.actions, planned.retry, planned.requeue_after) == ((), True, 3.0)
    assert condition_of(planned.status, "Registered") == ("False", "RegistryUnavailable")
    assert "connection refused" in message_of(planned.status, "Registered")
    assert condition_of(planned.status, "Reconciling") == ("True", "RegistryUnavailable")


def test_nothing_is_lost_from_the_status_while_the_registry_cannot_be_reached() -> None:
    before = registered_world()

    planned = plan(replace(before, registry=RegistryUnreachable(message="connection refused")))

    assert planned.status is not None
    kept = ("clientId", "certificate", "registration", "endpoints", "effectivePolicy")
    assert {k: planned.status[k] for k in kept} == {k: before.client["status"][k] for k in kept}


def test_a_registry_that_comes_back_heals_the_status() -> None:
    before = registered_world()
    away = replace(before, registry=RegistryUnreachable(message="connection refused"))
    away = with_client(away, status=plan(away).status)

    world, _, _ = converge(replace(away, registry=before.registry))

    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_a_registry_that_lost_its_store_is_filled_again() -> None:
    world, _, done = converge(with_stored(registered_world(), None))

    assert [type(a) for a in done] == [PutClient]
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


DENIALS: list[tuple[Object, Object, str]] = [
    ({"tokens": {"maxLifetime": "1m"}}, {"tokens": {"lifetime": "5m"}}, "LifetimeTooLong"),
    ({"authentication": {"allowedMethods": ["self_signed_tls_client_auth"]}}, {}, "MethodNotAllowed"),
    ({"certificates": {"allowedSubjects": {"dnsNames": ["*.shop.svc"]}}}, {}, "SubjectNotAllowed"),
    ({"certificates": {"allowedIssuers": [{"name": "other"}]}}, {}, "IssuerNotAllowed"),
    ({}, {"tokens": {"certificateBound": False}}, "BindingRequired"),
    ({}, {"authentication": {"subject": {"dns": "orders.shop.svc"}}}, "SubjectNotAllowed"),
    ({}, {"authentication": {"subject": {"uri": "spiffe://cluster.local/ns/fin/sa/x"}}}, "SubjectNotAllowed"),
    ({}, {"clientId": "fin.orders"}, "ClientIdNotAllowed"),
    ({}, {"resourceServer": {"audiences": ["https://api.example.com"]}}, "AudienceNotAllowed"),
]


@pytest.mark.parametrize(("policy", "spec", "reason"), DENIALS)
def test_a_client_that_policies_deny_is_not_accepted_and_not_registered(policy: Object, spec: Object, reason: str) -> None:
    world = edited(with_client(registered_world(), status={}), **spec)

    ended, _, done = converge(replace(world, policies=(mtls_policy("baseline", **policy),)))

    assert condition_of(ended.client["status"], "Accepted") == ("False", reason)
    assert condition_of(ended.client["status"], "Ready") == ("False", reason)
    assert condition_of(ended.client["status"], "Registered") == ("False", "NotRegistered")
    assert FINALIZER not in ended.client["metadata"]["finalizers"]
    if "clientId" not in spec:
        assert [type(a) for a in done] == [DeleteClient, RemoveFinalizer]


def test_a_denied_client_gets_no_certificate() -> None:
    client = oauth_client(tokens={"certificateBound": False})

    ended, _, done = converge(replace(registered_world(), client=client, certificates=(), registry=empty()))

    assert not done
    assert condition_of(ended.client["status"], "CertificateReady") == ("Unknown", "CertificatePending")


def empty() -> RegistrySeen:
    world = registered_world()
    assert isinstance(world.registry, RegistrySeen)
    return replace(world.registry, stored=None)


def test_a_client_that_is_allowed_again_is_registered_again() -> None:
    policy = mtls_policy("baseline", tokens={"maxLifetime": "1m"})
    denied, _, _ = converge(replace(edited(registered_world(), tokens={"lifetime": "5m"}), policies=(policy,)))

    world, _, done = converge(replace(denied, policies=()))

    assert [type(a) for a in done] == [PutClient, AddFinalizer]
    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")


def test_the_effective_policy_is_shown_and_put_with_the_client() -> None:
    policy = mtls_policy("baseline", tokens={"maxLifetime": "15m"})

    world, _, done = converge(replace(registered_world(), policies=(policy,)))

    (put,) = done
    assert isinstance(put, PutClient)
    assert (put.policy.hash, put.policy.max_lifetime) == (put.metadata.policy, 900)
    assert world.client["status"]["effectivePolicy"] == {
        "names": ["baseline"],
        "hash": put.policy.hash,
        "allowedMethods": ["self_signed_tls_client_auth", "tls_client_auth"],
        "requireCertificateBound": True,
        "maxLifetime": "900s",
    }


def with_token(world: Observed, after: timedelta) -> Observed:
    return with_stored(world, stored_client(stored_of(world), last_token_at=NOW + after))


def test_the_first_token_is_shown() -> None:
    planned = plan(with_token(registered_world(), timedelta(minutes=1)))

    assert planned.status is not None
    assert condition_of(planned.status, "TokenIssued") == ("True", "TokenIssued")
    assert planned.status["lastTokenTime"] == (NOW + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_later_token_of_the_same_day_writes_nothing_and_one_of_the_next_day_does() -> None:
    world, _, _ = converge(with_token(registered_world(), timedelta()))

    assert plan(with_token(world, timedelta(hours=23))).status is None
    assert plan(with_token(world, timedelta(hours=24))).status is not None


def test_a_transition_time_changes_only_with_its_status() -> None:
    world = registered_world()
    later = replace(world, now=NOW + timedelta(hours=1), registry=RegistryUnreachable(message="away"))

    status = plan(later).status

    assert status is not None
    times = {c["type"]: c["lastTransitionTime"] for c in status["conditions"]}
    before = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert times["Accepted"] == before
    assert times["Registered"] != before


def test_becoming_ready_is_told_once_and_the_way_there_is_not() -> None:
    world, planned, _ = converge(replace(registered_world(), client=oauth_client(), certificates=(), registry=empty()))

    assert not planned.events
    assert not plan(world).events
