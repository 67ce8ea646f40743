"""The registration goes first, then the finalizer; no namespace is held hostage by a registry that is away."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast_operator.reconcile.actions import FINALIZER, DeleteClient, RemoveFinalizer
from holdfast_operator.reconcile.observed import Observed, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from tests.core.x509.authority import NOW
from tests.operator.simulated import observed, registered_world, stored_client, with_client, with_stored

DELETED = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


def deleted(world: Observed) -> Observed:
    return with_client(world, metadata={"deletionTimestamp": DELETED})


def away(seconds: float) -> Observed:
    world = replace(deleted(registered_world()), now=NOW.replace(microsecond=0) + timedelta(seconds=seconds))
    return replace(world, registry=RegistryUnreachable(message="connection refused"))


def test_the_registration_is_removed_before_the_finalizer() -> None:
    assert plan(deleted(registered_world())).actions == (DeleteClient("shop.orders", "uid-1"), RemoveFinalizer())


def test_a_deletion_writes_no_status() -> None:
    assert plan(deleted(registered_world())).status is None


def test_a_client_that_was_never_registered_goes_at_once() -> None:
    world = with_client(observed(), metadata={"finalizers": [FINALIZER]})

    assert plan(deleted(world)).actions == (RemoveFinalizer(),)


def test_an_object_without_our_finalizer_is_left_alone() -> None:
    world = with_client(registered_world(), metadata={"finalizers": ["foreign.test/x"]})

    assert plan(deleted(world)).actions == ()


def test_the_registration_of_another_object_is_left_alone() -> None:
    world = registered_world()
    assert not isinstance(world.registry, RegistryUnreachable)
    assert world.registry.stored is not None
    other = world.registry.stored.metadata
    other = replace(other, owner=replace(other.owner, namespace="fin"))

    assert plan(deleted(with_stored(world, stored_client(other)))).actions == (RemoveFinalizer(),)


@pytest.mark.parametrize(("seconds", "wait"), [(0, 2.0), (5, 2.0), (9, 1.0)])
def test_a_deletion_waits_a_moment_for_a_registry_that_is_away(seconds: float, wait: float) -> None:
    planned = plan(away(seconds))

    assert (planned.actions, planned.requeue_after) == ((), wait)


def test_a_deletion_waits_no_longer_than_its_bound_and_says_so() -> None:
    planned = plan(away(10))

    assert planned.actions == (RemoveFinalizer(),)
    assert [(e.warning, e.reason) for e in planned.events] == [(True, "RegistryUnavailable")]


def test_nothing_is_asked_for_in_a_namespace_that_ends() -> None:
    planned = plan(observed(namespace_ends=True))

    assert (planned.actions, planned.status, planned.events) == ((), None, ())
