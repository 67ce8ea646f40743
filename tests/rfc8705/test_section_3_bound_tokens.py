"""RFC 8705 section 3: access tokens bound to the certificate of the connection they were asked for on."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from holdfast.oauth.client_metadata import TokenFormat
from holdfast.policy.model import EffectivePolicy
from tests.authserver.assertions import ANY_METHOD, AssertingClient
from tests.authserver.running import POLICY, RunningServer, client
from tests.core.x509.authority import Authority, Issued
from tests.rfc8705.expectations import assert_error

pytestmark = pytest.mark.asyncio(loop_scope="module")
UNBOUND = EffectivePolicy(trust_domain="cluster.local", cluster_domain="cluster.local", require_certificate_bound=False)


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


async def test_m47_a_token_is_bound_to_the_certificate_and_m50_its_type_stays_bearer(server: RunningServer) -> None:
    certificate = server.certificate()
    body = (await server.token(certificate)).json()

    digest = hashlib.sha256(certificate.certificate.der).digest()
    assert _claims(body["access_token"])["cnf"] == {"x5t#S256": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
    assert body["token_type"] == "Bearer"


async def test_m49_an_unbound_client_under_a_policy_that_lets_it_gets_an_unbound_token(server: RunningServer) -> None:
    await server.put(client("shop.unbound", anchors=[server.ca], certificate_bound=False), UNBOUND)
    certificate = server.certificate("shop.unbound")

    token = (await server.token(certificate, "shop.unbound")).json()["access_token"]

    assert "cnf" not in _claims(token)
    assert "cnf" not in await server.introspect(certificate, token, "shop.unbound")


async def test_m55_the_thumbprint_has_43_characters_without_padding(server: RunningServer) -> None:
    token = (await server.token(server.certificate())).json()["access_token"]

    assert len(_claims(token)["cnf"]["x5t#S256"]) == 43


async def test_m56_the_thumbprint_is_of_the_leaf_in_a_chain_of_three(server: RunningServer) -> None:
    issued = server.ca.intermediate("CN=One").intermediate("CN=Two").issue(uris=["spiffe://cluster.local/ns/shop/sa/orders"])
    token = (await server.token(issued)).json()["access_token"]

    assert len(issued.chain) == 2
    assert _claims(token)["cnf"]["x5t#S256"] == issued.certificate.x5t_s256


async def test_m57_no_sha_1_thumbprint_is_issued(server: RunningServer) -> None:
    token = (await server.token(server.certificate())).json()["access_token"]

    assert set(_claims(token)["cnf"]) == {"x5t#S256"}


async def test_m58_introspection_reports_the_tokens_confirmation_and_not_the_callers(server: RunningServer) -> None:
    """I-07."""
    first, renewed = server.certificate(), server.certificate()
    token = (await server.token(first)).json()["access_token"]

    assert (await server.introspect(renewed, token))["cnf"] == {"x5t#S256": first.certificate.x5t_s256}


async def test_m58_an_inactive_token_has_no_other_member(server: RunningServer) -> None:
    assert await server.introspect(server.certificate(), "no token") == {"active": False}


@pytest.mark.parametrize("host", ["issuer", "mtls"])
async def test_m59_the_metadata_says_that_tokens_are_bound_as_a_boolean(server: RunningServer, host: str) -> None:
    async with server.http() as http:
        document = (await http.get(f"{getattr(server, host)}/.well-known/oauth-authorization-server")).json()

    assert document["tls_client_certificate_bound_access_tokens"] is True


async def test_m75_a_token_ends_no_later_than_its_certificate(server: RunningServer) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=60)
    token = (await server.token(server.certificate(not_after=end))).json()

    assert _claims(token["access_token"])["exp"] <= end.timestamp()
    assert token["expires_in"] <= 60


async def test_a_token_verifies_under_the_published_key_with_an_independent_library(server: RunningServer) -> None:
    token = (await server.token(server.certificate())).json()["access_token"]
    async with server.http() as http:
        keys = (await http.get(f"{server.issuer}/oauth2/jwks")).json()["keys"]

    header = jwt.get_unverified_header(token)
    key = next(jwt.PyJWK(k) for k in keys if k["kid"] == header["kid"])
    claims = jwt.decode(token, key, algorithms=["ES256"], audience=server.issuer, issuer=server.issuer)
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": key.key_id}  # J-01
    assert {"iss", "sub", "client_id", "aud", "iat", "exp", "jti", "scope", "cnf"} == set(claims)  # J-02
    assert claims["sub"] == claims["client_id"] == "shop.orders"


async def test_the_published_keys_hold_no_private_member(server: RunningServer) -> None:
    """S-09."""
    async with server.http() as http:
        keys = (await http.get(f"{server.mtls}/oauth2/jwks")).json()["keys"]

    assert {frozenset(key) for key in keys} == {frozenset({"kty", "crv", "x", "y", "kid", "use", "alg"})}
    assert len({key["kid"] for key in keys}) == len(keys) >= 1
    for key in keys:
        required = {name: key[name] for name in ("crv", "kty", "x", "y")}
        digest = hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest()
        assert key["kid"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()  # RFC 7638


async def test_m49_a_policy_that_forces_binding_refuses_a_client_that_opts_out(server: RunningServer) -> None:
    """The registration was accepted under another policy; the token endpoint holds to the newer one."""
    metadata = client("shop.later", anchors=[server.ca], certificate_bound=False)
    await server.put(metadata, UNBOUND)
    certificate = server.certificate("shop.later")
    assert (await server.token(certificate, "shop.later")).status_code == 200

    await server.put(metadata, POLICY)

    assert_error(await server.token(certificate, "shop.later"), 400, "unauthorized_client")


async def test_a_foreign_root_gives_no_token_whatever_the_binding(server: RunningServer) -> None:
    stolen = Authority.root().issue(uris=["spiffe://cluster.local/ns/shop/sa/unbound"])

    assert (await server.token(stolen, "shop.unbound")).status_code == 401


async def _assert(server: RunningServer, asserting: AssertingClient, certificate: Issued | None) -> httpx.Response:
    async with server.http(certificate) as http:
        return await http.post(server.token_endpoint, data=asserting.form(server, grant_type="client_credentials"))


@pytest.mark.parametrize("token_format", list(TokenFormat))
async def test_a_client_of_another_method_has_its_token_bound_to_whatever_certificate_is_on_the_connection(
    server: RunningServer, token_format: TokenFormat
) -> None:
    """Of any issuer: it is for the binding, not for the authentication (M-47, M-50)."""
    asserting = AssertingClient()
    await server.put(asserting.registration(token_format=token_format), ANY_METHOD)
    certificate = Authority.root("CN=Nobody's").issue("CN=whoever")

    response = await _assert(server, asserting, certificate)
    async with server.http() as http:
        form = asserting.form(server, token=response.json()["access_token"])
        seen = (await http.post(server.introspection_endpoint, data=form)).json()

    assert response.json()["token_type"] == "Bearer"
    assert seen["cnf"] == {"x5t#S256": certificate.certificate.x5t_s256}


async def test_without_a_certificate_nothing_can_be_bound_and_no_unbound_token_is_given_instead(
    server: RunningServer,
) -> None:
    """The client is who it says, and is told what is missing (M-48)."""
    asserting = AssertingClient("shop.binding")
    await server.put(asserting.registration(), ANY_METHOD)
    refused = await _assert(server, asserting, None)

    assert_error(refused, 400, "invalid_request")
    assert "certificate" in refused.json()["error_description"]
    assert (await _assert(server, asserting, server.certificate())).status_code == 200


async def test_a_denied_certificate_binds_nothing(server: RunningServer) -> None:
    """For a client that authenticates without it, it is as none (M-48)."""
    asserting, certificate = AssertingClient("shop.denied"), server.certificate()
    await server.put(asserting.registration(), ANY_METHOD)
    await server.registry.put_denied_thumbprints(frozenset({certificate.certificate.x5t_s256}), term=server.term)

    assert_error(await _assert(server, asserting, certificate), 400, "invalid_request")
    await server.registry.put_denied_thumbprints(frozenset(), term=server.term)


@pytest.mark.parametrize("shown", [True, False])
async def test_binding_off_gives_an_unbound_token_with_and_without_a_certificate(server: RunningServer, shown: bool) -> None:
    """Where the policy lets it (M-49)."""
    asserting = AssertingClient("shop.plain")
    await server.put(asserting.registration(certificate_bound=False), ANY_METHOD)
    response = await _assert(server, asserting, server.certificate() if shown else None)

    assert "cnf" not in _claims(response.json()["access_token"])


async def test_a_token_of_a_renewed_certificate_is_to_be_had_at_once(server: RunningServer) -> None:
    """And is bound to the new one (M-74)."""
    old, renewed = server.certificate(), server.certificate()
    tokens = [(await server.token(certificate)).json()["access_token"] for certificate in (old, renewed)]

    bound = [_claims(token)["cnf"]["x5t#S256"] for token in tokens]
    assert bound == [old.certificate.x5t_s256, renewed.certificate.x5t_s256]
    assert len(set(bound)) == 2
