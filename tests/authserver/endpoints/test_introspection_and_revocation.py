"""RFC 7662 and RFC 7009: who may see a token, when it ends, and who may end it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.oauth.client_metadata import AllowedRequester, ResourceServer
from tests.authserver.running import MovingClock, RunningServer, client, running
from tests.core.x509.authority import Issued
from tests.rfc8705.expectations import assert_error

INACTIVE = {"active": False}
API = "https://api.fin.svc"


async def _token(server: RunningServer, certificate: Issued, client_id: str = "shop.orders") -> str:
    response = await server.token(certificate, client_id)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def _revoke(server: RunningServer, token: str, client_id: str = "shop.orders", **form: str) -> httpx.Response:
    async with server.http(server.certificate(client_id)) as http:
        return await http.post(server.revocation_endpoint, data={"client_id": client_id, "token": token, **form})


async def test_a_client_sees_its_own_token_with_every_claim_in_its_type(server: RunningServer) -> None:
    """I-04."""
    certificate = server.certificate()
    answer = await server.introspect(certificate, await _token(server, certificate))

    assert answer.pop("active") is True
    assert {name: type(value) for name, value in answer.items()} == {
        "token_type": str, "iss": str, "sub": str, "client_id": str, "aud": str, "iat": int, "exp": int, "jti": str,
        "scope": str, "cnf": dict,
    }  # fmt: skip


async def test_another_client_sees_nothing(server: RunningServer) -> None:
    """I-03."""
    token = await _token(server, server.certificate())
    await server.put(client("shop.cart", anchors=[server.ca]))

    assert await server.introspect(server.certificate("shop.cart"), token, "shop.cart") == INACTIVE


async def test_an_api_sees_tokens_for_its_audiences(server: RunningServer) -> None:
    allowed = (AllowedRequester(namespace="shop", client="*", scopes=("orders.read",)),)
    api = ResourceServer(audiences=(API,), allow_from=allowed)
    await server.put(client("fin.api", anchors=[server.ca], resource_server=api))
    await server.put(client(anchors=[server.ca], resources=(API,)))
    token = await _token(server, server.certificate())

    answer = await server.introspect(server.certificate("fin.api"), token, "fin.api")

    assert (answer["active"], answer["aud"], answer["client_id"]) == (True, API, "shop.orders")


@pytest.mark.parametrize("change", [{"suspended": True}, {"certificate_bound": False}])
async def test_a_token_ends_with_its_clients_right_to_one(tmp_path: Path, change: dict[str, Any]) -> None:
    """E-03: seen by the API, since the client itself is refused."""
    async with running(tmp_path) as server:
        api = ResourceServer(audiences=(API,), allow_from=(AllowedRequester(namespace="shop", client="*", scopes=()),))
        await server.put(client("fin.api", anchors=[server.ca], resource_server=api))
        await server.put(client(anchors=[server.ca], resources=(API,)))
        token, seen_by = await _token(server, server.certificate()), server.certificate("fin.api")

        before = await server.introspect(seen_by, token, "fin.api")
        await server.put(client(anchors=[server.ca], resources=(API,), **change))

        assert before["active"] is True
        assert await server.introspect(seen_by, token, "fin.api") == INACTIVE


async def test_a_deleted_clients_token_is_inactive(server: RunningServer) -> None:
    api = ResourceServer(audiences=(API,), allow_from=(AllowedRequester(namespace="shop", client="*", scopes=()),))
    await server.put(client("fin.api", anchors=[server.ca], resource_server=api))
    await server.put(client(anchors=[server.ca], resources=(API,)))
    token = await _token(server, server.certificate())
    await server.registry.delete_client("shop.orders", uid="uid-shop.orders", term=server.term)

    assert await server.introspect(server.certificate("fin.api"), token, "fin.api") == INACTIVE


async def test_an_expired_token_is_inactive(tmp_path: Path) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        token = await _token(server, certificate)
        clock.move(seconds=299)
        just_before = await server.introspect(certificate, token)
        clock.move(seconds=1)

        assert just_before["active"] is True
        assert await server.introspect(certificate, token) == INACTIVE


async def test_an_altered_token_is_inactive_even_after_the_real_one_was_seen(server: RunningServer) -> None:
    certificate = server.certificate()
    token = await _token(server, certificate)
    assert (await server.introspect(certificate, token))["active"] is True

    head, payload, signature = token.split(".")
    altered = [f"{head}.{payload}.{signature[:-4]}AAAA", f"{head}.{payload[:-2]}.{signature}", f"{head}.{payload}.",
               f"{head}..{signature}", token + "=", token + "\n", "a.b.c", "é", "x" * 9000]  # fmt: skip
    for forged in altered:
        assert await server.introspect(certificate, forged) == INACTIVE


@pytest.mark.parametrize("path", ["introspect", "revoke"])
async def test_a_request_without_a_token_is_refused(server: RunningServer, path: str) -> None:
    """I-02, V-02."""
    async with server.http(server.certificate()) as http:
        response = await http.post(f"{server.mtls}/oauth2/{path}", data={"client_id": "shop.orders"})

    assert_error(response, 400, "invalid_request")


async def test_a_revoked_token_is_inactive_and_revoking_again_is_a_success(server: RunningServer) -> None:
    """V-03, V-07."""
    certificate = server.certificate()
    token, other = await _token(server, certificate), await _token(server, certificate)

    answers = [await _revoke(server, token), await _revoke(server, token)]

    assert [(a.status_code, a.content) for a in answers] == [(200, b"")] * 2
    assert await server.introspect(certificate, token) == INACTIVE
    assert (await server.introspect(certificate, other))["active"] is True


async def test_revoking_what_is_no_token_is_a_success_whatever_the_hint(server: RunningServer) -> None:
    """V-03, V-06."""
    response = await _revoke(server, "nothing", token_type_hint="unheard_of")

    assert response.status_code == 200


async def test_another_clients_token_is_left_alone(server: RunningServer) -> None:
    """V-04."""
    certificate = server.certificate()
    token = await _token(server, certificate)
    await server.put(client("shop.cart", anchors=[server.ca]))

    assert_error(await _revoke(server, token, "shop.cart"), 400, "unauthorized_client")
    assert (await server.introspect(certificate, token))["active"] is True


async def test_a_revoked_token_stays_revoked_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        token = await _token(server, server.certificate())
        await _revoke(server, token)

    async with running(tmp_path, ca=server.ca, server_ca=server.server_ca, **server.ports) as again:
        assert await again.introspect(again.certificate(), token) == INACTIVE
