"""The token endpoint beyond client authentication: grant, scope, audience, lifetime, and every shape of bad request."""

from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest

from holdfast.oauth.client_metadata import AllowedRequester, ResourceServer
from holdfast.policy.model import EffectivePolicy
from tests.authserver.running import POLICY, RunningServer, client, token_form
from tests.rfc8705.expectations import assert_error

BILLING = "https://billing.fin.svc"


async def _ask(server: RunningServer, **form: str) -> httpx.Response:
    return await server.token(server.certificate(), **form)


def _claims(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    claims: dict[str, Any] = jwt.decode(response.json()["access_token"], options={"verify_signature": False})
    return claims


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"grant_type": ""}, "invalid_request"),  # O-06
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, "unsupported_grant_type"),
        ({"scope": "orders.delete"}, "invalid_scope"),  # O-11
        ({"scope": "orders.read orders.delete"}, "invalid_scope"),
        ({"scope": "a  b"}, "invalid_scope"),
        ({"resource": "orders"}, "invalid_target"),
        ({"resource": "https://unknown.example"}, "invalid_target"),
    ],
)
async def test_what_may_not_be_granted_is_refused_with_its_code(
    server: RunningServer, form: dict[str, str], code: str
) -> None:
    """Grant types, scopes and resources (O-06, O-11, R-01, R-02)."""
    assert_error(await _ask(server, **form), 400, code)


async def test_a_grant_type_that_is_not_the_clients_is_refused(server: RunningServer) -> None:
    """O-07."""
    await server.put(client(anchors=[server.ca], grant_types=()))

    assert_error(await _ask(server), 400, "unauthorized_client")


async def test_all_scopes_are_granted_where_none_is_asked_for_and_no_refresh_token(server: RunningServer) -> None:
    """O-10, O-12."""
    response = await _ask(server)

    assert set(response.json()) == {"access_token", "token_type", "expires_in", "scope"}
    assert response.json()["scope"] == "orders.read orders.write"
    assert response.headers["cache-control"] == "no-store"


async def test_a_narrower_scope_is_granted_as_asked(server: RunningServer) -> None:
    assert _claims(await _ask(server, scope="orders.write"))["scope"] == "orders.write"


async def test_without_a_resource_the_audience_is_the_issuer(server: RunningServer) -> None:
    """J-04."""
    assert _claims(await _ask(server))["aud"] == server.issuer


async def _put_billing(server: RunningServer, allow_from: tuple[AllowedRequester, ...] | None) -> None:
    await server.put(client(anchors=[server.ca], resources=(BILLING,)))
    api = ResourceServer(audiences=(BILLING,), allow_from=allow_from)
    await server.put(client("fin.billing", anchors=[server.ca], resource_server=api))


async def test_an_owned_audience_is_granted_to_whom_its_owner_names_with_the_scopes_named_there(
    server: RunningServer,
) -> None:
    """R-04: the first resource is the default."""
    await _put_billing(server, (AllowedRequester(namespace="shop", client="orders", scopes=("orders.read",)),))

    claims = _claims(await _ask(server))

    assert (claims["aud"], claims["scope"]) == (BILLING, "orders.read")
    assert_error(await _ask(server, resource=BILLING, scope="orders.write"), 400, "invalid_scope")


@pytest.mark.parametrize("allow_from", [None, (), (AllowedRequester(namespace="web", client="*", scopes=("orders.read",)),)])
async def test_an_owned_audience_is_refused_to_whom_its_owner_does_not_name(
    server: RunningServer, allow_from: tuple[AllowedRequester, ...] | None
) -> None:
    await _put_billing(server, allow_from)

    assert_error(await _ask(server, resource=BILLING), 400, "invalid_target")


async def test_an_audience_nobody_owns_is_granted_only_where_a_policy_allows_it(server: RunningServer) -> None:
    metadata = client(anchors=[server.ca], resources=("https://legacy.example",))
    await server.put(metadata)
    refused = await _ask(server)
    policy = replace(POLICY, allowed_resources=(frozenset({"https://legacy.example"}),))
    await server.put(metadata, EffectivePolicy(**_fields(policy)))

    assert_error(refused, 400, "invalid_target")
    assert _claims(await _ask(server))["aud"] == "https://legacy.example"


def _fields(policy: EffectivePolicy) -> dict[str, Any]:
    names = ("trust_domain", "cluster_domain", "allowed_resources", "max_lifetime")
    return {name: getattr(policy, name) for name in names}


@pytest.mark.parametrize(
    ("own", "maximum", "expected"), [(None, None, 300), (120, None, 120), (900, None, 900), (None, 60, 60), (60, 60, 60)]
)
async def test_the_lifetime_is_the_clients_or_the_default_within_the_policys_maximum(
    server: RunningServer, own: int | None, maximum: int | None, expected: int
) -> None:
    policy = EffectivePolicy(trust_domain="cluster.local", cluster_domain="cluster.local", max_lifetime=maximum)
    await server.put(client(anchors=[server.ca], token_lifetime=own), policy)

    response = await _ask(server)

    claims = _claims(response)
    assert response.json()["expires_in"] == claims["exp"] - claims["iat"] == expected


async def test_a_client_that_its_policy_refuses_gets_nothing(server: RunningServer) -> None:
    """An explicit lifetime beyond the maximum is a violation, not silently narrowed."""
    policy = EffectivePolicy(trust_domain="cluster.local", cluster_domain="cluster.local", max_lifetime=60)
    await server.put(client(anchors=[server.ca], token_lifetime=300), policy)

    assert_error(await _ask(server), 400, "unauthorized_client")


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/oauth2/token", {}, b"", 405),  # O-01
        ("PUT", "/oauth2/introspect", {}, b"", 405),
        ("DELETE", "/oauth2/revoke", {}, b"", 405),
        ("POST", "/oauth2/jwks", {}, b"", 405),
        ("POST", "/.well-known/oauth-authorization-server", {}, b"", 405),
        ("OPTIONS", "/oauth2/token", {}, b"", 405),
        ("GET", "/", {}, b"", 404),
        ("POST", "/oauth2/token/", {}, b"", 404),
        ("GET", "/oauth2/%2e%2e/%00", {}, b"", 404),
        ("POST", "/oauth2/token", {}, b"", 400),
        ("POST", "/oauth2/token", {"content-type": "application/json"}, b"{}", 400),  # O-02
        ("POST", "/oauth2/token", {"content-type": "multipart/form-data; boundary=x"}, b"--x--", 400),
        ("POST", "/oauth2/token", {"content-type": FORM + "; charset=utf-16"}, b"a=b", 400),
        ("POST", "/oauth2/token", {"content-type": FORM}, b"a=%zz", 400),
        ("POST", "/oauth2/token", {"content-type": FORM}, b"a=\xff", 400),
        ("POST", "/oauth2/token", {"content-type": FORM, "content-encoding": "gzip"}, b"\x1f\x8b", 415),
        ("POST", "/oauth2/token", {"content-type": FORM}, b"a=" + b"b" * 20_000, 413),
        ("POST", "/oauth2/token", {"content-type": FORM, "authorization": "Basic %%%"}, b"client_id=a&grant_type=x", 400),
        ("POST", "/oauth2/token", {"content-type": FORM, "authorization": "Basic YQ=="}, b"client_id=a&grant_type=x", 400),
    ],
)
async def test_every_refusal_has_one_shape(
    server: RunningServer, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """Whatever is wrong with it (O-01, O-02, O-08)."""
    async with server.http() as http:
        response = await http.request(method, server.mtls + path, headers=headers, content=body)

    assert_error(response, status, "invalid_request")
    if status == 405:
        assert response.headers["allow"] in ("POST", "GET, HEAD")


async def test_a_body_in_chunks_without_an_end_is_too_large(server: RunningServer) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b"a=" + b"b" * 1000

    async with server.http() as http:
        response = await http.post(server.token_endpoint, content=chunks(), headers={"content-type": FORM})

    assert_error(response, 413, "invalid_request")


async def test_another_authorization_scheme_is_no_authentication(server: RunningServer) -> None:
    async with server.http() as http:
        response = await http.post(server.token_endpoint, data=token_form(), headers={"authorization": "Bearer x"})

    assert_error(response, 401, "invalid_client")


async def test_head_answers_as_get_without_a_body(server: RunningServer) -> None:
    async with server.http() as http:
        response = await http.head(server.issuer + "/oauth2/jwks")

    assert (response.status_code, response.content) == (200, b"")
