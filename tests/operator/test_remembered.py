"""What is believed of the registry without asking it."""

from dataclasses import replace
from datetime import UTC, datetime

from holdfast.registry.records import ClientSummary, StoredClient
from holdfast_operator.converge.remembered import Remembered
from tests.registry_conformance.registrations import a_client

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Moment:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _stored(name: str = "orders", revision: int = 1) -> StoredClient:
    client = a_client(name=name)
    return StoredClient(metadata=client, digest=client.digest, revision=revision, updated_at=_NOW, last_token_at=None)


def _listed(stored: StoredClient) -> ClientSummary:
    client = stored.metadata
    return ClientSummary(
        client_id=client.client_id,
        owner=client.owner,
        digest=stored.digest,
        policy=client.policy,
        revision=stored.revision,
        last_token_at=stored.last_token_at,
    )


def _complete(*known: StoredClient, age: float = 10) -> tuple[Remembered, Moment]:
    moment = Moment()
    remembered = Remembered(age, moment)
    for stored in known:
        remembered.note(stored)
    remembered.compare([_listed(stored) for stored in known])
    remembered.heard()
    remembered.complete()
    return remembered, moment


def test_nothing_is_believed_before_a_listing() -> None:
    remembered = Remembered(10, Moment())
    remembered.note(_stored())
    remembered.heard()

    assert not remembered.current


def test_what_was_listed_is_believed_and_so_is_what_was_not() -> None:
    stored = _stored()
    remembered, _ = _complete(stored)

    assert remembered.current
    assert remembered.get(stored.metadata.client_id) == stored
    assert remembered.get("shop.nobody") is None


def test_it_is_believed_for_a_while_after_the_last_answer() -> None:
    remembered, moment = _complete()
    moment.now += 9.9
    believed = remembered.current
    moment.now += 0.2

    assert (believed, remembered.current) == (True, False)


def test_a_registry_that_did_not_answer_is_not_believed_until_it_is_listed_again() -> None:
    remembered, _ = _complete(_stored())
    remembered.lost()
    remembered.heard()
    after_answer = remembered.current
    remembered.complete()

    assert (after_answer, remembered.current) == (False, True)


def test_another_registry_has_none_of_the_records() -> None:
    stored = _stored()
    remembered, _ = _complete(stored)
    remembered.forget()

    assert not remembered.current
    assert remembered.get(stored.metadata.client_id) is None


def test_only_records_that_a_listing_shows_as_changed_are_read_again() -> None:
    same, changed, gone = _stored("same"), _stored("changed"), _stored("gone")
    remembered, _ = _complete(same, changed, gone)

    unknown = remembered.compare([_listed(same), _listed(replace(changed, revision=2)), _listed(_stored("new"))])

    assert unknown == ["shop.changed", "shop.new"]
    assert remembered.get("shop.same") == same
    assert remembered.get("shop.gone") is None


def test_a_token_since_then_changes_nothing_else_of_a_record() -> None:
    stored = _stored()
    remembered, _ = _complete(stored)

    assert remembered.compare([replace(_listed(stored), last_token_at=_NOW)]) == []
    assert remembered.get(stored.metadata.client_id) == replace(stored, last_token_at=_NOW)


def test_without_an_age_nothing_is_kept() -> None:
    remembered, _ = _complete(_stored(), age=0)

    assert not remembered.current
    assert remembered.get("shop.orders") is None
