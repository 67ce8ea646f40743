"""What an object leaves behind, and what another may take over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast_operator.reconcile.actions import FINALIZER, DeleteClient, PutClient, ReleaseClient, RemoveFinalizer
from holdfast_operator.reconcile.observed import Observed, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from tests.core.x509.authority import NOW
from tests.operator.simulated import (
    carry_out,
    condition_of,
    converge,
    issue,
    message_of,
    mtls_policy,
    oauth_client,
    observed,
    orphaned,
    registered_world,
    stored_client,
    with_client,
    with_stored,
)

DELETED = {"deletionTimestamp": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"), "finalizers": [FINALIZER]}


def left_by(client: Object, successor: Object) -> Observed:
    """What the successor's first pass sees: the registration of a client that is gone, which was to be let go."""
    world = registered_world(client)
    left = with_stored(world, orphaned(world)).registry
    return replace(world, client=successor, registry=left, certificates=(), requests=())  # the garbage collector was there


def converge_once(world: Observed) -> Observed:
    """With its certificate asked for."""
    return carry_out(world, plan(world).actions[0])


def successor(name: str = "orders", **spec: Any) -> Object:
    return oauth_client(metadata={"name": name, "uid": "uid-2"}, **spec)


@pytest.mark.parametrize(("policy", "end"), [("Delete", DeleteClient), ("Orphan", ReleaseClient)])
def test_the_object_that_goes_says_what_becomes_of_its_registration(policy: str, end: type) -> None:
    world = with_client(registered_world(oauth_client(deletionPolicy=policy)), metadata=DELETED)

    assert plan(world).actions == (end("shop.orders", "uid-1"), RemoveFinalizer())


def test_a_last_word_counts_though_it_was_never_registered() -> None:
    world = registered_world()
    edited = with_client(world, metadata=DELETED, spec={**world.client["spec"], "deletionPolicy": "Orphan"})

    assert plan(edited).actions[0] == ReleaseClient("shop.orders", "uid-1")


@pytest.mark.parametrize(("policy", "end"), [("Delete", DeleteClient), ("Orphan", ReleaseClient)])
def test_what_was_registered_says_it_where_the_object_vanished(policy: str, end: type) -> None:
    world = registered_world(oauth_client(deletionPolicy=policy))
    again = replace(world, client=successor(), certificates=(), requests=())
    again = issue(converge_once(again))

    assert plan(again).actions == (end("shop.orders", "uid-1"),)


def test_the_registration_says_what_is_to_become_of_it() -> None:
    world = registered_world(oauth_client(deletionPolicy="Orphan"))
    assert not isinstance(world.registry, RegistryUnreachable)
    assert world.registry.stored is not None

    assert world.registry.stored.metadata.deletion_policy.value == "Orphan"


def test_a_client_that_may_not_be_goes_whatever_its_deletion_policy_is() -> None:
    world = registered_world(oauth_client(deletionPolicy="Orphan"))
    denied = replace(world, policies=(mtls_policy("p", tokens={"maxLifetime": "1m"}),))
    denied = with_client(denied, spec={**world.client["spec"], "tokens": {"lifetime": "5m"}})

    assert plan(denied).actions[0] == DeleteClient("shop.orders", "uid-1")


@pytest.mark.parametrize("name", ["orders", "successor"])
def test_without_adoption_policy_an_orphans_client_id_is_taken(name: str) -> None:
    world = left_by(oauth_client(), successor(name, clientId="shop.orders"))

    planned = plan(world)

    assert planned.actions == ()
    assert condition_of(planned.status, "Ready") == ("False", "ClientIdTaken")
    assert "spec.adoptionPolicy: IfUnowned" in message_of(planned.status, "Ready")
    assert planned.requeue_after == 30


@pytest.mark.parametrize("name", ["orders", "successor"])
def test_if_unowned_takes_over_an_orphan_of_the_namespace(name: str) -> None:
    taking = successor(name, clientId="shop.orders", adoptionPolicy="IfUnowned", serviceAccountName="orders")
    waiting, _, before = converge(left_by(oauth_client(), taking))
    issued = issue(waiting)
    request = issued.requests[0]["metadata"]
    request["annotations"] |= {"cert-manager.io/certificate-name": name}

    _, _, done = converge(issued)

    assert not [a for a in before if isinstance(a, PutClient)], "until its certificate is there, the orphan goes on"
    puts = [a for a in done if isinstance(a, PutClient)]
    assert [(p.metadata.owner.uid, p.adopt) for p in puts] == [("uid-2", True)]


def test_an_orphan_of_another_namespace_needs_a_policy_that_names_the_id() -> None:
    elsewhere = oauth_client(
        metadata={"namespace": "web", "uid": "uid-2"}, clientId="shop.orders", adoptionPolicy="IfUnowned"
    )
    pattern = mtls_policy("p", grants={"allowedClientIds": ["*"]})
    named = mtls_policy("p", grants={"allowedClientIds": ["shop.orders"]})
    world = left_by(oauth_client(), elsewhere)

    denied, allowed = (plan(replace(world, policies=(p,))) for p in (pattern, named))

    assert condition_of(denied.status, "Accepted") == ("False", "ClientIdTaken")
    assert "allowedClientIds" in message_of(denied.status, "Accepted")
    assert condition_of(allowed.status, "Accepted") == ("True", "Accepted")


def test_a_client_is_not_ready_before_its_tokens_count() -> None:
    """Its id was another object's a moment ago: the server gives it none yet, so that no two holders share a second."""
    world = registered_world()
    assert not isinstance(world.registry, RegistryUnreachable)
    assert world.registry.stored is not None
    later = replace(stored_client(world.registry.stored.metadata), since=NOW + timedelta(seconds=1.5))

    planned = plan(with_stored(world, later))

    assert condition_of(planned.status, "Ready") == ("False", "RegistrationPending")
    assert planned.requeue_after == 1.5
    assert planned.events == ()
    assert plan(replace(with_stored(world, later), now=NOW + timedelta(seconds=2))).status is None


def test_a_client_that_was_never_an_object_of_ours_is_registered_as_ever() -> None:
    _, _, done = converge(observed(oauth_client(adoptionPolicy="IfUnowned")))

    assert not [a for a in done if isinstance(a, PutClient) and a.adopt]
