"""RFC 8414: the metadata says what is so, where each specification looks for it, and follows what policies allow."""

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from holdfast.oauth.jwks import ALGORITHMS
from holdfast.policy.model import EffectivePolicy
from tests.authserver.assertions import ANY_METHOD, AssertingClient
from tests.authserver.running import RunningServer, client, running, token_form
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
WELL_KNOWN = "/.well-known/oauth-authorization-server"
PATHS = [WELL_KNOWN, "/.well-known/openid-configuration"]
ENDPOINTS = ("token", "introspection", "revocation")


async def _get(server: RunningServer, path: str = WELL_KNOWN, **headers: str) -> httpx.Response:
    async with server.http() as http:
        return await http.get(server.issuer + path, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def _metadata(server: RunningServer) -> dict[str, Any]:
    document: dict[str, Any] = (await _get(server)).json()
    return document


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/.well-known/oauth-authorization-server/tenant", 200),
        ("/tenant/.well-known/openid-configuration", 200),
        ("/.well-known/openid-configuration/tenant", 200),
        ("/.well-known/oauth-authorization-server", 404),
        ("/.well-known/oauth-authorization-server/", 404),
        ("/.well-known/oauth-authorization-server/other", 404),
        ("/.well-known/oauth-authorization-server/tenant/", 404),
        ("/.well-known/openid-configuration", 404),
        ("/tenant/.well-known/oauth-authorization-server", 404),
        ("/.well-known/oauth-protected-resource", 404),
    ],
)
async def test_an_issuer_with_a_path_is_found_at_its_own_places_alone(tmp_path: Path, path: str, status: int) -> None:
    """Inserted for RFC 8414, appended for OpenID Connect Discovery (S-01)."""
    async with running(tmp_path, public_url="https://as.example/tenant") as server, server.http() as http:
        host, port = server.server.addresses["public"]
        response = await http.get(f"https://{host}:{port}{path}")

    assert response.status_code == status
    if status == 200:
        assert response.json()["issuer"] == "https://as.example/tenant"
        assert response.json()["deny_list_uri"] == "https://as.example/tenant/oauth2/deny-list"
    else:
        assert_error(response, 404, "invalid_request")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_it_is_read_only(server: RunningServer, path: str, method: str) -> None:
    """GET and HEAD (S-01)."""
    async with server.http() as http:
        response = await http.request(method, server.issuer + path)

    assert_error(response, 405, "invalid_request")
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", PATHS)
async def test_the_issuer_is_the_very_url_that_was_asked(server: RunningServer, path: str) -> None:
    """And https without query and fragment (S-02)."""
    issuer = (await _get(server, path)).json()["issuer"]

    parts = urlsplit(issuer)
    assert issuer == server.issuer
    assert (parts.scheme, parts.query, parts.fragment) == ("https", "", "")


async def test_every_required_member_is_there_no_list_is_empty_and_every_url_is_https(server: RunningServer) -> None:
    """As a strict reader has it: sections 2 and 3.2 (S-03)."""
    document = await _metadata(server)
    urls = {n: v for n, v in document.items() if n.endswith(("_uri", "_endpoint")) or n in ("issuer", "mtls_issuer")}

    assert {"issuer", "token_endpoint", "jwks_uri", "response_types_supported"} <= set(document)
    assert not [name for name, value in document.items() if value in ([], {}, None, "")]
    assert all(url.startswith("https://") for url in (*urls.values(), *document["mtls_endpoint_aliases"].values()))
    assert all(
        isinstance(v, list) and all(isinstance(e, str) for e in v) for n, v in document.items() if n[-10:] == "_supported"
    )


async def test_no_authorization_endpoint_is_named_as_no_grant_needs_one(server: RunningServer) -> None:
    """Nor any response type that would give something (S-06, M-61)."""
    document = await _metadata(server)

    assert "authorization_endpoint" not in document
    assert document["response_types_supported"] == ["none"]
    assert document["grant_types_supported"] == ["client_credentials"]


async def test_each_listed_method_works_and_one_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    """At each of the three endpoints, and only where a policy allows it (S-04, S-08)."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        asserting = AssertingClient()
        await server.put(asserting.registration(certificate_bound=False))
        before = await _metadata(server)
        refused = await _assert_token(server, asserting)
        await server.put(asserting.registration(certificate_bound=False), ANY_METHOD)
        after = await _metadata(server)
        granted = await _assert_token(server, asserting)

    assert_error(refused, 400, "unauthorized_client")
    assert granted.status_code == 200
    for endpoint in ENDPOINTS:
        member = f"{endpoint}_endpoint_auth_methods_supported"
        assert before[member] == ["self_signed_tls_client_auth", "tls_client_auth"]
        assert after[member] == ["private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth"]


async def _assert_token(server: RunningServer, asserting: AssertingClient) -> httpx.Response:
    async with server.http() as http:
        return await http.post(server.token_endpoint, data=asserting.form(server, grant_type="client_credentials"))


async def test_a_method_that_every_policy_forbids_is_not_listed_within_a_second(tmp_path: Path) -> None:
    """Seen by a server beside the one that was told, on the same store (S-08)."""
    strict = EffectivePolicy(
        trust_domain="cluster.local", cluster_domain="cluster.local", allowed_methods=frozenset({"tls_client_auth"})
    )
    async with running(tmp_path) as other, running(tmp_path, server_ca=other.server_ca) as told:
        await told.put(client(anchors=[told.ca]), strict)
        deadline = time.monotonic() + 1
        while (found := (await _metadata(other))["token_endpoint_auth_methods_supported"]) != ["tls_client_auth"]:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.02)  # the other one looks at the store by itself


@pytest.mark.parametrize("assertions", [False, True])
async def test_algorithms_of_assertions_are_listed_exactly_where_assertions_are_taken(
    tmp_path: Path, assertions: bool
) -> None:
    """Never `none`, never HMAC (S-05)."""
    async with running(tmp_path) as server:
        if assertions:
            await server.put(AssertingClient().registration(certificate_bound=False), ANY_METHOD)
        document = await _metadata(server)

    for endpoint in ENDPOINTS:
        listed = document.get(f"{endpoint}_endpoint_auth_signing_alg_values_supported")
        assert (listed is not None) == assertions
        assert set(listed or ()) <= set(ALGORITHMS)
        assert not [name for name in listed or () if name == "none" or name.startswith("HS")]


async def test_binding_aliases_grants_and_algorithms_of_introspection_are_told(tmp_path: Path) -> None:
    """What is set is what is told; scopes are not, as they are the APIs' (S-07, M-59)."""
    async with running(tmp_path, signing_algorithms=("PS256", "ES256")) as server:
        document = await _metadata(server)

    assert document["tls_client_certificate_bound_access_tokens"] is True
    assert document["introspection_signing_alg_values_supported"] == ["PS256", "ES256"]
    assert set(document["mtls_endpoint_aliases"]) == {f"{name}_endpoint" for name in ENDPOINTS}
    assert "scopes_supported" not in document


async def test_the_key_set_is_public_and_each_key_has_its_own_id(tmp_path: Path) -> None:
    """For every kind of key (S-09)."""
    async with running(tmp_path, signing_algorithms=("ES256", "EdDSA", "RS256")) as server, server.http() as http:
        response = await http.get(f"{server.issuer}/oauth2/jwks")
        keys = response.json()["keys"]

    assert response.headers["content-type"] == "application/json"
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {member for key in keys for member in key}
    assert len({key["kid"] for key in keys}) == len(keys) >= 3


@pytest.mark.parametrize("path", [*PATHS, "/oauth2/jwks"])
async def test_who_has_a_document_already_is_told_so(server: RunningServer, path: str) -> None:
    first = await _get(server, path)
    again = await _get(server, path, if_none_match=first.headers["etag"])

    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == again.headers["cache-control"] == "public, max-age=60"
    assert (await _get(server, path, if_none_match='"other"')).content == first.content


async def test_an_mtls_client_at_a_conventional_endpoint_is_told_of_the_aliases(server: RunningServer) -> None:
    """The listener asks for no certificate (M-68, M-69)."""
    async with server.http(server.certificate()) as http:
        conventional = await http.post(f"{server.issuer}/oauth2/token", data=token_form())
    async with server.http() as http:
        bare = await http.post(server.token_endpoint, data=token_form())

    assert "mtls_endpoint_aliases" in conventional.json()["error_description"]
    assert_failed_authentication(bare)
