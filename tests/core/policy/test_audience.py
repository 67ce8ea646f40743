"""For whom a token may be: owned audiences, unowned ones, defaults, and the scopes that are left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.oauth.client_metadata import AllowedRequester, ClientMetadata, ResourceServer
from holdfast.policy.audience import AudienceDecision, decide_audience
from holdfast.policy.decision import DenialReason
from holdfast.policy.model import EffectivePolicy, Policy
from tests.registry_conformance.registrations import BUILT_IN, a_client, a_policy

ISSUER = "https://as.example"
API = "https://orders.shop.svc"


def _api(*allow: AllowedRequester) -> ClientMetadata:
    return a_client("shop", "orders", resource_server=ResourceServer(audiences=(API,), allow_from=allow or None))


def _cart(namespace: str = "web", *scopes: str) -> ClientMetadata:
    return a_client(namespace, "cart", scopes=scopes or ("orders.read", "orders.write"), resources=(API,))


def _ask(
    requester: ClientMetadata,
    *,
    owner: ClientMetadata | None,
    resource: str | None = API,
    scopes: tuple[str, ...] | None = None,
    policy: EffectivePolicy = BUILT_IN,
) -> AudienceDecision:
    return decide_audience(requester, policy, resource=resource, scopes=scopes, owner=owner, issuer=ISSUER)


def _named(client: str = "cart", namespace: str = "web", *scopes: str) -> AllowedRequester:
    return AllowedRequester(namespace=namespace, client=client, scopes=scopes or ("orders.read",))


def test_without_resources_the_audience_is_the_issuer() -> None:
    decided = _ask(a_client(), owner=None, resource=None)

    assert decided.decision.allowed
    assert (decided.audience, decided.scopes) == (ISSUER, ("orders.read",))


def test_the_first_resource_is_the_default() -> None:
    assert _ask(_cart(), owner=_api(_named()), resource=None).audience == API


def test_the_issuer_may_always_be_asked_for() -> None:
    assert _ask(_cart(), owner=None, resource=ISSUER).decision.allowed


def test_a_resource_that_the_client_does_not_name_is_denied() -> None:
    decided = _ask(a_client("web", "cart", resources=("https://x.web.svc",)), owner=_api(_named()))

    assert decided.decision.reason is DenialReason.RESOURCE_NOT_ALLOWED
    assert API in decided.decision.message
    assert "https://x.web.svc" in decided.decision.message
    assert decided.scopes == ()


def test_an_api_without_allow_from_takes_its_own_namespace_only() -> None:
    own, foreign = _ask(_cart("shop"), owner=_api()), _ask(_cart("web"), owner=_api())

    assert own.decision.allowed
    assert own.scopes == ("orders.read", "orders.write")
    assert not foreign.decision.allowed
    assert "web/cart" in foreign.decision.message


@pytest.mark.parametrize(("entry", "allowed"), [
    (_named("cart", "web"), True), (_named("*", "web"), True), (_named("other", "web"), False),
    (_named("cart", "shop"), False), (_named("*", "shop"), False), (_named("cart", "*"), False),
])  # fmt: skip
def test_allow_from_names_clients_or_all_of_a_namespace(entry: AllowedRequester, allowed: bool) -> None:
    assert _ask(_cart(), owner=_api(entry)).decision.allowed is allowed


def test_an_api_with_allow_from_does_not_take_its_own_namespace_by_itself() -> None:
    assert not _ask(_cart("shop"), owner=_api(_named("cart", "web"))).decision.allowed


def test_an_empty_allow_from_takes_nobody() -> None:
    closed = a_client("shop", "orders", resource_server=ResourceServer(audiences=(API,), allow_from=()))

    assert not _ask(_cart("shop"), owner=closed).decision.allowed


def test_scopes_of_all_entries_that_name_the_client_unite() -> None:
    owner = _api(_named("cart", "web", "orders.write"), _named("*", "web", "orders.read"), _named("x", "web", "admin"))

    assert _ask(_cart(), owner=owner).scopes == ("orders.read", "orders.write")


SCOPES = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True).map(tuple)


@given(SCOPES, st.none() | SCOPES, SCOPES)
def test_scopes_are_what_was_asked_for_and_held_and_named(
    held: tuple[str, ...], asked: tuple[str, ...] | None, named: tuple[str, ...]
) -> None:
    requester = a_client("web", "cart", scopes=held, resources=(API,))
    owner = _api(AllowedRequester(namespace="web", client="cart", scopes=named))

    decided = _ask(requester, owner=owner, scopes=asked)

    assert set(decided.scopes) == set(held) & set(named) & (set(held) if asked is None else set(asked))


def test_an_audience_that_nobody_owns_needs_a_policy() -> None:
    outside = a_client("web", "cart", resources=("https://api.partner.example",))
    allowing = a_policy(Policy(name="p", allowed_resources=frozenset({"https://*.partner.example"})))
    stricter = a_policy(
        Policy(name="p", allowed_resources=frozenset({"https://*.partner.example"})),
        Policy(name="q", allowed_resources=frozenset({"https://other.example"})),
    )
    resource = "https://api.partner.example"

    assert _ask(outside, owner=None, resource=resource, policy=allowing).decision.allowed
    for policy in (BUILT_IN, stricter):
        decided = _ask(outside, owner=None, resource=resource, policy=policy)
        assert decided.decision.reason is DenialReason.RESOURCE_NOT_ALLOWED
        assert "nobody owns https://api.partner.example" in decided.decision.message
