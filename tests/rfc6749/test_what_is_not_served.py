"""What comes with users is not served: no path leads to it, no grant, no kind of client; and no metadata promises it.

Whoever adds one of these has to bring the tests of its duties in the place of the ones here.
"""

from typing import Any

import pytest

from holdfast.registry.port import RefusalReason, RegistrationRefused
from tests.authserver.assertions import ANY_METHOD, AssertingClient
from tests.authserver.running import RunningServer, client
from tests.rfc8705.expectations import assert_error

pytestmark = pytest.mark.asyncio(loop_scope="module")

_INTERACTIVE = ["authorize", "authorization", "auth", "par", "register", "device_authorization", "userinfo"]
_PROMISES = [
    "authorization_endpoint",
    "authorization_response_iss_parameter_supported",
    "code_challenge_methods_supported",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "registration_endpoint",
]
_AUTHORIZATION = {
    "response_type": "token",
    "client_id": "shop.orders",
    "redirect_uri": "https://orders.example/callback",
    "scope": "orders.read",
    "state": "s",
}


@pytest.mark.parametrize("response_type", ["token", "code", "code id_token"])
@pytest.mark.parametrize("name", _INTERACTIVE)
async def test_no_authorization_is_answered_and_nobody_is_redirected(
    server: RunningServer, name: str, response_type: str
) -> None:
    """Whatever the redirect URI, with a certificate and without (M-61, O-15, O-16, N-01)."""
    parameters = _AUTHORIZATION | {"response_type": response_type}
    for base, certificate in ((server.issuer, None), (server.mtls, server.certificate())):
        async with server.http(certificate) as http:
            asked = await http.get(f"{base}/oauth2/{name}", params=parameters)
            posted = await http.post(f"{base}/oauth2/{name}", data=parameters)
        for response in (asked, posted):
            assert_error(response, 404, "invalid_request")
            assert "location" not in response.headers


async def test_metadata_promises_nothing_of_it(server: RunningServer) -> None:
    """(M-61, N-02)"""
    async with server.http() as http:
        document = (await http.get(f"{server.issuer}/.well-known/oauth-authorization-server")).json()

    assert [name for name in _PROMISES if name in document] == []
    assert document["response_types_supported"] == ["none"]
    assert document["grant_types_supported"] == ["client_credentials"]
    assert "none" not in document["token_endpoint_auth_methods_supported"]


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "authorization_code", "code": "c", "redirect_uri": "https://orders.example/callback"},
        {"grant_type": "authorization_code", "code": "c", "code_verifier": "v" * 43, "resource": "https://orders.shop.svc"},
        {"grant_type": "refresh_token", "refresh_token": "r"},
        {"grant_type": "refresh_token", "refresh_token": "r", "scope": "orders.read orders.write admin"},
        {"grant_type": "refresh_token", "refresh_token": "r", "resource": "https://orders.shop.svc"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "d"},
    ],
    ids=lambda form: " ".join(form.values())[:60],
)
async def test_neither_codes_nor_refresh_tokens_are_taken(server: RunningServer, form: dict[str, str]) -> None:
    """Not from the client itself, over its own certificate or none (O-13, O-14, O-17, R-03, M-64, M-65)."""
    async with server.http(server.certificate()) as http:
        assert_error(
            await http.post(server.token_endpoint, data={"client_id": "shop.orders", **form}), 400, "unsupported_grant_type"
        )
    async with server.http() as http:
        response = await http.post(server.token_endpoint, data={"client_id": "shop.orders", **form})
    assert response.status_code == 401


async def test_no_answer_holds_a_refresh_token_and_revoking_one_is_revoking_nothing(server: RunningServer) -> None:
    """Whatever else is asked for (M-63, V-05)."""
    certificate = server.certificate()
    answer = (await server.token(certificate, access_type="offline", prompt="consent")).json()
    form = {"client_id": "shop.orders", "token": "made-up", "token_type_hint": "refresh_token"}
    async with server.http(certificate) as http:
        revoked = await http.post(server.revocation_endpoint, data=form)

    assert "refresh_token" not in answer
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert (await server.introspect(certificate, answer["access_token"]))["active"] is True


async def test_a09_an_assertion_is_no_grant_whoever_signed_it(server: RunningServer) -> None:
    """One that authenticates its client buys nothing as a grant (A-09)."""
    asserting = AssertingClient("shop.grants")
    await server.put(asserting.registration(certificate_bound=False), ANY_METHOD)
    assertion = asserting.form(server)["client_assertion"]
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    async with server.http() as http:
        proven = await http.post(server.token_endpoint, data={**asserting.form(server), **grant})
        alone = await http.post(server.token_endpoint, data=grant)
        still_good = await http.post(
            server.token_endpoint,
            data={**asserting.form(server), "grant_type": "client_credentials", "client_assertion": assertion},
        )

    assert_error(proven, 400, "unsupported_grant_type")
    assert alone.status_code in (400, 401)
    assert "access_token" not in alone.text
    assert still_good.status_code == 200, still_good.text


async def test_a_public_client_cannot_be_registered(server: RunningServer) -> None:
    """So there is none that gets a token, or that revokes one (M-62, V-08)."""
    method: dict[str, Any] = {"token_endpoint_auth_method": "none", "subject": None, "trust_anchors": ()}

    with pytest.raises(RegistrationRefused, match=r"token_endpoint_auth_method: expected one of .*, found 'none'"):
        await server.put(client("shop.public", anchors=[], **method))


@pytest.mark.parametrize(
    "method",
    ["TLS_CLIENT_AUTH", "tls-client-auth", "tls_client_auth ", "self_signed_tls", "Self_Signed_TLS_Client_Auth", ""],
)
async def test_a_method_of_another_spelling_cannot_be_registered(server: RunningServer, method: str) -> None:
    """The names are exact (M-25, M-34)."""
    with pytest.raises(RegistrationRefused, match="token_endpoint_auth_method: expected one of") as refused:
        await server.put(client("shop.misspelt", anchors=[server.ca], token_endpoint_auth_method=method))

    assert refused.value.reason is RefusalReason.INVALID_CLIENT_METADATA
