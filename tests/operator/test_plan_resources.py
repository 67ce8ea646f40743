"""What a client's conditions tell of its resources before the token endpoint does, and in the same words."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.oauth.client_metadata import AllowedRequester, ClientMetadata, ResourceServer
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.ports import Object
from tests.operator.simulated import (
    ENDPOINTS,
    condition_of,
    converge,
    message_of,
    mtls_policy,
    oauth_client,
    registered_world,
    types_of,
    with_client,
)
from tests.registry_conformance.registrations import a_client

BILLING, STOCK, PARTNER = "https://billing.fin.svc", "https://stock.shop.svc", "https://api.partner.example"
ALLOWING = mtls_policy("outside", grants={"allowedResources": ["https://*.partner.example"]})
NARROWING = mtls_policy("nothing", grants={"allowedResources": ["https://other.example"]})


def owner(namespace: str, name: str, audience: str, allow: dict[str, tuple[str, ...]] | None = None) -> ClientMetadata:
    """`allow`: scopes by client of the namespace `shop`; None: no `allowFrom`."""
    entries = None if allow is None else tuple(
        AllowedRequester(namespace="shop", client=client, scopes=scopes) for client, scopes in allow.items()
    )  # fmt: skip
    return a_client(namespace, name, resource_server=ResourceServer(audiences=(audience,), allow_from=entries))


def world_of(owners: dict[str, ClientMetadata | None], *policies: Object, **spec: Any) -> Observed:
    """`orders` of `shop`, registered, which asks for tokens for all these audiences."""
    client = oauth_client(**{"scopes": ["read", "write"], "resources": list(owners), **spec})
    registry = RegistrySeen(endpoints=ENDPOINTS, stored=None, owners=owners)
    return registered_world(client, registry=registry, policies=policies)


TOLD: list[tuple[str, dict[str, ClientMetadata | None], tuple[Object, ...], str, tuple[str, ...]]] = [
    ("no resources", {}, (), "Accepted", ()),
    ("nobody owns it", {BILLING: None}, (), "ResourceNotAllowed", (BILLING, "nobody owns", "allowedResources")),
    ("a policy allows it", {PARTNER: None}, (ALLOWING,), "Accepted", ()),
    ("one of two policies does", {PARTNER: None}, (ALLOWING, NARROWING), "ResourceNotAllowed", (PARTNER, "every policy")),
    ("the issuer is everybody's", {ENDPOINTS.issuer: None}, (), "Accepted", ()),
    ("of the own namespace", {STOCK: owner("shop", "stock", STOCK)}, (), "Accepted", ()),
    ("of another namespace", {BILLING: owner("fin", "billing", BILLING)}, (), "ResourceNotAllowed",
     (BILLING, "fin/billing", "shop/orders", "allowFrom")),
    ("not named", {BILLING: owner("fin", "billing", BILLING, {"cart": ("read",)})}, (), "ResourceNotAllowed",
     (BILLING, "fin/billing", "shop/orders", "allowFrom")),
    ("named", {BILLING: owner("fin", "billing", BILLING, {"orders": ("read", "write")})}, (), "Accepted", ()),
    ("named without its scopes", {BILLING: owner("fin", "billing", BILLING, {"orders": ("x",)})}, (), "ScopeNotAllowed",
     (BILLING, "fin/billing", "shop/orders", "read, write", "allowFrom")),
    ("a scope that nobody grants", {BILLING: owner("fin", "billing", BILLING, {"*": ("read",)})}, (), "ScopeNotAllowed",
     ("write", "allowFrom")),
    ("each API grants its own", {BILLING: owner("fin", "billing", BILLING, {"*": ("read",)}),
                                 STOCK: owner("shop", "stock", STOCK, {"*": ("write",)})}, (), "Accepted", ()),
    ("one is refused, one grants a part", {BILLING: None, STOCK: owner("shop", "stock", STOCK, {"*": ("write",)})}, (),
     "ResourceNotAllowed", (BILLING,)),
]  # fmt: skip


@pytest.mark.parametrize(("owners", "policies", "reason", "words"), [t[1:] for t in TOLD], ids=[t[0] for t in TOLD])
def test_a_client_is_told_which_of_its_resources_is_refused_and_who_can_help(
    owners: dict[str, ClientMetadata | None], policies: tuple[Object, ...], reason: str, words: tuple[str, ...]
) -> None:
    status = world_of(owners, *policies).client["status"]

    assert condition_of(status, "Accepted") == ("True", reason)
    assert [w for w in words if w not in message_of(status, "Accepted")] == []


def test_a_refused_resource_leaves_the_client_ready_and_registered() -> None:
    world = world_of({BILLING: None})

    assert condition_of(world.client["status"], "Ready") == ("True", "Ready")
    assert isinstance(world.registry, RegistrySeen)
    assert world.registry.stored is not None
    assert not {"Stalled", "Reconciling"} & types_of(world.client["status"])
    again = plan(world)
    assert (again.actions, again.status, again.events) == ((), None, ())


READY: list[tuple[str, dict[str, ClientMetadata | None], str]] = [
    ("all", {STOCK: owner("shop", "stock", STOCK)}, "the client can get tokens"),
    (
        "one of two",
        {STOCK: owner("shop", "stock", STOCK), BILLING: None},
        f"can get tokens, but not for {BILLING}: Accepted",
    ),
    ("none", {BILLING: None}, "gets no token: each of its resources is refused, Accepted says why"),
    ("a scope", {BILLING: owner("fin", "billing", BILLING, {"*": ("read",)})}, "but not with all of its scopes"),
]


@pytest.mark.parametrize(("owners", "words"), [t[1:] for t in READY], ids=[t[0] for t in READY])
def test_ready_does_not_promise_more_than_the_client_gets(owners: dict[str, ClientMetadata | None], words: str) -> None:
    status = world_of(owners).client["status"]

    assert condition_of(status, "Ready") == ("True", "Ready")
    assert words in message_of(status, "Ready")


def test_ready_promises_no_tokens_to_an_api_that_never_asks_for_any() -> None:
    status = world_of({}, grantTypes=[]).client["status"]

    assert message_of(status, "Ready") == "the client is registered; without spec.grantTypes it asks for no tokens"


def test_an_owner_that_appears_clears_the_condition() -> None:
    world = world_of({BILLING: None})
    assert isinstance(world.registry, RegistrySeen)
    api = owner("fin", "billing", BILLING, {"orders": ("read", "write")})

    planned = plan(replace(world, registry=replace(world.registry, owners={BILLING: api})))

    assert condition_of(planned.status, "Accepted") == ("True", "Accepted")


def test_what_is_the_clients_own_is_judged_by_its_spec_before_the_registry_has_it() -> None:
    api = {"audiences": [STOCK]}
    assert condition_of(world_of({STOCK: None}, resourceServer=api).client["status"], "Accepted") == ("True", "Accepted")
    former = replace(owner("shop", "orders", STOCK), owner=replace(a_client().owner, uid="uid-1"))
    assert condition_of(world_of({STOCK: former}).client["status"], "Accepted") == ("True", "ResourceNotAllowed")
    closed = {"audiences": [STOCK], "allowFrom": []}
    status = world_of({STOCK: None}, resourceServer=closed).client["status"]
    assert condition_of(status, "Accepted") == ("True", "ResourceNotAllowed")


def test_while_nobody_can_ask_for_owners_what_was_told_of_this_spec_stays() -> None:
    world = replace(world_of({BILLING: None}), registry=RegistryUnreachable(message="connection refused"))
    told = message_of(world.client["status"], "Accepted")

    planned = plan(world)
    assert condition_of(planned.status, "Accepted") == ("True", "ResourceNotAllowed")
    assert message_of(planned.status, "Accepted") == told

    edited = with_client(world, spec={**world.client["spec"], "resources": []}, metadata={"generation": 2})
    assert condition_of(plan(edited).status, "Accepted") == ("True", "Accepted")


def test_a_policys_no_comes_before_any_reservation() -> None:
    world = world_of({BILLING: None})
    world, _, _ = converge(replace(world, policies=(mtls_policy("short", tokens={"maxLifetime": "1m"}),)))
    edited = with_client(world, spec={**world.client["spec"], "tokens": {"lifetime": "5m"}}, metadata={"generation": 2})

    assert condition_of(converge(edited)[0].client["status"], "Accepted") == ("False", "LifetimeTooLong")
