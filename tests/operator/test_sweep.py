"""The whole registry against the objects, by what a listing shows."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.oauth.client_metadata import DeletionPolicy, Owner
from holdfast.registry.records import ClientSummary
from holdfast_operator.reconcile.actions import FINALIZER
from holdfast_operator.reconcile.policies import effective_policy, in_force
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from holdfast_operator.reconcile.sweep import Comparison, Objects, compare
from tests.core.x509.authority import NOW
from tests.operator.simulated import mtls_policy, oauth_client

SETTINGS = ReconcileSettings()
ORDERS = Key(Kind.OAUTH_CLIENT, "shop", "orders")
NO_POLICY = effective_policy((), {}, {}, SETTINGS).hash


def record(**changes: Any) -> ClientSummary:
    owner = Owner(namespace="shop", name="orders", uid="uid-1", generation=1, service_account="orders")
    found = ClientSummary(
        client_id="shop.orders", owner=owner, digest="d1", policy=NO_POLICY, revision=1, last_token_at=None
    )
    return replace(found, **changes)


def compared(*registered: ClientSummary, clients: list[Object], **others: Any) -> Comparison:
    values: dict[str, Any] = {"policies": (), "namespaces": {}, "digests": {ORDERS: "d1"}}
    return compare(registered, Objects(clients=clients, **(values | others)), SETTINGS)


def test_what_agrees_needs_nothing() -> None:
    assert compared(record(), clients=[oauth_client()]) == Comparison(orphans=(), outdated=(), look_at=())


def test_a_record_without_an_object_is_an_orphan() -> None:
    assert compared(record(), clients=[]).orphans == (record(),)


def test_a_record_of_an_earlier_object_of_the_same_name_is_an_orphan() -> None:
    assert compared(record(), clients=[oauth_client(metadata={"uid": "uid-2"})]).orphans == (record(),)


def test_a_record_of_an_object_in_deletion_is_an_orphan_and_the_object_is_looked_at() -> None:
    found = compared(record(), clients=[oauth_client(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})])

    assert (found.orphans, found.look_at) == ((record(),), (ORDERS,))


def test_a_record_without_an_object_that_was_to_be_let_go_is_released() -> None:
    kept = record(deletion_policy=DeletionPolicy.ORPHAN)

    found = compared(kept, clients=[])

    assert (found.orphans, found.released) == ((), (kept,))


def test_what_nobody_owns_is_left_as_it_is() -> None:
    left = record(owner=replace(record().owner, uid=""))

    assert compared(left, clients=[]) == Comparison(orphans=(), outdated=(), look_at=())
    assert compared(left, clients=[oauth_client()]) == Comparison(orphans=(), outdated=(), look_at=())


@pytest.mark.parametrize(("registered", "asked", "released"), [
    (DeletionPolicy.DELETE, "Orphan", True),
    (DeletionPolicy.ORPHAN, "Delete", False),
])  # fmt: skip
def test_an_object_in_deletion_has_the_last_word(registered: DeletionPolicy, asked: str, released: bool) -> None:
    going = oauth_client(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}, deletionPolicy=asked)

    found = compared(record(deletion_policy=registered), clients=[going])

    assert (bool(found.released), bool(found.orphans)) == (released, not released)


def test_a_second_record_of_one_object_is_an_orphan() -> None:
    second = record(client_id="shop.former")

    assert compared(record(), second, clients=[oauth_client()]).orphans == (second,)


def test_an_object_that_was_edited_is_outdated() -> None:
    assert compared(record(), clients=[oauth_client(metadata={"generation": 2})]).outdated == (ORDERS,)


def test_a_client_whose_policies_changed_is_outdated() -> None:
    policies = (in_force(mtls_policy("baseline", namespaceSelector={"matchLabels": {"team": "shop"}})),)
    here = {"shop": {"team": "shop"}}

    assert compared(record(), clients=[oauth_client()], policies=policies).outdated == ()
    assert compared(record(), clients=[oauth_client()], policies=policies, namespaces=here).outdated == (ORDERS,)


def test_a_record_that_somebody_changed_is_looked_at() -> None:
    assert compared(record(digest="d2"), clients=[oauth_client()]).look_at == (ORDERS,)


def test_a_client_whose_record_is_lost_is_written_before_the_confirmation_if_it_ever_had_one() -> None:
    held = oauth_client(metadata={"finalizers": [FINALIZER]})

    assert compared(clients=[held]).outdated == (ORDERS,)
    assert compared(clients=[oauth_client()]) == compared(clients=[])


def test_news_of_tokens_is_looked_at_once_a_day() -> None:
    shown = oauth_client(status={"lastTokenTime": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")})
    same_day, next_day = (record(last_token_at=NOW + timedelta(hours=h)) for h in (23, 25))

    assert compared(same_day, clients=[oauth_client()]).look_at == (ORDERS,)
    assert compared(same_day, clients=[shown]).look_at == ()
    assert compared(next_day, clients=[shown]).look_at == (ORDERS,)


def test_the_oldest_object_is_written_first_so_that_it_claims_first() -> None:
    def held(name: str, year: int) -> Object:
        created = f"{year}-01-01T00:00:00Z"
        return oauth_client(metadata={"name": name, "uid": name, "creationTimestamp": created, "finalizers": [FINALIZER]})

    found = compared(clients=[held("young", 2026), held("old", 2024), held("middle", 2025)])

    assert [key.name for key in found.outdated] == ["old", "middle", "young"]
