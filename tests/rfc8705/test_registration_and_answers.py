"""What answers of every endpoint have in common: ids that nobody guesses, hints that change nothing, no storing."""

import base64
import json

import jwt
import pytest

from tests.authserver.running import RunningServer, token_form

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_no_two_tokens_share_their_id_and_each_has_128_bits(server: RunningServer) -> None:
    """Nobody guesses the id of another's token (O-18)."""
    tokens = [(await server.token(server.certificate())).json()["access_token"] for _ in range(20)]
    ids = [jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens]

    assert len(set(ids)) == len(ids)
    assert min(len(base64.urlsafe_b64decode(i + "==")) for i in ids) >= 16
    assert len({i[:4] for i in ids}) > 15


async def test_the_subject_of_a_clients_own_token_is_the_client(server: RunningServer) -> None:
    """There is nobody else whose it could be (J-03)."""
    token = (await server.token(server.certificate())).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})

    assert claims["sub"] == claims["client_id"] == "shop.orders"


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "something_new", ""])
async def test_a_hint_changes_no_answer_of_introspection(server: RunningServer, hint: str) -> None:
    """Right, wrong or unknown (I-05)."""
    token = (await server.token(server.certificate())).json()["access_token"]
    async with server.http(server.certificate()) as http:
        form = {"client_id": "shop.orders", "token": token, "token_type_hint": hint}
        response = await http.post(server.introspection_endpoint, data=form)

    assert response.json()["active"] is True


@pytest.mark.parametrize("path", ["token", "introspect", "revoke"])
async def test_answers_that_depend_on_the_certificate_are_stored_nowhere(server: RunningServer, path: str) -> None:
    """Good ones and refusals (C-09, I-06)."""
    async with server.http(server.certificate()) as http:
        good = await http.post(f"{server.mtls}/oauth2/{path}", data=token_form(token="x"))
        bad = await http.post(f"{server.mtls}/oauth2/{path}", data={"client_id": "no.body"})

    assert (good.status_code, bad.status_code < 500) == (200, True)
    assert [answer.headers["cache-control"] for answer in (good, bad)] == ["no-store"] * 2


async def test_no_authorization_endpoint_is_named_and_no_grant_needs_one(server: RunningServer) -> None:
    """Metadata is computed from what is served (S-06)."""
    async with server.http() as http:
        document = json.loads((await http.get(f"{server.issuer}/.well-known/oauth-authorization-server")).text)

    assert "authorization_endpoint" not in document
    assert not {"authorization_code", "implicit"} & set(document["grant_types_supported"])
