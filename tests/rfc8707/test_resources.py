"""RFC 8707: which resource a token may be asked for, and that the token is good for that one alone."""

from typing import Any

import httpx
import pytest

from holdfast.oauth.client_metadata import AllowedRequester, ResourceServer, TokenFormat
from tests.authserver.running import RunningServer, client
from tests.rfc8705.expectations import assert_error

pytestmark = pytest.mark.asyncio(loop_scope="module")
API, OTHER = "https://api.fin.svc", "https://other.fin.svc"


async def _ask(server: RunningServer, *resources: str, client_id: str = "shop.orders", **form: str) -> httpx.Response:
    data: dict[str, Any] = {"grant_type": "client_credentials", "client_id": client_id, "resource": list(resources), **form}
    async with server.http(server.certificate(client_id)) as http:
        return await http.post(server.token_endpoint, data=data)


async def _put(server: RunningServer, **changes: Any) -> None:
    reader = AllowedRequester(namespace="shop", client="orders", scopes=("orders.read",))
    api = ResourceServer(audiences=(API,), allow_from=(reader,))
    await server.put(client("fin.api", anchors=[server.ca], resource_server=api))
    await server.put(client(anchors=[server.ca], resources=(API, OTHER), **changes))


@pytest.mark.parametrize(
    "resource",
    ["orders", "/relative", "//host/x", f"{API}#fragment", f"{API}#", "https://a b", "ä:x", "https://[::1", "x" * 3000],
)
async def test_what_is_no_absolute_uri_without_fragment_is_no_target(server: RunningServer, resource: str) -> None:
    """Its own code (R-01)."""
    assert_error(await _ask(server, resource), 400, "invalid_target")


async def test_one_resource_may_be_named_twice_and_two_not_at_once(server: RunningServer) -> None:
    """A token is for one audience (R-01, R-04)."""
    await _put(server)

    assert (await _ask(server, API, API)).status_code == 200
    assert_error(await _ask(server, API, OTHER), 400, "invalid_target")


@pytest.mark.parametrize(
    ("client_id", "resource"), [("shop.orders", "https://unknown.example"), ("shop.orders", OTHER), ("shop.cart", API)]
)
async def test_a_resource_that_is_unknown_or_not_for_this_client_is_no_target(
    server: RunningServer, client_id: str, resource: str
) -> None:
    """Not registered, owned by nobody, and another client's (R-02)."""
    await _put(server)

    assert_error(await _ask(server, resource, client_id=client_id), 400, "invalid_target")


@pytest.mark.parametrize("token_format", list(TokenFormat))
async def test_audience_and_scope_are_narrowed_to_the_resource(server: RunningServer, token_format: TokenFormat) -> None:
    """To what its owner grants to this client, and the answer says so (R-04)."""
    await _put(server, token_format=token_format)
    body = (await _ask(server, API)).json()
    seen = await server.introspect(server.certificate("fin.api"), body["access_token"], "fin.api")

    assert (seen["aud"], seen["scope"], body["scope"]) == (API, "orders.read", "orders.read")
    assert_error(await _ask(server, API, scope="orders.write"), 400, "invalid_scope")


async def test_without_a_resource_the_first_of_the_client_is_the_audience_else_the_issuer(server: RunningServer) -> None:
    """And where that first one cannot be had, nothing is (J-04)."""
    await _put(server)
    own = (await _ask(server)).json()["access_token"]
    bare = (await _ask(server, client_id="shop.cart")).json()["access_token"]
    await server.put(client("shop.lost", anchors=[server.ca], resources=("https://nobodys.example",)))

    assert (await server.introspect(server.certificate(), own))["aud"] == API
    assert (await server.introspect(server.certificate("shop.cart"), bare, "shop.cart"))["aud"] == server.issuer
    assert_error(await _ask(server, client_id="shop.lost"), 400, "invalid_target")
