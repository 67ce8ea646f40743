"""RFC 8705 section 2: authenticating a client by the certificate of its connection."""

import base64

import httpx
import pytest

from tests.authserver.running import RunningServer, client, token_form
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASIC = {"authorization": "Basic " + base64.b64encode(b"shop.orders:secret").decode()}


async def _post(server: RunningServer, url: str, data: dict[str, str], *, as_client: str = "shop.orders",
                headers: dict[str, str] | None = None) -> httpx.Response:  # fmt: skip
    async with server.http(server.certificate(as_client)) as http:
        return await http.post(url, data=data, headers=headers)


async def test_m01_a_request_without_client_id_is_refused(server: RunningServer) -> None:
    response = await _post(server, server.token_endpoint, {"grant_type": "client_credentials"})

    assert_error(response, 400, "invalid_request")


async def test_m02_a_client_id_in_the_query_does_not_count(server: RunningServer) -> None:
    """As any parameter (O-04)."""
    url = server.token_endpoint + "?client_id=shop.orders"

    assert_error(await _post(server, url, {"grant_type": "client_credentials"}), 400, "invalid_request")
    assert_error(await _post(server, url, token_form()), 400, "invalid_request")


async def test_m03_a_client_id_that_repeats_is_refused(server: RunningServer) -> None:
    """As any parameter (O-03)."""
    body = "grant_type=client_credentials&client_id=shop.orders&client_id=shop.orders"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with server.http(server.certificate()) as http:
        response = await http.post(server.token_endpoint, content=body, headers=headers)

    assert_error(response, 400, "invalid_request")


async def test_m04_no_certificate_is_answered_with_json_on_an_intact_connection(server: RunningServer) -> None:
    async with server.http() as http:
        first = await http.post(server.token_endpoint, data=token_form())
        second = await http.post(server.token_endpoint, data=token_form())

    assert_failed_authentication(first)
    assert_failed_authentication(second)


async def test_m05_another_clients_certificate_is_refused(server: RunningServer) -> None:
    response = await _post(server, server.token_endpoint, token_form("shop.orders"), as_client="shop.cart")

    assert_failed_authentication(response)


async def test_m06_a_certificate_in_a_header_or_a_parameter_is_ignored(server: RunningServer) -> None:
    certificate = server.certificate()
    pem = certificate.cert_pem.decode().replace("\n", "%0A")
    headers = {
        "client-cert": f":{base64.b64encode(certificate.certificate.der).decode()}:",
        "x-forwarded-client-cert": f'Cert="{pem}"',
        "x-client-cert": pem,
        "ssl-client-cert": pem,
        "x-forwarded-tls-client-cert": pem,
    }
    form = token_form(client_certificate=certificate.cert_pem.decode(), x5c=certificate.cert_pem.decode())
    for url in (server.token_endpoint, f"{server.issuer}/oauth2/token"):
        async with server.http() as http:
            response = await http.post(url, data=form, headers=headers)

        assert_error(response, 401, "invalid_client")


async def test_m07_a_secret_in_place_of_the_certificate_is_refused(server: RunningServer) -> None:
    async with server.http() as http:
        by_post = await http.post(server.token_endpoint, data=token_form(client_secret="secret"))
        by_basic = await http.post(server.token_endpoint, data=token_form(), headers=BASIC)

    assert_failed_authentication(by_post)
    assert "www-authenticate" not in by_post.headers
    assert_failed_authentication(by_basic)
    assert by_basic.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "second", [{"client_secret": "x"}, {"client_assertion": "x", "client_assertion_type": "urn:x"}, {"client_secret": ""}]
)
async def test_m08_a_second_method_beside_the_certificate_is_refused(server: RunningServer, second: dict[str, str]) -> None:
    """One method a request (O-09)."""
    response = await _post(server, server.token_endpoint, token_form(**second))

    assert_error(response, 400, "invalid_request")


async def test_m08_basic_beside_the_certificate_is_refused(server: RunningServer) -> None:
    """One method a request (O-09)."""
    response = await _post(server, server.token_endpoint, token_form(), headers=BASIC)

    assert_error(response, 400, "invalid_request")


@pytest.mark.parametrize("path", ["introspect", "revoke"])
@pytest.mark.parametrize("as_client", ["shop.cart", None])
async def test_m09_every_direct_endpoint_authenticates_alike(
    server: RunningServer, path: str, as_client: str | None
) -> None:
    """Introspection and revocation as the token endpoint (I-01, V-01)."""
    async with server.http(server.certificate(as_client) if as_client else None) as http:
        response = await http.post(f"{server.mtls}/oauth2/{path}", data={"client_id": "shop.orders", "token": "x"})

    assert_failed_authentication(response)


async def test_m10_unknown_suspended_and_wrongly_authenticated_clients_look_the_same(server: RunningServer) -> None:
    """E-02."""
    await server.put(client("shop.suspended", anchors=[server.ca], suspended=True))
    async with server.http(server.certificate("shop.suspended")) as http:
        answers = [
            await http.post(server.token_endpoint, data=token_form(c)) for c in ("no.body", "shop.suspended", "shop.cart")
        ]

    for answer in answers:
        assert_failed_authentication(answer)
    assert len({tuple(sorted(a.headers.keys())) for a in answers}) == 1


async def test_m46_a_leaf_without_its_intermediates_works_where_the_anchor_signed_it(server: RunningServer) -> None:
    assert (await server.token(server.certificate())).status_code == 200
