"""RFC 7009: who may end a token, what is no token, and what happens when the registry is gone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.oauth.client_metadata import TokenFormat
from tests.authserver.running import RunningServer, client, running
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _token(server: RunningServer, client_id: str = "shop.orders") -> str:
    response = await server.token(server.certificate(client_id), client_id)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def _revoke(server: RunningServer, token: str, client_id: str = "shop.orders", **form: str) -> httpx.Response:
    async with server.http(server.certificate(client_id)) as http:
        return await http.post(server.revocation_endpoint, data={"client_id": client_id, "token": token, **form})


async def _active(server: RunningServer, token: str, client_id: str = "shop.orders") -> Any:
    return (await server.introspect(server.certificate(client_id), token, client_id))["active"]


async def test_a_caller_that_is_not_who_it_says_revokes_nothing(server: RunningServer) -> None:
    """Without a certificate, and with another client's (V-01)."""
    token, form = await _token(server), {"client_id": "shop.orders"}
    for certificate in (None, server.certificate("shop.cart")):
        async with server.http(certificate) as http:
            assert_failed_authentication(await http.post(server.revocation_endpoint, data={**form, "token": token}))

    assert await _active(server, token) is True


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_another_verb_is_not_served(server: RunningServer, method: str) -> None:
    """POST alone (V-01)."""
    async with server.http(server.certificate()) as http:
        response = await http.request(method, server.revocation_endpoint)

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("form", [{}, {"token": ""}])
async def test_a_revocation_without_a_token_is_malformed(server: RunningServer, form: dict[str, str]) -> None:
    """An empty value is an absent one (V-02)."""
    async with server.http(server.certificate()) as http:
        response = await http.post(server.revocation_endpoint, data={"client_id": "shop.orders", **form})

    assert_error(response, 400, "invalid_request")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "unheard_of", ""])
@pytest.mark.parametrize("token_format", list(TokenFormat))
async def test_a_token_of_either_format_is_revoked_whatever_the_hint(
    server: RunningServer, hint: str, token_format: TokenFormat
) -> None:
    """And once more is a success, too (V-03, V-06, V-07)."""
    await server.put(client("shop.cart", anchors=[server.ca], token_format=token_format))
    token = await _token(server, "shop.cart")

    answers = [await _revoke(server, token, "shop.cart", token_type_hint=hint) for _ in range(2)]

    assert [(a.status_code, a.content) for a in answers] == [(200, b"")] * 2
    assert await _active(server, token, "shop.cart") is False


@pytest.mark.parametrize("token", ["nothing", "a.b.c", "hfat_AAAA", "hfat_" + "A" * 120, "x" * 9000])
async def test_what_is_no_token_is_a_success(server: RunningServer, token: str) -> None:
    """There is nothing left to revoke (V-03)."""
    response = await _revoke(server, token)

    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("token_format", list(TokenFormat))
async def test_the_token_of_another_client_stays_active_for_its_owner(
    server: RunningServer, token_format: TokenFormat
) -> None:
    """The caller is told that it is not its own (V-04)."""
    await server.put(client("shop.owner", anchors=[server.ca], token_format=token_format))
    token = await _token(server, "shop.owner")

    assert_error(await _revoke(server, token), 400, "unauthorized_client")
    assert await _active(server, token, "shop.owner") is True


async def test_a_jwt_of_this_server_that_is_no_access_token_is_of_an_unsupported_type(server: RunningServer) -> None:
    """A signed introspection answer, and the deny-list (V-06)."""
    async with server.http(server.certificate()) as http:
        accept = {"accept": "application/token-introspection+jwt"}
        form = {"client_id": "shop.orders", "token": await _token(server)}
        answer = (await http.post(server.introspection_endpoint, data=form, headers=accept)).text
        listed = (await http.get(f"{server.issuer}/oauth2/deny-list")).text

    for token in (answer, listed):
        assert_error(await _revoke(server, token), 400, "unsupported_token_type")


async def test_a_registry_that_cannot_be_written_answers_503_and_says_when_to_come_again(tmp_path: Path) -> None:
    """The token was not revoked, and the client is told so (V-07)."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        token = await _token(server)
        with closing(sqlite3.connect(server.folder / "registry.db")) as other:
            other.execute("BEGIN IMMEDIATE")  # as long as it writes, nobody else does
            response = await _revoke(server, token)

    assert_error(response, 503, "temporarily_unavailable")
    assert int(response.headers["retry-after"]) >= 1
