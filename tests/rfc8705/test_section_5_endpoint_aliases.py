"""RFC 8705 section 5: metadata, the aliases on the mTLS host, and what either host does."""

from pathlib import Path

import httpx
import jwt
import pytest

from tests.authserver.running import RunningServer, client, running, token_form
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATHS = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
DIRECT = {"token_endpoint", "introspection_endpoint", "revocation_endpoint"}


@pytest.mark.parametrize("path", PATHS)
async def test_m66_aliases_hold_only_endpoints_that_clients_call_directly(server: RunningServer, path: str) -> None:
    async with server.http() as http:
        document = (await http.get(server.issuer + path)).json()

    assert set(document["mtls_endpoint_aliases"]) == DIRECT
    assert all(url.startswith(server.mtls + "/") for url in document["mtls_endpoint_aliases"].values())


@pytest.mark.parametrize("path", PATHS)
async def test_m67_every_alias_exists_at_top_level_on_the_issuers_host(server: RunningServer, path: str) -> None:
    """The issuer is the URL that was asked (S-02)."""
    async with server.http() as http:
        document = (await http.get(server.issuer + path)).json()

    assert document["issuer"] == server.issuer  # S-02
    assert all(document[name].startswith(server.issuer + "/") for name in (*DIRECT, "jwks_uri"))


async def test_m68_a_conventional_endpoint_asks_for_no_certificate_and_says_where_to_go(server: RunningServer) -> None:
    async with server.http(server.certificate()) as http:
        response = await http.post(f"{server.issuer}/oauth2/token", data=token_form())
        unknown = await http.post(f"{server.issuer}/oauth2/token", data=token_form("no.body"))

    assert_error(response, 401, "invalid_client")
    assert "mtls_endpoint_aliases" in response.json()["error_description"]
    assert unknown.json() == response.json()  # E-02


async def test_m69_an_alias_without_a_certificate_answers_in_json(server: RunningServer) -> None:
    assert_failed_authentication(await _anonymous(server))


async def _anonymous(server: RunningServer) -> httpx.Response:
    async with server.http() as http:
        return await http.post(server.token_endpoint, data=token_form())


async def test_m71_tokens_name_the_canonical_issuer_whichever_host_was_asked(server: RunningServer) -> None:
    token = (await server.token(server.certificate())).json()["access_token"]

    assert jwt.decode(token, options={"verify_signature": False})["iss"] == server.issuer


@pytest.mark.parametrize("path", PATHS)
async def test_m71_the_mtls_host_names_itself_as_issuer_where_it_is_offered_as_one(server: RunningServer, path: str) -> None:
    """The issuer is the URL that was asked (S-02)."""
    async with server.http() as http:
        document = (await http.get(server.mtls + path)).json()

    assert document["issuer"] == document["mtls_issuer"] == server.mtls


@pytest.mark.parametrize("path", PATHS)
async def test_m71_the_mtls_host_has_no_metadata_where_it_is_not(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, mtls_issuer=False) as server, server.http() as http:
        assert_error(await http.get(server.mtls + path), 404, "invalid_request")
        assert "mtls_issuer" not in (await http.get(server.issuer + path)).json()


@pytest.mark.parametrize("header", ["host", "x-forwarded-host", "x-forwarded-proto", "forwarded"])
async def test_e04_no_header_changes_what_the_metadata_says(server: RunningServer, header: str) -> None:
    async with server.http() as http:
        plain = await http.get(server.issuer + PATHS[0])
        forged = await http.get(server.issuer + PATHS[0], headers={header: "host=evil.example"})

    assert forged.content == plain.content


async def test_s01_an_issuer_with_a_path_has_its_documents_where_each_specification_looks(tmp_path: Path) -> None:
    async with running(tmp_path, public_url="https://as.example/tenant") as server, server.http() as http:
        host, port = server.server.addresses["public"]
        base = f"https://{host}:{port}"
        found = [
            await http.get(base + path)
            for path in ("/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/openid-configuration")
        ]
        other = await http.get(base + "/.well-known/oauth-authorization-server/other")

    assert [response.json()["issuer"] for response in found] == ["https://as.example/tenant"] * 2
    assert found[0].json()["token_endpoint"] == "https://as.example/tenant/oauth2/token"
    assert other.status_code == 404


async def test_s04_every_listed_method_works_and_no_other(server: RunningServer) -> None:
    """No list is empty (S-03)."""
    async with server.http() as http:
        document = (await http.get(server.issuer + PATHS[0])).json()

    for endpoint in ("token", "introspection", "revocation"):
        assert document[f"{endpoint}_endpoint_auth_methods_supported"] == ["self_signed_tls_client_auth", "tls_client_auth"]
    assert document["grant_types_supported"] == ["client_credentials"]
    assert not [name for name, value in document.items() if value == []]  # S-03


async def test_m70_a_token_of_one_host_is_good_at_the_other_by_its_keys(server: RunningServer) -> None:
    async with server.http() as http:
        keys = [(await http.get(f"{base}/oauth2/jwks")).json() for base in (server.issuer, server.mtls)]

    assert keys[0] == keys[1]


async def test_e03_a_suspended_client_stops_at_once_on_an_open_connection(server: RunningServer) -> None:
    await server.put(client("shop.stopped", anchors=[server.ca]))
    certificate = server.certificate("shop.stopped")
    async with server.http(certificate) as http:
        before = await http.post(server.token_endpoint, data=token_form("shop.stopped"))
        await server.put(client("shop.stopped", anchors=[server.ca], suspended=True))
        after = await http.post(server.token_endpoint, data=token_form("shop.stopped"))

    assert before.status_code == 200
    assert_failed_authentication(after)
