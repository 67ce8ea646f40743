"""What every registry does with clients, terms and policies."""

from dataclasses import replace

import pytest

from holdfast.oauth.client_metadata import Owner, TrustAnchor
from holdfast.policy.model import AllowedSubjects, Policy
from holdfast.registry.digest import registry_digest
from holdfast.registry.port import RefusalReason, RegistrationRefused, Registry, StaleGeneration, StaleTerm
from holdfast.x509.subject import SubjectKind, parse_subject_rule
from tests.registry_conformance.backends import ENDPOINTS, MovableClock
from tests.registry_conformance.registrations import BUILT_IN, a_client, a_policy, an_anchor, an_api


async def _refusal(registry: Registry, client: object, term: int) -> RegistrationRefused:
    with pytest.raises(RegistrationRefused) as refused:
        await registry.put_client(client, term=term)  # type: ignore[arg-type]  # tables hold them as objects
    return refused.value


async def test_a_new_registry_says_who_it_is(registry: Registry) -> None:
    found = await registry.describe()

    assert found.instance
    assert (found.revision, found.term, found.confirmed) == (0, 0, False)
    assert found.endpoints == ENDPOINTS
    assert found.digest == registry_digest([])


async def test_a_client_is_read_back_as_it_was_written(registry: Registry, term: int, clock: MovableClock) -> None:
    client = an_api(token_lifetime=120, scopes=("a", "b"), resources=("https://billing.fin.svc",))

    stored = await registry.put_client(client, term=term)

    assert stored.metadata == client
    assert stored.digest == client.digest
    assert (stored.updated_at, stored.last_token_at) == (clock.now, None)
    assert await registry.get_client(client.client_id) == stored


async def test_the_same_again_changes_nothing(registry: Registry, term: int, clock: MovableClock) -> None:
    first = await registry.put_client(a_client(), term=term)
    before = await registry.describe()

    clock.move(minutes=1)
    await registry.put_policy(BUILT_IN, term=term)
    again = await registry.put_client(a_client(), term=term)

    assert again == first
    assert await registry.describe() == before


async def test_a_newer_generation_without_other_change_makes_no_revision(registry: Registry, term: int) -> None:
    first = await registry.put_client(a_client(generation=1), term=term)

    again = await registry.put_client(a_client(generation=2), term=term)

    assert (again.revision, again.digest) == (first.revision, first.digest)
    assert again.metadata.owner.generation == 2


async def test_a_change_counts_the_revision_and_changes_the_digest(registry: Registry, term: int) -> None:
    first = await registry.put_client(a_client(), term=term)
    before = await registry.describe()

    changed = await registry.put_client(a_client(generation=2, suspended=True), term=term)
    after = await registry.describe()

    assert changed.revision > first.revision
    assert after.revision > before.revision
    assert after.digest != before.digest


async def test_the_digest_is_of_the_clients_alone(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(name="b"), term=term)
    await registry.put_client(a_client(name="a"), term=term)

    listed = await registry.list_clients()

    assert [c.client_id for c in listed] == ["shop.a", "shop.b"]
    assert (await registry.describe()).digest == registry_digest((c.client_id, c.digest) for c in listed)


async def test_the_listing_names_owner_and_policy(registry: Registry, term: int) -> None:
    client = a_client(generation=7)
    stored = await registry.put_client(client, term=term)

    (listed,) = await registry.list_clients()

    assert (listed.owner, listed.policy, listed.digest) == (client.owner, BUILT_IN.hash, client.digest)
    assert listed.revision == stored.revision


async def test_terms_grow(registry: Registry) -> None:
    first, second = await registry.open_term("a"), await registry.open_term("b")

    assert second > first > 0
    assert (await registry.describe()).term == second


async def test_a_writer_of_an_earlier_term_changes_nothing(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(), term=term)
    await registry.open_term("operator-1")
    before = await registry.describe()

    with pytest.raises(StaleTerm, match="is over"):
        await registry.put_client(a_client(generation=2, suspended=True), term=term)
    with pytest.raises(StaleTerm):
        await registry.delete_client("shop.orders", uid="uid-shop-orders", term=term)
    with pytest.raises(StaleTerm):
        await registry.put_policy(a_policy(Policy(name="p", max_lifetime=1)), term=term)
    with pytest.raises(StaleTerm):
        await registry.confirm(term=term)
    assert await registry.describe() == before


async def test_a_term_that_was_never_opened_is_refused(registry: Registry, term: int) -> None:
    with pytest.raises(StaleTerm, match="never opened"):
        await registry.put_client(a_client(), term=term + 1)


async def test_an_older_generation_of_the_same_object_is_refused(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(generation=3), term=term)

    with pytest.raises(StaleGeneration, match="generation 2"):
        await registry.put_client(a_client(generation=2, suspended=True), term=term)


async def test_an_older_generation_is_refused_after_the_deletion_too(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(generation=3), term=term)
    await registry.delete_client("shop.orders", uid="uid-shop-orders", term=term)

    with pytest.raises(StaleGeneration):
        await registry.put_client(a_client(generation=2), term=term)


async def test_a_new_term_may_begin_with_any_generation(registry: Registry, term: int) -> None:
    """A cluster restored from a backup counts from where it was."""
    await registry.put_client(a_client(generation=9), term=term)

    later = await registry.open_term("operator-1")
    stored = await registry.put_client(a_client(generation=2, suspended=True), term=later)

    assert stored.metadata.suspended


async def test_a_deleted_client_is_gone(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(), term=term)

    await registry.delete_client("shop.orders", uid="uid-shop-orders", term=term)

    assert await registry.get_client("shop.orders") is None
    assert await registry.list_clients() == ()
    assert (await registry.describe()).digest == registry_digest([])


async def test_deleting_what_is_not_there_or_another_object_changes_nothing(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(), term=term)
    before = await registry.describe()

    await registry.delete_client("shop.orders", uid="another", term=term)
    await registry.delete_client("shop.nobody", uid="uid-shop-nobody", term=term)

    assert await registry.describe() == before


async def test_a_recreated_object_takes_its_own_client_over(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(uid="first", generation=5), term=term)

    stored = await registry.put_client(a_client(uid="second", generation=1), term=term)

    assert stored.metadata.owner.uid == "second"


async def test_confirming_is_seen(registry: Registry, term: int) -> None:
    await registry.confirm(term=term)

    assert (await registry.describe()).confirmed


async def test_a_client_id_that_another_object_has_is_refused(registry: Registry, term: int) -> None:
    await registry.put_client(a_client(), term=term)
    other = a_client(name="thief", client_id="shop.orders")

    refused = await _refusal(registry, other, term)

    assert refused.reason is RefusalReason.CLIENT_ID_TAKEN
    assert "shop/orders" in str(refused)
    assert "shop/thief" in str(refused)


async def test_a_client_id_of_another_namespace_is_refused(registry: Registry, term: int) -> None:
    refused = await _refusal(registry, a_client("evil", client_id="shop.orders"), term)

    assert refused.reason is RefusalReason.CLIENT_ID_NOT_ALLOWED
    assert "evil." in str(refused)


async def test_a_client_id_that_a_policy_allows_is_taken(registry: Registry, term: int) -> None:
    policy = a_policy(Policy(name="legacy", allowed_client_ids=frozenset({"legacy-*"})))
    await registry.put_policy(policy, term=term)

    stored = await registry.put_client(a_client(client_id="legacy-7", policy=policy.hash), term=term)

    assert stored.metadata.client_id == "legacy-7"


async def test_a_holder_whose_client_id_a_policy_no_longer_allows_is_registered_all_the_same(
    registry: Registry, term: int
) -> None:
    """It is denied at the token endpoint; refusing the write would leave the looser policy in force."""
    policy = a_policy(Policy(name="legacy", allowed_client_ids=frozenset({"legacy-*"})))
    await registry.put_policy(policy, term=term)
    await registry.put_client(a_client(client_id="legacy-7", policy=policy.hash), term=term)

    stored = await registry.put_client(a_client(client_id="legacy-7", generation=2), term=term)

    assert stored.metadata.policy == BUILT_IN.hash


async def test_an_audience_has_one_owner(registry: Registry, term: int) -> None:
    await registry.put_client(an_api("shop", "a", "https://a.shop.svc"), term=term)

    refused = await _refusal(registry, an_api("shop", "b", "https://a.shop.svc"), term)

    assert refused.reason is RefusalReason.AUDIENCE_TAKEN
    assert "https://a.shop.svc" in str(refused)
    assert "shop/a" in str(refused)


async def test_an_audience_that_policy_denies_is_kept_from_nobody(registry: Registry, term: int) -> None:
    """Naming another namespace's audience is denied, so it must not shut the rightful owner out."""
    await registry.put_client(an_api("evil", "squatter", "https://a.shop.svc"), term=term)

    stored = await registry.put_client(an_api("shop", "a", "https://a.shop.svc"), term=term)

    assert stored.metadata.client_id == "shop.a"


async def test_a_deleted_owner_gives_its_audience_free(registry: Registry, term: int) -> None:
    await registry.put_client(an_api("shop", "a", "https://a.shop.svc"), term=term)
    await registry.delete_client("shop.a", uid="uid-shop-a", term=term)

    assert await registry.put_client(an_api("shop", "b", "https://a.shop.svc"), term=term)


async def test_an_audience_tells_its_owner_as_it_is_registered_now(registry: Registry, term: int) -> None:
    audience = "https://a.shop.svc/orders?v=1&w=%20b"
    api = an_api("shop", "a", "https://other.shop.svc", audience)
    assert await registry.audience_owner(audience) is None

    await registry.put_client(api, term=term)
    assert await registry.audience_owner(audience) == api

    await registry.put_client(an_api("shop", "a", "https://other.shop.svc"), term=term)
    assert await registry.audience_owner(audience) is None

    await registry.delete_client("shop.a", uid="uid-shop-a", term=term)
    assert await registry.audience_owner("https://other.shop.svc") is None


async def test_whom_policy_denies_an_audience_does_not_own_it(registry: Registry, term: int) -> None:
    await registry.put_client(an_api("evil", "squatter", "https://a.shop.svc"), term=term)

    assert await registry.audience_owner("https://a.shop.svc") is None


@pytest.mark.parametrize(("kind", "first", "second"), [
    (SubjectKind.DN, "CN=orders,O=Shop", "cn=Orders, o=shop"),
    (SubjectKind.DNS, "orders.example.org", "ORDERS.example.org"),
    (SubjectKind.URI, "https://orders.example.org/x", "https://ORDERS.example.org/x"),
    (SubjectKind.IP, "2001:db8::1", "2001:0db8:0::1"),
    (SubjectKind.EMAIL, "orders@example.org", "orders@EXAMPLE.org"),
])  # fmt: skip
async def test_a_subject_under_one_ca_belongs_to_one_namespace(
    registry: Registry, term: int, kind: SubjectKind, first: str, second: str
) -> None:
    own = (an_anchor("Partner", shared=False),)
    await registry.put_client(a_client(subject=parse_subject_rule(kind, first), trust_anchors=own), term=term)

    refused = await _refusal(registry, a_client("evil", subject=parse_subject_rule(kind, second), trust_anchors=own), term)

    assert refused.reason is RefusalReason.SUBJECT_TAKEN
    assert "shop/orders" in str(refused)


async def test_a_subject_under_another_ca_is_another_rule(registry: Registry, term: int) -> None:
    rule = parse_subject_rule(SubjectKind.DNS, "orders.example.org")
    await registry.put_client(a_client(subject=rule, trust_anchors=(an_anchor("Partner", shared=False),)), term=term)

    other = a_client("web", subject=rule, trust_anchors=(an_anchor("Other", shared=False),))

    assert await registry.put_client(other, term=term)


async def test_clients_of_one_namespace_may_share_a_subject(registry: Registry, term: int) -> None:
    rule = parse_subject_rule(SubjectKind.URI, "spiffe://cluster.local/ns/shop/sa/common")
    await registry.put_client(a_client(name="a", subject=rule), term=term)

    assert await registry.put_client(a_client(name="b", subject=rule), term=term)


async def test_a_subject_that_policy_denies_is_kept_from_nobody(registry: Registry, term: int) -> None:
    rule = parse_subject_rule(SubjectKind.URI, "spiffe://cluster.local/ns/shop/sa/orders")
    await registry.put_client(a_client("evil", subject=rule), term=term)

    assert await registry.put_client(a_client("shop", subject=rule), term=term)


async def test_a_client_that_its_policy_denies_is_registered(registry: Registry, term: int) -> None:
    """The server enforces by refusing tokens; a stricter policy must reach a client that breaks it."""
    strict = a_policy(Policy(name="strict", allowed_subjects=AllowedSubjects(dns_names=("*.example.org",))))
    await registry.put_policy(strict, term=term)

    stored = await registry.put_client(a_client(policy=strict.hash), term=term)

    assert stored.metadata.policy == strict.hash


async def test_a_policy_has_to_be_put_before_its_client(registry: Registry, term: int) -> None:
    unknown = a_policy(Policy(name="unknown", max_lifetime=60))

    refused = await _refusal(registry, a_client(policy=unknown.hash), term)

    assert refused.reason is RefusalReason.UNKNOWN_POLICY


def _owner(**changes: str) -> Owner:
    return replace(a_client().owner, **changes)  # type: ignore[arg-type]  # only texts are changed


@pytest.mark.parametrize(("changes", "field"), [
    ({"scopes": ('say"cheese',)}, "scope"),
    ({"resources": ("https://a.svc/#part",)}, "holdfast.resources[0]"),
    ({"resources": ("relative/path",)}, "holdfast.resources[0]"),
    ({"resources": ("https://a.svc", "https://a.svc")}, "holdfast.resources"),
    ({"token_lifetime": 0}, "holdfast.token_lifetime"),
    ({"token_lifetime": 10_000_000}, "holdfast.token_lifetime"),
    ({"trust_anchors": (TrustAnchor(der=b"no certificate", shared=True),)}, "holdfast.trust_anchors[0]"),
    ({"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method"),
    ({"token_endpoint_auth_method": "self_signed_tls_client_auth"}, "tls_client_auth_*"),
    ({"client_id": "shop.with space"}, "client_id"),
    ({"owner": _owner(namespace="*")}, "holdfast.owner.namespace"),
    ({"owner": _owner(name="a/b")}, "holdfast.owner.name"),
    ({"owner": _owner(service_account="*")}, "holdfast.owner.service_account"),
])  # fmt: skip
async def test_malformed_metadata_is_refused_with_its_field(
    registry: Registry, term: int, changes: dict[str, object], field: str
) -> None:
    refused = await _refusal(registry, replace(a_client(), **changes), term)  # type: ignore[arg-type]  # one table, many types

    assert refused.reason is RefusalReason.INVALID_CLIENT_METADATA
    assert field in [problem.field for problem in refused.problems]


async def test_every_problem_is_named_at_once(registry: Registry, term: int) -> None:
    refused = await _refusal(registry, a_client(scopes=('"',), token_lifetime=0, resources=("x",)), term)

    assert {p.field for p in refused.problems} == {"scope", "holdfast.token_lifetime", "holdfast.resources[0]"}


async def test_a_refused_write_leaves_the_old_form(registry: Registry, term: int) -> None:
    stored = await registry.put_client(a_client(), term=term)

    await _refusal(registry, a_client(generation=2, token_lifetime=0), term)

    assert await registry.get_client("shop.orders") == stored


async def test_an_unknown_client_is_none(registry: Registry) -> None:
    assert await registry.get_client("shop.nobody") is None
    assert await registry.get_client("odd/../id?x=%2F") is None
