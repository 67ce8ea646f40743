"""The same request again gets what it got, until anything that the decision was made from has changed: over one connection,
so that nothing but the server's own memory is in play."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from holdfast.oauth.client_metadata import AllowedRequester, ResourceServer
from holdfast_authserver.endpoints.repeats import Repeats
from tests.authserver.running import POLICY, MovingClock, RunningServer, client, running, token_form
from tests.core.x509.authority import Issued

API = "https://billing.fin.svc"


@asynccontextmanager
async def asking(
    folder: Path, clock: MovingClock, **settings: Any
) -> AsyncIterator[tuple[RunningServer, Issued, Callable[..., Awaitable[httpx.Response]]]]:
    """A server with one client that has asked twice, and its connection."""
    async with running(folder, clock=clock, **settings) as server:
        await server.put(client(anchors=[server.ca], resources=(API,)))
        api = ResourceServer(
            audiences=(API,), allow_from=(AllowedRequester(namespace="shop", client="orders", scopes=("orders.read",)),)
        )
        await server.put(client("fin.billing", anchors=[server.ca], resource_server=api))
        certificate = server.certificate()
        async with server.http(certificate) as http:

            async def ask(**headers: str) -> httpx.Response:
                return await http.post(server.token_endpoint, data=token_form(), headers=headers)

            first, second = await ask(), await ask()
            assert (first.status_code, second.status_code) == (200, 200)
            assert claims(first)["jti"] != claims(second)["jti"]
            yield server, certificate, ask


def claims(response: httpx.Response) -> dict[str, object]:
    found: dict[str, object] = jwt.decode(response.json()["access_token"], options={"verify_signature": False})
    return found


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


async def test_the_second_one_is_not_decided_again(
    tmp_path: Path, clock: MovingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else none of the tests here would say anything."""
    found: list[bool] = []
    find = Repeats.find

    def watched(self: Repeats, *args: object) -> object:
        found.append((known := find(self, *args)) is not None)  # type: ignore[arg-type]
        return known

    monkeypatch.setattr(Repeats, "find", watched)
    async with asking(tmp_path, clock) as (_, _, ask):
        await ask()
    assert found == [False, True, True]


async def test_a_client_that_is_suspended_meanwhile_is_refused(tmp_path: Path, clock: MovingClock) -> None:
    async with asking(tmp_path, clock) as (server, _, ask):
        await server.put(client(anchors=[server.ca], resources=(API,), suspended=True))
        assert (await ask()).status_code == 401


async def test_a_certificate_that_is_denied_meanwhile_is_refused(tmp_path: Path, clock: MovingClock) -> None:
    async with asking(tmp_path, clock) as (server, certificate, ask):
        await server.registry.put_denied_thumbprints(frozenset({certificate.certificate.x5t_s256}), term=server.term)
        assert (await ask()).status_code == 401


async def test_an_api_that_takes_the_client_no_more_is_obeyed(tmp_path: Path, clock: MovingClock) -> None:
    async with asking(tmp_path, clock) as (server, _, ask):
        nobody = ResourceServer(audiences=(API,), allow_from=())
        await server.put(client("fin.billing", anchors=[server.ca], resource_server=nobody))
        refused = await ask()
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")


async def test_a_policy_that_becomes_stricter_rules_the_next_token(tmp_path: Path, clock: MovingClock) -> None:
    async with asking(tmp_path, clock) as (server, _, ask):
        await server.put(client(anchors=[server.ca], resources=(API,)), replace(POLICY, max_lifetime=60))
        assert (await ask()).json()["expires_in"] == 60


async def test_the_end_of_the_certificate_is_the_end_of_it(tmp_path: Path, clock: MovingClock) -> None:
    """And the last token before lives no longer than the certificate (M-75)."""
    async with asking(tmp_path, clock) as (_, certificate, ask):
        clock.now = certificate.certificate.not_after.replace(microsecond=0)
        clock.move(seconds=-30)
        assert (await ask()).json()["expires_in"] == 30
        clock.move(seconds=31)
        assert (await ask()).status_code == 401


async def test_a_repeat_that_fails_has_its_line_each_time_as_of_whoever_proved_who_it_is(
    tmp_path: Path, clock: MovingClock
) -> None:
    async with asking(tmp_path, clock, audit_refusals_per_minute=1) as (server, certificate, ask):
        clock.now = certificate.certificate.not_after.replace(microsecond=0)
        refused = [(await ask()).headers["holdfast-decision"] for _ in range(3)]
    lines = [json.loads(line) for line in server.audit_log.read_text().splitlines()]

    told = [line for line in lines if line["event"] == "token.refused"]
    assert [line["decision"] for line in told] == refused
    assert {(line["reason"], line["client_id"]) for line in told} == {("certificate_expired", "shop.orders")}


async def test_a_clock_that_is_set_back_before_the_certificate_is_noticed(tmp_path: Path, clock: MovingClock) -> None:
    async with asking(tmp_path, clock) as (_, _, ask):
        clock.move(hours=-48)
        assert (await ask()).status_code == 401


async def test_another_certificate_proves_nothing_by_the_same_form(tmp_path: Path, clock: MovingClock) -> None:
    async with asking(tmp_path, clock) as (server, _, _):
        stranger = server.certificate("shop.cart")
        assert (await server.token(stranger)).status_code == 401
        async with server.http() as http:
            assert (await http.post(server.token_endpoint, data=token_form())).status_code == 401


async def test_a_second_method_beside_it_is_seen(tmp_path: Path, clock: MovingClock) -> None:
    """M-08."""
    async with asking(tmp_path, clock) as (_, _, ask):
        basic = base64.b64encode(b"shop.orders:secret").decode()
        assert (await ask(authorization=f"Basic {basic}")).status_code == 400


async def test_a_client_that_is_deleted_meanwhile_is_refused(tmp_path: Path, clock: MovingClock) -> None:
    async with asking(tmp_path, clock) as (server, _, ask):
        await server.registry.delete_client("shop.orders", uid="uid-shop.orders", term=server.term)
        assert (await ask()).status_code == 401
