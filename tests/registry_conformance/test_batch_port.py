"""What every registry does with many clients at once: as one by one, in one transaction, each with its own verdict."""

import pytest

from holdfast.registry.port import (
    MAX_BATCH,
    RefusalReason,
    RegistrationRefused,
    Registry,
    RegistryError,
    StaleGeneration,
    StaleTerm,
)
from holdfast.registry.records import StoredClient
from tests.registry_conformance.backends import MovableClock
from tests.registry_conformance.registrations import a_client, an_api


def _reasons(verdicts: tuple[StoredClient | RegistryError, ...]) -> list[RefusalReason | None]:
    return [v.reason if isinstance(v, RegistrationRefused) else None for v in verdicts]


async def test_a_batch_registers_each_as_if_it_came_alone(registry: Registry, term: int, clock: MovableClock) -> None:
    clients = [an_api(name="a", token_lifetime=60), a_client(name="b", scopes=()), an_api("fin", "c")]

    verdicts = await registry.put_clients(clients, term=term)

    assert [v.metadata for v in verdicts if isinstance(v, StoredClient)] == clients
    assert list(verdicts) == [await registry.get_client(c.client_id) for c in clients]


async def test_each_of_a_batch_has_a_revision_of_its_own(registry: Registry, term: int) -> None:
    verdicts = await registry.put_clients([a_client(name=f"c{i}") for i in range(5)], term=term)
    revisions = [v.revision for v in verdicts if isinstance(v, StoredClient)]

    assert len(set(revisions)) == 5
    assert (await registry.describe()).revision == max(revisions)


async def test_one_that_is_refused_keeps_no_other_from_being_registered(registry: Registry, term: int) -> None:
    good, nobody = a_client(name="good"), a_client(name="nobody", policy="0" * 64)
    bad = a_client(name="bad", token_lifetime=0)

    verdicts = await registry.put_clients([bad, good, nobody], term=term)

    assert _reasons(verdicts) == [RefusalReason.INVALID_CLIENT_METADATA, None, RefusalReason.UNKNOWN_POLICY]
    assert [c.client_id for c in await registry.list_clients()] == [good.client_id]


async def test_a_refusal_in_a_batch_lists_its_problems(registry: Registry, term: int) -> None:
    (refused,) = await registry.put_clients([a_client(token_lifetime=0)], term=term)

    assert isinstance(refused, RegistrationRefused)
    assert [problem.field for problem in refused.problems] == ["holdfast.token_lifetime"]


async def test_of_two_in_a_batch_that_want_one_audience_the_first_has_it(registry: Registry, term: int) -> None:
    owned = "https://both.shop.svc"

    verdicts = await registry.put_clients([an_api("shop", "first", owned), an_api("shop", "second", owned)], term=term)

    assert _reasons(verdicts) == [None, RefusalReason.AUDIENCE_TAKEN]
    owner = await registry.audience_owner(owned)
    assert owner is not None
    assert owner.client_id == "shop.first"


async def test_an_audience_that_one_of_a_batch_gives_up_is_free_for_a_later_one(registry: Registry, term: int) -> None:
    owned = "https://both.shop.svc"
    await registry.put_client(an_api("shop", "first", owned), term=term)

    gives_up, takes = an_api("shop", "first", generation=2), an_api("shop", "second", owned)
    verdicts = await registry.put_clients([gives_up, takes], term=term)

    assert _reasons(verdicts) == [None, None]


async def test_a_batch_of_what_is_known_already_changes_nothing(registry: Registry, term: int, clock: MovableClock) -> None:
    clients = [a_client(name="a"), a_client(name="b")]
    first = await registry.put_clients(clients, term=term)
    before = await registry.describe()

    clock.move(minutes=1)
    again = await registry.put_clients(clients, term=term)

    assert again == first
    assert await registry.describe() == before


async def test_a_batch_may_hold_new_ones_and_others_together(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(name="old"), term=term)
    await registry.delete_client("shop.gone", uid="uid-shop-gone", term=term)

    changed, new = a_client(name="old", generation=2, suspended=True), a_client(name="new")
    await registry.put_clients([changed, new], term=term)

    assert [c.digest for c in await registry.list_clients()] == [new.digest, changed.digest]


async def test_an_older_generation_in_a_batch_is_refused_alone(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(generation=3), term=term)

    stale, fine = await registry.put_clients([a_client(generation=2, suspended=True), a_client(name="b")], term=term)

    assert isinstance(stale, StaleGeneration)
    assert isinstance(fine, StoredClient)


async def test_a_batch_of_an_earlier_term_is_refused_whole(registry: Registry, term: int) -> None:
    await registry.open_term("operator-1")

    with pytest.raises(StaleTerm, match="is over"):
        await registry.put_clients([a_client()], term=term)
    assert await registry.list_clients() == ()


async def test_an_empty_batch_is_answered_with_nothing(registry: Registry, term: int) -> None:
    assert await registry.put_clients([], term=term) == ()
    assert await registry.get_clients([]) == ()


async def test_a_batch_has_a_bound(registry: Registry, term: int) -> None:
    clients = [a_client(name=f"c{i}") for i in range(MAX_BATCH + 1)]

    with pytest.raises(ValueError, match="at most 200"):
        await registry.put_clients(clients, term=term)
    with pytest.raises(ValueError, match="at most 200"):
        await registry.get_clients([c.client_id for c in clients])
    assert len(await registry.put_clients(clients[1:], term=term)) == MAX_BATCH
    assert await registry.list_clients() != ()


async def test_what_no_database_could_keep_is_refused_alone(registry: Registry, term: int) -> None:
    good = a_client(name="good")

    odd, fine = await registry.put_clients([a_client(name="odd", jwks_uri="https://keys.example/\0"), good], term=term)

    assert isinstance(odd, RegistrationRefused)
    assert isinstance(fine, StoredClient)


async def test_an_older_generation_beside_what_no_database_could_keep_is_refused_alone(
    registry: Registry, term: int
) -> None:
    await registry.put_client(a_client(generation=3), term=term)
    clients = [a_client(client_id="shop.odd\0"), a_client(generation=2), a_client(name="good")]

    odd, stale, fine = await registry.put_clients(clients, term=term)

    assert isinstance(odd, RegistrationRefused)
    assert isinstance(stale, StaleGeneration)
    assert isinstance(fine, StoredClient)


async def test_many_are_read_in_the_order_they_are_asked_for(registry: Registry, term: int) -> None:
    first, second = a_client(name="a"), a_client(name="b")
    await registry.put_clients([first, second], term=term)

    found = await registry.get_clients([second.client_id, "shop.nobody", first.client_id, second.client_id])

    assert [f and f.metadata for f in found] == [second, None, first, second]


async def test_a_deleted_client_is_not_among_many(registry: Registry, term: int) -> None:
    client = a_client()
    await registry.put_client(client, term=term)
    await registry.delete_client(client.client_id, uid=client.owner.uid, term=term)

    assert await registry.get_clients([client.client_id]) == (None,)
