"""RFC 6749 at the token endpoint: each malformed request, sent as it would be, over mutual TLS."""

import math
from collections import Counter
from typing import Any

import httpx
import pytest

from holdfast.oauth.client_metadata import TokenFormat
from holdfast.policy.model import EffectivePolicy
from tests.authserver.running import RunningServer, client, token_form
from tests.rfc8705.expectations import assert_error

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORM = "application/x-www-form-urlencoded"
GOOD = "grant_type=client_credentials&client_id=shop.orders"
LOCAL: dict[str, Any] = {"trust_domain": "cluster.local", "cluster_domain": "cluster.local"}


async def _post(server: RunningServer, body: str | bytes, *, query: str = "", **headers: str) -> httpx.Response:
    sent = {"content-type": FORM} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with server.http(server.certificate()) as http:
        return await http.post(server.token_endpoint + query, content=body, headers=sent)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_the_token_endpoint_takes_post_alone(server: RunningServer, method: str) -> None:
    """And says so (O-01)."""
    async with server.http(server.certificate()) as http:
        response = await http.request(method, server.token_endpoint)

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"grant_type":"client_credentials","client_id":"shop.orders"}', "application/json"),
        ("--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
        (GOOD, "text/plain"),
        (GOOD, f"{FORM}; charset=utf-16"),
        (GOOD + "&scope=%zz", FORM),
        (GOOD + "&scope=%f", FORM),
        (GOOD + "&scope=%ff", FORM),
        (GOOD.encode() + b"&scope=\xff", FORM),
        (GOOD + "&scope", FORM),
    ],
)
async def test_a_body_that_is_no_utf8_form_is_malformed(server: RunningServer, body: Any, content_type: str) -> None:
    """Another media type, bad escapes, bad UTF-8 (O-02)."""
    assert_error(await _post(server, body, content_type=content_type), 400, "invalid_request")


@pytest.mark.parametrize("again", ["grant_type=client_credentials", "client_id=shop.orders", "scope=a&scope=a", "x=1&x=2"])
async def test_a_parameter_that_repeats_is_malformed(server: RunningServer, again: str) -> None:
    """Known or not, equal or not (O-03)."""
    assert_error(await _post(server, f"{GOOD}&{again}"), 400, "invalid_request")


@pytest.mark.parametrize(
    "query", ["?grant_type=client_credentials", "?client_id=shop.orders", "?client_secret=x", "?scope="]
)
async def test_parameters_in_the_url_are_refused(server: RunningServer, query: str) -> None:
    """Credentials and grants alike (O-04)."""
    assert_error(await _post(server, GOOD, query=query), 400, "invalid_request")


async def test_an_empty_value_is_an_absent_one_and_unknown_parameters_are_ignored(server: RunningServer) -> None:
    """As is one in the URL that nobody knows (O-05)."""
    response = await _post(server, f"{GOOD}&scope=&resource=&audience=x&unknown=y", query="?trace=1")

    assert response.status_code == 200
    assert_error(await _post(server, "grant_type=&client_id=shop.orders"), 400, "invalid_request")


@pytest.mark.parametrize(
    ("grant_type", "code"),
    [
        (None, "invalid_request"), ("password", "unsupported_grant_type"), ("authorization_code", "unsupported_grant_type"),
        ("refresh_token", "unsupported_grant_type"), ("CLIENT_CREDENTIALS", "unsupported_grant_type"),
        ("urn:ietf:params:oauth:grant-type:token-exchange", "unsupported_grant_type"), ("\x00", "unsupported_grant_type"),
    ],
)  # fmt: skip
async def test_a_grant_type_that_is_missing_or_not_served_is_refused(
    server: RunningServer, grant_type: str | None, code: str
) -> None:
    """With its own code each (O-06)."""
    form = {"client_id": "shop.orders"} | ({} if grant_type is None else {"grant_type": grant_type})
    async with server.http(server.certificate()) as http:
        assert_error(await http.post(server.token_endpoint, data=form), 400, code)


@pytest.mark.parametrize(
    "policy",
    [
        EffectivePolicy(**LOCAL, allowed_grant_types=(frozenset({"authorization_code"}),)),
        EffectivePolicy(**LOCAL, allowed_scopes=(frozenset({"orders.*"}), frozenset({"orders.read"}))),
    ],
)
async def test_a_grant_or_scope_that_a_policy_does_not_allow_is_refused(
    server: RunningServer, policy: EffectivePolicy
) -> None:
    """Judged by the policy that is in force, whenever the client was registered (O-07, O-11)."""
    await server.put(client("shop.cart", anchors=[server.ca]))
    before = await server.token(server.certificate("shop.cart"), "shop.cart")
    await server.put(client("shop.cart", anchors=[server.ca]), policy)

    assert before.status_code == 200
    assert_error(await server.token(server.certificate("shop.cart"), "shop.cart"), 400, "unauthorized_client")


async def test_a_client_without_the_grant_is_not_authorized(server: RunningServer) -> None:
    """Although the server knows the grant (O-07)."""
    await server.put(client("shop.none", anchors=[server.ca], grant_types=()))

    assert_error(await server.token(server.certificate("shop.none"), "shop.none"), 400, "unauthorized_client")


@pytest.mark.parametrize("basic", ["Basic %%%", "Basic YQ==", "Basic", "Basic gIA6eA=="])
async def test_malformed_basic_credentials_are_malformed(server: RunningServer, basic: str) -> None:
    """No base64, no colon, no UTF-8 (O-08)."""
    assert_error(await _post(server, GOOD, authorization=basic), 400, "invalid_request")


async def test_wrong_basic_credentials_are_challenged(server: RunningServer) -> None:
    """Without a certificate beside them (O-08)."""
    async with server.http() as http:
        response = await http.post(server.token_endpoint, data=token_form(), auth=("shop.orders", "guess"))

    assert_error(response, 401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")


async def test_two_methods_in_one_request_are_refused(server: RunningServer) -> None:
    """A secret and an assertion (O-09)."""
    form = token_form(client_secret="x", client_assertion="a.b.c")
    async with server.http() as http:
        assert_error(await http.post(server.token_endpoint, data=form), 400, "invalid_request")


@pytest.mark.parametrize("token_format", list(TokenFormat))
async def test_an_unauthenticated_client_gets_nothing_and_nobody_a_refresh_token(
    server: RunningServer, token_format: TokenFormat
) -> None:
    """Type, lifetime as a number, and nothing to be stored (O-10, O-12)."""
    await server.put(client("shop.cart", anchors=[server.ca], token_format=token_format))
    async with server.http() as http:
        assert_error(await http.post(server.token_endpoint, data=token_form("shop.cart")), 401, "invalid_client")
    response = await server.token(server.certificate("shop.cart"), "shop.cart")

    assert set(response.json()) == {"access_token", "token_type", "expires_in", "scope"}
    assert response.json()["token_type"] == "Bearer"
    assert type(response.json()["expires_in"]) is int
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "scope",
    ["orders.delete", "orders.read orders.delete", "a  b", " orders.read", "orders.read ", 'a"b', "a\\b", "ä", "a\tb"],
)
async def test_a_scope_that_is_malformed_unknown_or_not_the_clients_is_refused(server: RunningServer, scope: str) -> None:
    """Never cut down in silence (O-11)."""
    assert_error(await server.token(server.certificate(), scope=scope), 400, "invalid_scope")


@pytest.mark.parametrize("token_format", list(TokenFormat))
async def test_tokens_cannot_be_guessed(server: RunningServer, token_format: TokenFormat) -> None:
    """144 random bits in the id of a JWT, which are signed; 192 in an opaque token, which is sealed (O-18)."""
    await server.put(client("shop.cart", anchors=[server.ca], token_format=token_format))
    certificate = server.certificate("shop.cart")
    tokens = [(await server.token(certificate, "shop.cart")).json()["access_token"] for _ in range(12)]
    ids = [(await server.introspect(certificate, token, "shop.cart"))["jti"] for token in tokens]

    assert len(set(tokens)) == len(set(ids)) == 12
    assert all(len(jti) == 24 for jti in ids)
    counted = Counter("".join(ids))
    entropy = -sum(n / 288 * math.log2(n / 288) for n in counted.values())
    assert entropy > 5  # bits a character, of 6; what 288 random ones come to is about 5.8
