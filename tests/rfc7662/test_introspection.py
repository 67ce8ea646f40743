"""RFC 7662: who may ask, about which tokens, and everything that makes one inactive, for both formats alike."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.oauth.client_metadata import AllowedRequester, ResourceServer, TokenFormat
from tests.authserver.assertions import ANY_METHOD, AssertingClient
from tests.authserver.running import MovingClock, RunningServer, client, running
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
INACTIVE = {"active": False}
API = "https://api.fin.svc"
BOTH = pytest.mark.parametrize("token_format", list(TokenFormat))


async def _put_api(server: RunningServer, **changes: Any) -> None:
    """`fin.api` owns an audience, and `shop.orders` may have tokens for it."""
    api = ResourceServer(audiences=(API,), allow_from=(AllowedRequester(namespace="shop", client="*", scopes=()),))
    await server.put(client("fin.api", anchors=[server.ca], resource_server=api))
    await server.put(client(anchors=[server.ca], resources=(API,), **changes))


async def _token(server: RunningServer, **form: str) -> str:
    response = await server.token(server.certificate(), **form)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def _seen_by_api(server: RunningServer, token: str) -> dict[str, Any]:
    return await server.introspect(server.certificate("fin.api"), token, "fin.api")


async def _post(server: RunningServer, form: dict[str, str], certificate: Any = None, **headers: str) -> httpx.Response:
    async with server.http(certificate) as http:
        return await http.post(server.introspection_endpoint, data=form, headers=headers)


async def test_a_caller_that_is_not_who_it_says_learns_nothing(server: RunningServer) -> None:
    """No certificate, another client's, no client at all (I-01)."""
    token = await _token(server)
    for client_id, certificate in (
        ("shop.orders", None), ("shop.orders", server.certificate("shop.cart")), ("no.body", server.certificate()),
    ):  # fmt: skip
        assert_failed_authentication(await _post(server, {"client_id": client_id, "token": token}, certificate))


async def test_a_caller_may_authenticate_by_another_method(server: RunningServer) -> None:
    """A client without any certificate, by its own assertion (I-01)."""
    asserting = AssertingClient()
    await server.put(asserting.registration(certificate_bound=False), ANY_METHOD)
    response = await _post(server, asserting.form(server, token=await _token(server)))

    assert (response.status_code, response.json()) == (200, INACTIVE)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_verb_is_not_served(server: RunningServer, method: str) -> None:
    """POST alone (I-02)."""
    async with server.http(server.certificate()) as http:
        response = await http.request(method, server.introspection_endpoint)

    assert_error(response, 405, "invalid_request")


@BOTH
async def test_an_active_answer_has_each_member_in_its_type(server: RunningServer, token_format: TokenFormat) -> None:
    """Whatever the format of the token (I-04, M-58)."""
    await server.put(client("shop.cart", anchors=[server.ca], token_format=token_format))
    certificate = server.certificate("shop.cart")
    token = (await server.token(certificate, "shop.cart")).json()["access_token"]

    answer = await server.introspect(certificate, token, "shop.cart")

    assert {name: type(value) for name, value in answer.items()} == {
        "active": bool, "token_type": str, "iss": str, "sub": str, "client_id": str, "aud": str, "iat": int, "exp": int,
        "jti": str, "scope": str, "cnf": dict,
    }  # fmt: skip
    assert answer["cnf"] == {"x5t#S256": certificate.certificate.x5t_s256}


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "unheard_of"])
async def test_the_hint_changes_nothing(server: RunningServer, hint: str) -> None:
    """It is only a hint (I-05)."""
    form = {"client_id": "shop.orders", "token": await _token(server), "token_type_hint": hint}

    assert (await _post(server, form, server.certificate())).json()["active"] is True


async def test_no_answer_may_be_stored(server: RunningServer) -> None:
    """Active or not (I-06)."""
    for token in (await _token(server), "nothing"):
        response = await _post(server, {"client_id": "shop.orders", "token": token}, server.certificate())
        assert response.headers["cache-control"] == "no-store"


@BOTH
async def test_the_confirmation_is_the_tokens_whoever_asks(tmp_path: Path, token_format: TokenFormat) -> None:
    """Asked by the API over mutual TLS with a third certificate (I-07)."""
    async with running(tmp_path) as server:
        await _put_api(server, token_format=token_format)
        certificate = server.certificate()
        token = (await server.token(certificate)).json()["access_token"]

        assert (await _seen_by_api(server, token))["cnf"] == {"x5t#S256": certificate.certificate.x5t_s256}


@BOTH
@pytest.mark.parametrize(
    "loss", ["expired", "another's audience", "suspended", "deleted", "taken again", "policy", "thumbprint", "revoked"]
)
async def test_whatever_ends_a_token_makes_it_inactive_and_nothing_else_is_said(
    tmp_path: Path, token_format: TokenFormat, loss: str
) -> None:
    """At once, as the API that owns its audience sees it (I-03, E-03)."""
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        await _put_api(server, token_format=token_format)
        certificate = server.certificate()
        token = (await server.token(certificate)).json()["access_token"]
        assert (await _seen_by_api(server, token))["active"] is True
        gone = {"uid": "uid-shop.orders", "term": server.term}
        mine = client(anchors=[server.ca], resources=(API,), token_format=token_format)
        if loss == "expired":
            clock.move(seconds=300)
        elif loss == "another's audience":
            await server.put(client("fin.api", anchors=[server.ca]))
        elif loss == "suspended":
            await _put_api(server, suspended=True, token_format=token_format)
        elif loss == "deleted":
            await server.registry.delete_client("shop.orders", **gone)  # type: ignore[arg-type]
        elif loss == "taken again":
            clock.move(seconds=2)
            await server.registry.delete_client("shop.orders", **gone)  # type: ignore[arg-type]
            await server.put(mine)
        elif loss == "policy":
            await _put_api(server, certificate_bound=False, token_format=token_format)
        elif loss == "thumbprint":
            denied = frozenset({certificate.certificate.x5t_s256})
            await server.registry.put_denied_thumbprints(denied, term=server.term)
        else:
            async with server.http(certificate) as http:
                await http.post(server.revocation_endpoint, data={"client_id": "shop.orders", "token": token})

        assert await _seen_by_api(server, token) == INACTIVE


@BOTH
async def test_a_token_of_a_lost_registry_is_inactive(tmp_path: Path, token_format: TokenFormat) -> None:
    """Its keys are gone with it (I-03)."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with running(tmp_path / "one") as lost:
        await lost.put(client(anchors=[lost.ca], token_format=token_format))
        token = (await lost.token(lost.certificate())).json()["access_token"]
    async with running(tmp_path / "two", ca=lost.ca, server_ca=lost.server_ca, **lost.ports) as server:
        await server.put(client(anchors=[server.ca], token_format=token_format))

        assert await server.introspect(server.certificate(), token) == INACTIVE


@BOTH
async def test_an_altered_token_is_inactive_after_the_real_one_was_seen(
    server: RunningServer, token_format: TokenFormat
) -> None:
    """One character, anywhere (I-03, O-18)."""
    await server.put(client("shop.cart", anchors=[server.ca], token_format=token_format))
    certificate = server.certificate("shop.cart")
    token = (await server.token(certificate, "shop.cart")).json()["access_token"]
    assert (await server.introspect(certificate, token, "shop.cart"))["active"] is True

    for place in range(0, len(token), max(1, len(token) // 20)):
        other = "A" if token[place] != "A" else "B"
        forged = token[:place] + other + token[place + 1 :]
        assert await server.introspect(certificate, forged, "shop.cart") == INACTIVE, place
