"""A client id that goes from one object to another: no token of the former counts again, whatever the second."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.oauth.client_metadata import ClientMetadata, ResourceServer
from holdfast.oauth.deny_list import entry
from holdfast.policy.model import Policy
from holdfast.policy.resolve import resolve
from tests.authserver.endpoints.test_deny_list_endpoint import _read as read_deny_list
from tests.authserver.running import MovingClock, RunningServer, client, running

API = "https://api.shop.svc"


async def _prepared(server: RunningServer) -> str:
    """An API of the namespace, and a token of the first object that has the id."""
    api = ResourceServer(audiences=(API,), allow_from=None)
    await server.put(client("shop.api", anchors=[server.ca], resource_server=api))
    await server.put(client(anchors=[server.ca], resources=(API,)))
    answer = await server.token(server.certificate())
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def _introspected(server: RunningServer, token: str) -> bool:
    answer = await server.introspect(server.certificate("shop.api"), token, "shop.api")
    return bool(answer["active"])


def _of_another_object(server: RunningServer) -> ClientMetadata:
    found = client(anchors=[server.ca], resources=(API,))
    return replace(found, owner=replace(found.owner, uid="another"))


@pytest.mark.parametrize("between", [0.0, 0.4, 0.999])
async def test_an_id_that_is_taken_within_a_second_leaves_no_token_of_the_former_active(
    tmp_path: Path, between: float
) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        former = await _prepared(server)
        await server.registry.delete_client("shop.orders", uid="uid-shop.orders", term=server.term)
        assert not await _introspected(server, former)
        clock.move(seconds=between)

        await server.put(_of_another_object(server))
        early = await server.token(server.certificate())

        assert (early.status_code, early.json()["error"]) == (503, "temporarily_unavailable")
        assert not await _introspected(server, former)
        clock.move(seconds=int(early.headers["Retry-After"]))
        answer = await server.token(server.certificate())
        assert answer.status_code == 200, answer.text
        assert await _introspected(server, answer.json()["access_token"])
        assert not await _introspected(server, former)


async def test_the_deny_list_tells_the_two_apart_by_the_same_second(tmp_path: Path) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        await _prepared(server)
        await server.registry.delete_client("shop.orders", uid="uid-shop.orders", term=server.term)
        while_gone = (await read_deny_list(server)).clients[entry("shop.orders")]
        await server.put(_of_another_object(server))
        taken = (await read_deny_list(server)).clients[entry("shop.orders")]

        assert while_gone == taken
        assert taken is not None
        assert taken > int(clock.now.timestamp()) + 1


async def test_the_audit_log_says_why_the_new_holder_has_to_wait(tmp_path: Path) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        await _prepared(server)
        await server.put(_of_another_object(server))
        refused = await server.token(server.certificate())
        assert refused.status_code == 503

    lines = [json.loads(line) for line in server.audit_log.read_text().splitlines()]
    assert lines[-1]["reason"] == "handed_over"


async def test_tokens_of_a_client_go_on_while_nobody_owns_it_and_when_its_namespace_adopts_it(tmp_path: Path) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        token = await _prepared(server)
        await server.registry.release_client("shop.orders", uid="uid-shop.orders", term=server.term)
        assert await _introspected(server, token)
        assert (await server.token(server.certificate())).status_code == 200

        await server.registry.adopt_client(_of_another_object(server), term=server.term)

        assert await _introspected(server, token)
        assert (await server.token(server.certificate())).status_code == 200


async def test_tokens_end_when_a_client_of_another_namespace_adopts_the_id(tmp_path: Path) -> None:
    clock = MovingClock()
    given = resolve(
        [Policy(name="moved", allowed_client_ids=frozenset({"shop.orders"}))],
        trust_domain="cluster.local",
        cluster_domain="cluster.local",
    )
    async with running(tmp_path, clock=clock) as server:
        token = await _prepared(server)
        await server.registry.release_client("shop.orders", uid="uid-shop.orders", term=server.term)
        await server.registry.put_policy(given, term=server.term)
        moved = replace(client("web.orders", anchors=[server.ca]), client_id="shop.orders", policy=given.hash)

        await server.registry.adopt_client(moved, term=server.term)

        assert not await _introspected(server, token)
        assert (await server.token(server.certificate())).status_code == 401
        early = await server.token(server.certificate("web.orders"))
        clock.move(seconds=int(early.headers["Retry-After"]))
        assert (await server.token(server.certificate("web.orders"))).status_code == 200
