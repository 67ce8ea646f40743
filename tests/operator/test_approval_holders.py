"""Whose a subject is under a guarded issuer, where policies let clients of several namespaces claim it."""

from typing import Any

from holdfast.x509.subject import SubjectKind, parse_subject_rule
from holdfast_operator.approval.holders import Holders
from holdfast_operator.reconcile.ports import Object
from tests.operator.simulated import oauth_client

DNS = "orders.example.com"
RULE = parse_subject_rule(SubjectKind.DNS, DNS)


def client(
    namespace: str, *, dns: str = DNS, made: int = 1, generation: int = 1, registered: bool = False, **certificate: Any
) -> Object:
    status = {
        "observedGeneration": 1,
        "registration": {"revision": 1},
        "conditions": [{"type": "Registered", "status": "True"}],
    }
    return oauth_client(
        metadata={"namespace": namespace, "creationTimestamp": f"2026-01-0{made}T00:00:00Z", "generation": generation},
        status=status if registered else None,
        certificate={"issuerRef": {"name": "workloads", **certificate}},
        authentication={"subject": {"dns": dns}},
    )


def rival(holders: Holders, mine: Object) -> str | None:
    """The namespace of the first who comes before `mine`."""
    found = holders.before(mine, "workloads", RULE)
    return found[0].namespace if found else None


def holders(*clients: Object) -> Holders:
    found = Holders({"workloads"})
    for obj in clients:
        found.observe(obj)
    return found


def test_the_older_of_two_has_it_whoever_was_seen_first() -> None:
    old, young = client("a", made=1), client("b", made=2)

    for found in (holders(old, young), holders(young, old)):
        assert (rival(found, old), rival(found, young)) == (None, "a")


def test_who_is_registered_has_it_even_from_an_older_one() -> None:
    old, registered = client("a", made=1), client("b", made=2, registered=True)

    assert rival(holders(old, registered), old) == "b"


def test_a_registered_client_keeps_it_while_another_change_of_it_is_worked_on() -> None:
    old, registered = client("a", made=1), client("b", made=2, registered=True)
    found = holders(registered, client("b", made=2, generation=2, registered=True), old)

    assert rival(found, old) == "b"


def test_a_registered_client_that_takes_up_anothers_subject_does_not_have_it() -> None:
    victim, thief = client("a", made=2, registered=True), client("b", made=1, dns="own.example.com", registered=True)
    changed = client("b", made=1, generation=2, registered=True)
    found = holders(victim, thief, changed)

    assert (rival(found, changed), rival(found, victim)) == ("a", None)


def test_it_is_free_again_when_its_client_is_gone_or_names_another() -> None:
    old, young = client("a", made=1), client("b", made=2)
    gone, changed = holders(old, young), holders(old, young)
    gone.observe(old, deleted=True)
    changed.observe(client("a", dns="other.example.com"))

    assert (rival(gone, young), rival(changed, young)) == (None, None)


def test_who_lost_the_registration_has_it_no_longer() -> None:
    old, registered = client("a", made=1), client("b", made=2, registered=True)
    found = holders(old, registered, client("b", made=2))

    assert (rival(found, old), rival(found, client("b", made=2))) == (None, "a")


def test_all_who_come_before_are_told_in_their_order() -> None:
    first, second, third = client("b", made=1), client("c", made=2), client("a", made=3)
    found = holders(third, second, first)

    assert [key.namespace for key in found.before(third, "workloads", RULE)] == ["b", "c"]


def test_a_listing_does_not_take_back_what_events_have_shown_since_it_began() -> None:
    old, young, other = client("a", made=1), client("b", made=2), client("c", made=3)
    found = holders()
    found.begin_listing()
    found.observe(old, deleted=True)
    found.take_in([old, young])

    assert rival(found, other) == "b"


def test_a_client_of_another_issuer_is_no_rival() -> None:
    """It is known under anchors of its own: anybody could block a name by writing it down."""
    mine = client("b", made=2)

    assert rival(holders(client("a", name="team"), client("c", kind="Issuer"), mine), mine) is None


def test_what_cannot_be_read_claims_nothing() -> None:
    mine = client("b", made=2)
    broken = {**client("a"), "spec": {"authentication": {"subject": 7}, "certificate": []}}

    assert rival(holders(broken, mine), mine) is None
