"""What every registry does with a client whose object is gone: deleted and had back, let go and adopted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.oauth.client_metadata import ClientMetadata, DeletionPolicy
from holdfast.policy.model import EffectivePolicy, Policy
from holdfast.registry.digest import registry_digest
from holdfast.registry.port import RefusalReason, RegistrationRefused, Registry, StaleTerm
from holdfast.registry.records import StoredClient
from tests.registry_conformance.backends import MovableClock
from tests.registry_conformance.registrations import a_client, a_policy, an_api

GRACE = timedelta(hours=24)
GIVEN_AWAY = a_policy(Policy(name="moved", allowed_client_ids=frozenset({"shop.orders"})))
ANY = a_policy(Policy(name="any", allowed_client_ids=frozenset({"*"})))


async def _refused(registry: Registry, client: ClientMetadata, term: int, *, adopt: bool = False) -> str:
    for _ in range(3):  # a policy of no client's use may be forgotten at any moment once the clock has moved
        with pytest.raises(RegistrationRefused) as refused:
            await (registry.adopt_client if adopt else registry.put_client)(client, term=term)
        if refused.value.reason is not RefusalReason.UNKNOWN_POLICY:
            break
        await registry.put_policy(ANY, term=term)
    assert refused.value.reason is RefusalReason.CLIENT_ID_TAKEN
    return str(refused.value)


async def _released(registry: Registry, term: int) -> StoredClient:
    await registry.put_client(a_client(), term=term)
    await registry.release_client("shop.orders", uid="uid-shop-orders", term=term)
    stored = await registry.get_client("shop.orders")
    assert stored is not None
    return stored


async def _elsewhere(registry: Registry, policy: EffectivePolicy, term: int) -> ClientMetadata:
    """A client of another namespace that asks for the id of shop/orders."""
    await registry.put_policy(policy, term=term)
    return a_client("web", client_id="shop.orders", policy=policy.hash)


async def test_what_is_to_become_of_a_client_is_listed(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(name="a"), term=term)
    await registry.put_client(a_client(name="b", deletion_policy=DeletionPolicy.ORPHAN), term=term)

    assert [s.deletion_policy.value for s in await registry.list_clients()] == ["Delete", "Orphan"]


async def test_a_released_client_goes_on_as_nobodys(registry: Registry, term: int, clock: MovableClock) -> None:
    before = await registry.put_client(a_client(), term=term)
    clock.move(minutes=1)
    await registry.release_client("shop.orders", uid="uid-shop-orders", term=term)

    stored = await registry.get_client("shop.orders")
    assert stored is not None
    assert stored.metadata.owner.is_gone
    assert stored.metadata == replace(before.metadata, owner=replace(before.metadata.owner, uid=""))
    assert (stored.since, stored.updated_at) == (before.since, clock.now)
    assert stored.revision > before.revision
    (listed,) = await registry.list_clients()
    assert listed.owner.is_gone
    assert (await registry.describe()).digest == registry_digest([("shop.orders", stored.digest)])


async def test_releasing_what_is_not_there_or_another_objects_changes_nothing(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(), term=term)
    before = await registry.describe()

    await registry.release_client("shop.orders", uid="another", term=term)
    await registry.release_client("shop.nobody", uid="uid-shop-nobody", term=term)

    assert await registry.describe() == before


async def test_a_writer_of_an_earlier_term_neither_releases_nor_adopts(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(), term=term)
    await registry.open_term("operator-1")

    with pytest.raises(StaleTerm):
        await registry.release_client("shop.orders", uid="uid-shop-orders", term=term)
    with pytest.raises(StaleTerm):
        await registry.adopt_client(a_client(uid="second"), term=term)


async def test_an_orphan_keeps_what_it_claims(registry: Registry, term: int) -> None:
    await registry.put_client(an_api(), term=term)
    await registry.release_client("shop.orders", uid="uid-shop-orders", term=term)

    owner = await registry.audience_owner("https://orders.shop.svc")
    assert owner is not None
    assert owner.client_id == "shop.orders"
    with pytest.raises(RegistrationRefused, match="shop/orders"):
        await registry.put_client(an_api("shop", "rival", "https://orders.shop.svc"), term=term)


@pytest.mark.parametrize("name", ["orders", "successor"])
async def test_an_orphan_is_left_alone_by_who_does_not_adopt(registry: Registry, term: int, name: str) -> None:
    left = await _released(registry, term)

    message = await _refused(registry, a_client(name=name, uid="second", client_id="shop.orders"), term)

    assert "adoptionPolicy" in message
    assert await registry.get_client("shop.orders") == left


@pytest.mark.parametrize("name", ["orders", "successor"])
async def test_an_object_of_the_namespace_adopts_an_orphan_and_its_tokens_go_on(
    registry: Registry, term: int, clock: MovableClock, name: str
) -> None:
    left = await _released(registry, term)
    clock.move(minutes=5)

    stored = await registry.adopt_client(a_client(name=name, uid="second", client_id="shop.orders"), term=term)

    assert (stored.metadata.owner.name, stored.metadata.owner.uid) == (name, "second")
    assert stored.since == left.since


async def test_adopting_where_there_is_no_orphan_is_registering(registry: Registry, term: int) -> None:
    stored = await registry.adopt_client(a_client(), term=term)

    assert await registry.adopt_client(a_client(), term=term) == stored
    await _refused(registry, a_client(name="thief", client_id="shop.orders"), term, adopt=True)


async def test_another_namespace_adopts_only_what_a_policy_names_word_for_word(registry: Registry, term: int) -> None:
    await _released(registry, term)

    assert "word for word" in await _refused(registry, await _elsewhere(registry, ANY, term), term, adopt=True)
    stored = await registry.adopt_client(await _elsewhere(registry, GIVEN_AWAY, term), term=term)

    assert stored.metadata.owner.namespace == "web"


async def test_tokens_of_an_orphan_end_when_another_namespace_adopts_it(
    registry: Registry, term: int, clock: MovableClock
) -> None:
    await _released(registry, term)

    stored = await registry.adopt_client(await _elsewhere(registry, GIVEN_AWAY, term), term=term)

    assert stored.since is not None
    assert stored.since.microsecond == 0
    assert stored.since >= clock.now + timedelta(seconds=2)


async def test_a_deleted_client_comes_back_with_its_id(registry: Registry, term: int, clock: MovableClock) -> None:
    await registry.put_client(a_client(), term=term)
    await registry.delete_client("shop.orders", uid="uid-shop-orders", term=term)
    clock.move(hours=23)

    stored = await registry.put_client(a_client(uid="second"), term=term)

    assert stored.metadata.owner.uid == "second"
    assert stored.since == clock.now


@pytest.mark.parametrize("after", [0.0, 0.4, 1.0, 1.9])
async def test_no_token_of_a_former_holder_can_say_a_second_of_the_next(
    registry: Registry, term: int, clock: MovableClock, after: float
) -> None:
    """`iat` has no fractions, and other workers may give tokens out for a second after the deletion."""
    await registry.put_client(a_client(), term=term)
    clock.move(seconds=10)
    ended = clock.now
    await registry.delete_client("shop.orders", uid="uid-shop-orders", term=term)
    clock.move(seconds=after)

    stored = await registry.put_client(a_client(uid="second"), term=term)

    assert stored.since is not None
    assert stored.since.microsecond == 0
    last_token = int((ended + timedelta(seconds=1)).timestamp())
    assert last_token < int(stored.since.timestamp()) <= int(ended.timestamp()) + 3


async def test_an_object_that_takes_over_a_live_registration_of_its_name_ends_its_tokens(
    registry: Registry, term: int, clock: MovableClock
) -> None:
    await registry.put_client(a_client(uid="first"), term=term)
    clock.move(seconds=10)

    stored = await registry.put_client(a_client(uid="second"), term=term)

    assert stored.since is not None
    assert stored.since >= clock.now + timedelta(seconds=2)


async def test_a_deleted_clients_id_is_kept_for_its_namespace_until_the_grace_period_is_over(
    registry: Registry, term: int, clock: MovableClock
) -> None:
    other = await _elsewhere(registry, ANY, term)
    await registry.put_client(a_client(), term=term)
    await registry.delete_client("shop.orders", uid="uid-shop-orders", term=term)
    clock.move(seconds=GRACE.total_seconds() - 1)
    await registry.put_policy(ANY, term=term)

    message = await _refused(registry, other, term)
    clock.move(seconds=1)
    await registry.put_policy(ANY, term=term)  # of no client's use meanwhile, and forgotten
    stored = await registry.put_client(other, term=term)

    assert "namespace shop until" in message
    assert stored.metadata.owner.namespace == "web"


async def test_a_policy_gives_a_deleted_clients_id_away_at_once(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(), term=term)
    await registry.delete_client("shop.orders", uid="uid-shop-orders", term=term)

    stored = await registry.put_client(await _elsewhere(registry, GIVEN_AWAY, term), term=term)

    assert stored.metadata.owner.namespace == "web"


async def test_nobody_registers_an_orphan_directly(registry: Registry, term: int) -> None:
    ownerless = replace(a_client(), owner=replace(a_client().owner, uid=""))

    with pytest.raises(RegistrationRefused) as refused:
        await registry.put_client(ownerless, term=term)

    assert [problem.field for problem in refused.value.problems] == ["holdfast.owner.uid"]
