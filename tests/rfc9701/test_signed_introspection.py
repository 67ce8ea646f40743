"""RFC 9701: an introspection answer as a signed JWT, for whom it is, and that it is nothing else."""

from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from holdfast.oauth.client_metadata import TokenFormat
from holdfast.registry.port import RegistrationRefused
from holdfast.resource_server import Expected, InvalidToken, KeySet, verify
from tests.authserver.running import RunningServer, client, running
from tests.rfc8705.expectations import assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
MEDIA_TYPE = "application/token-introspection+jwt"


async def _ask(server: RunningServer, token: str, accept: str = MEDIA_TYPE, certificate: Any = None) -> httpx.Response:
    async with server.http(certificate or server.certificate()) as http:
        form = {"client_id": "shop.orders", "token": token}
        return await http.post(server.introspection_endpoint, data=form, headers={"accept": accept})


async def _token(server: RunningServer) -> str:
    return str((await server.token(server.certificate())).json()["access_token"])


async def _keys(server: RunningServer) -> bytes:
    async with server.http() as http:
        return (await http.get(f"{server.issuer}/oauth2/jwks")).content


async def _verified(server: RunningServer, response: httpx.Response, audience: str = "shop.orders") -> dict[str, Any]:
    """Read with PyJWT under the published key."""
    key = KeySet.from_json(await _keys(server)).keys[jwt.get_unverified_header(response.text)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        response.text, key.key, algorithms=list(key.algorithms), audience=audience, issuer=server.issuer
    )
    return claims


async def test_the_answer_is_a_jwt_of_its_own_type_for_the_caller_with_the_facts_in_one_claim(
    server: RunningServer,
) -> None:
    """Everything else stays out of the top level (T-01)."""
    token = await _token(server)
    response = await _ask(server, token)
    claims = await _verified(server, response)

    assert (response.status_code, response.headers["content-type"]) == (200, MEDIA_TYPE)
    assert response.headers["cache-control"] == "no-store"
    assert jwt.get_unverified_header(response.text)["typ"] == "token-introspection+jwt"
    assert set(claims) == {"iss", "aud", "iat", "token_introspection"}
    assert claims["token_introspection"] == await server.introspect(server.certificate(), token)
    assert claims["token_introspection"]["active"] is True


async def test_whoever_is_not_authenticated_gets_json_and_no_signature(server: RunningServer) -> None:
    """Another client's certificate (T-01)."""
    assert_failed_authentication(await _ask(server, await _token(server), certificate=server.certificate("shop.cart")))


async def test_an_inactive_token_is_told_as_such_and_nothing_else(server: RunningServer) -> None:
    """No member beside `active` (T-02)."""
    claims = await _verified(server, await _ask(server, "nothing"))

    assert claims["token_introspection"] == {"active": False}


@pytest.mark.parametrize(
    ("accept", "signed"),
    [
        (MEDIA_TYPE, True), (MEDIA_TYPE.upper(), True), (f"application/json;q=0.5, {MEDIA_TYPE}", True),
        (f"{MEDIA_TYPE};q=0", False), (f"{MEDIA_TYPE}; q=0.0", False), (f"{MEDIA_TYPE}; q=0.1", True),
        ("*/*", False), ("application/*", False), ("application/json", False), ("text/html", False), (",;,", False),
    ],
)  # fmt: skip
async def test_only_who_names_the_media_type_gets_it(server: RunningServer, accept: str, signed: bool) -> None:
    """Everybody else gets JSON (T-01)."""
    response = await _ask(server, "nothing", accept)

    assert response.headers["content-type"] == (MEDIA_TYPE if signed else "application/json")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
async def test_the_algorithm_is_the_one_that_the_caller_registered(tmp_path: Path, algorithm: str) -> None:
    """Of those that the server signs with; an access token keeps the first (T-03)."""
    async with running(tmp_path, signing_algorithms=("ES256", "EdDSA", "PS256")) as server:
        await server.put(client(anchors=[server.ca], introspection_signed_response_alg=algorithm))
        token = await _token(server)
        response = await _ask(server, token)

        assert jwt.get_unverified_header(response.text)["alg"] == algorithm
        assert jwt.get_unverified_header(token)["alg"] == "ES256"
        assert (await _verified(server, response))["token_introspection"]["active"] is True


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "PS256"])
async def test_an_algorithm_that_the_server_does_not_sign_with_is_refused_at_registration(
    server: RunningServer, algorithm: str
) -> None:
    """`none` above all (T-03)."""
    with pytest.raises(RegistrationRefused, match="introspection_signed_response_alg") as refused:
        await server.put(client("shop.odd", anchors=[server.ca], introspection_signed_response_alg=algorithm))

    assert refused.value.reason == "invalid_client_metadata"


async def test_an_answer_is_no_access_token(server: RunningServer) -> None:
    """Neither for introspection nor for an API that checks by itself (T-04, J-06)."""
    certificate = server.certificate()
    answer = (await _ask(server, await _token(server))).text

    assert await server.introspect(certificate, answer) == {"active": False}
    with pytest.raises(InvalidToken, match="typ"):
        verify(
            answer,
            certificate.certificate,
            keys=KeySet.from_json(await _keys(server)),
            expected=Expected(issuer=server.issuer, audience="shop.orders"),
            at=server.server._clock(),
        )


async def test_an_opaque_token_is_told_in_the_same_form(tmp_path: Path) -> None:
    """The format of the token does not show (T-01)."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca], token_format=TokenFormat.OPAQUE))
        claims = await _verified(server, await _ask(server, await _token(server)))

    assert claims["token_introspection"]["client_id"] == "shop.orders"
