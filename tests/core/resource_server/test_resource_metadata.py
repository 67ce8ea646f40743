"""Protected resource metadata (RFC 9728): the document, its path, and where a challenge points."""

import json
from typing import Any

import pytest

from holdfast.resource_server import (
    BoundTokenMiddleware,
    Expected,
    JwksCache,
    ResourceMetadata,
    TokenVerifier,
)
from tests.core.resource_server.issuer import ISSUER
from tests.core.resource_server.test_middleware import ask

API = ResourceMetadata(
    resource="https://orders.shop.svc/v1", authorization_servers=(ISSUER,), scopes=("orders.read",)
)  # fmt: skip
URL = "https://orders.shop.svc/.well-known/oauth-protected-resource/v1"


async def _api(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request of these tests may reach the API")


@pytest.fixture
def app() -> BoundTokenMiddleware:
    verifier = TokenVerifier(Expected(issuer=ISSUER, audience=API.resource), JwksCache("https://127.0.0.1:1/jwks"))
    return BoundTokenMiddleware(_api, verifier, metadata=API)


async def _get(app: BoundTokenMiddleware, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("https://a.example", "/.well-known/oauth-protected-resource"),
        ("https://a.example/", "/.well-known/oauth-protected-resource"),
        ("https://a.example/x/y", "/.well-known/oauth-protected-resource/x/y"),
    ],
)
def test_the_well_known_path_is_inserted_before_the_resources_own(resource: str, path: str) -> None:
    metadata = ResourceMetadata(resource=resource, authorization_servers=(ISSUER,))

    assert metadata.path == path
    assert metadata.url == "https://a.example" + path


@pytest.mark.parametrize("resource", ["http://a.example", "https://a.example#x", "https:///x", "urn:a", ""])
def test_a_resource_that_is_no_https_url_is_refused(resource: str) -> None:
    with pytest.raises(ValueError, match="https URL"):
        ResourceMetadata(resource=resource, authorization_servers=(ISSUER,))


async def test_anybody_may_read_the_document(app: BoundTokenMiddleware) -> None:
    status, headers, body = await _get(app, API.path)

    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {
        "resource": API.resource,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["orders.read"],
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": True,
    }


async def test_lists_without_an_element_are_left_out() -> None:
    bare = ResourceMetadata(resource="https://a.example", authorization_servers=())

    assert "authorization_servers" not in json.loads(bare.document())
    assert "scopes_supported" not in json.loads(bare.document())


async def test_it_is_read_only_and_at_no_other_path(app: BoundTokenMiddleware) -> None:
    assert (await _get(app, API.path, "POST"))[:2] == (405, {"allow": "GET, HEAD", "content-length": "0"})
    assert (await _get(app, API.path, "HEAD"))[2] == b""
    assert (await _get(app, "/.well-known/oauth-protected-resource"))[0] == 401


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [((), f'Bearer resource_metadata="{URL}"'), (("Bearer a b",), f'Bearer error="invalid_request", error_description="the '
     f'access token is not presented as one Authorization header", resource_metadata="{URL}"')],
)  # fmt: skip
async def test_every_challenge_says_where_to_learn_more(
    app: BoundTokenMiddleware, authorization: tuple[str, ...], challenge: str
) -> None:
    assert (await ask(app, *authorization)).headers["www-authenticate"] == challenge
