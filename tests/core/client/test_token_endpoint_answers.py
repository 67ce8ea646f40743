"""Whatever a token endpoint answers, the client has a token or says in a typed error why not."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from holdfast.client import BoundTokenAuth, ClientError, TokenRefused, TokenUnavailable
from tests.authserver.running import MovingClock
from tests.core.client.world import listening
from tests.core.x509.authority import Authority

ROOT = Authority.root()
GOOD = {"access_token": "abc.def.ghi", "token_type": "Bearer", "expires_in": 300, "scope": "a b"}


class Odd:
    """An endpoint that answers as it is told; `metadata` overrides members of an honest document."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.body = json.dumps(GOOD).encode()
        self.headers: list[tuple[bytes, bytes]] = []
        self.metadata: dict[str, Any] = {}
        self.paths: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await self.go_on.wait()
        body, status = self.body, self.status
        if scope["path"].startswith("/.well-known/"):
            document = {"issuer": self.url, "token_endpoint": f"{self.url}/plain",
                        "mtls_endpoint_aliases": {"token_endpoint": f"{self.url}/mtls"}}  # fmt: skip
            body, status = json.dumps(document | self.metadata).encode(), 200
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": body})


@pytest_asyncio.fixture
async def odd(tmp_path: Path) -> AsyncIterator[Odd]:
    app = Odd()
    async with listening(app, ROOT, tmp_path / "odd") as url:
        app.url = url
        ROOT.issue("CN=orders").write(tmp_path)
        (tmp_path / "ca.crt").write_bytes(ROOT.pem)
        yield app


def auth(odd: Odd, folder: Path, **changes: Any) -> BoundTokenAuth:
    options: dict[str, Any] = {"client_id": "shop.orders", "cert_file": folder / "tls.crt", "key_file": folder / "tls.key",
                               "ca_file": folder / "ca.crt", "token_endpoint": f"{odd.url}/token", "timeout": 5}  # fmt: skip
    return BoundTokenAuth(**(options | changes))


async def test_a_good_answer_is_a_token(odd: Odd, tmp_path: Path) -> None:
    token = (await auth(odd, tmp_path).keeper.apair()).token

    assert (token.value, token.scope) == ("abc.def.ghi", ("a", "b"))
    assert (token.expires_at - token.renew_at).total_seconds() == 60


@pytest.mark.parametrize("change", [{"expires_in": None}, {"token_type": "bearer"}, {"expires_in": 30.5}, {"scope": 7}])
async def test_what_a_specification_leaves_open_is_taken(odd: Odd, tmp_path: Path, change: dict[str, Any]) -> None:
    odd.body = json.dumps({name: value for name, value in (GOOD | change).items() if value is not None}).encode()

    assert (await auth(odd, tmp_path).keeper.apair()).token.value == "abc.def.ghi"


@pytest.mark.parametrize("body", [
    b"", b"[]", b"<html>", b"\xff", b"{}", b"[" * 100_000,
    *(json.dumps(GOOD | change).encode() for change in (
        {"access_token": ""}, {"access_token": 7}, {"access_token": "a\r\nx: y"}, {"access_token": "ä"},
        {"access_token": "a b"}, {"token_type": "DPoP"}, {"token_type": None}, {"expires_in": 0}, {"expires_in": -1},
        {"expires_in": "300"}, {"expires_in": True}, {"expires_in": 1e300}, {"expires_in": float("nan")},
    )),
])  # fmt: skip
async def test_an_answer_that_is_no_token_is_unavailable(odd: Odd, tmp_path: Path, body: bytes) -> None:
    odd.body = body
    with pytest.raises(TokenUnavailable) as unavailable:
        await auth(odd, tmp_path).keeper.apair()
    assert "abc.def.ghi" not in str(unavailable.value)


@pytest.mark.parametrize(("status", "body", "error"), [
    (400, {"error": "invalid_scope", "error_description": "no"}, TokenRefused("invalid_scope", "no", 400)),
    (401, {"error": "invalid_client"}, TokenRefused("invalid_client", "", 401)),
    (400, {"error": "invalid_request", "error_description": 7}, TokenRefused("invalid_request", "", 400)),
    (503, {"error": "temporarily_unavailable"}, TokenUnavailable("")),
    (500, {"error": "server_error"}, TokenUnavailable("")),
    (404, {"detail": "Not Found"}, TokenUnavailable("")),
    (302, {}, TokenUnavailable("")),
])  # fmt: skip
async def test_a_refusal_is_told_apart_from_trouble(
    odd: Odd, tmp_path: Path, status: int, body: dict[str, Any], error: ClientError
) -> None:
    odd.status, odd.body = status, json.dumps(body).encode()
    with pytest.raises(type(error)) as raised:
        await auth(odd, tmp_path).keeper.apair()
    if isinstance(error, TokenRefused):
        assert vars(raised.value) == vars(error)


async def test_threads_that_wait_for_a_failure_do_not_all_repeat_it(odd: Odd, tmp_path: Path) -> None:
    odd.status, odd.body = 401, b'{"error": "invalid_client"}'
    odd.go_on.clear()
    keeper = auth(odd, tmp_path).keeper
    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        waiting = [loop.run_in_executor(threads, keeper.pair) for _ in range(8)]
        async with asyncio.timeout(20):
            while not odd.paths:  # noqa: ASYNC110 - the threads do not tell
                await asyncio.sleep(0.01)
        odd.go_on.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {TokenRefused}
    assert len(odd.paths) <= 2, "one attempt, and one more for those who came while it was under way"


async def test_a_pair_that_lasts_is_not_renewed_in_a_tight_loop(odd: Odd, tmp_path: Path) -> None:
    clock = MovingClock()
    keeper = auth(odd, tmp_path, clock=clock).keeper
    good = await keeper.apair()
    odd.status = 503
    clock.move(seconds=250)

    assert [await keeper.apair() for _ in range(5)] == [good] * 5
    assert len(odd.paths) == 2
    clock.move(seconds=1)
    await keeper.apair()
    assert len(odd.paths) == 3


async def test_when_to_come_back_is_passed_on(odd: Odd, tmp_path: Path) -> None:
    odd.status, odd.body, odd.headers = 503, b"busy", [(b"retry-after", b"5")]
    with pytest.raises(TokenUnavailable) as unavailable:
        await auth(odd, tmp_path).keeper.apair()
    assert unavailable.value.retry_after == 5


async def test_discovery_prefers_the_endpoint_for_certificates(odd: Odd, tmp_path: Path) -> None:
    await auth(odd, tmp_path, token_endpoint=None, issuer=odd.url).keeper.apair()

    assert odd.paths == ["/.well-known/oauth-authorization-server", "/mtls"]


async def test_discovery_takes_the_plain_endpoint_where_there_is_no_other(odd: Odd, tmp_path: Path) -> None:
    odd.metadata = {"mtls_endpoint_aliases": None}
    await auth(odd, tmp_path, token_endpoint=None, issuer=odd.url).keeper.apair()

    assert odd.paths[-1] == "/plain"


@pytest.mark.parametrize("metadata", [
    {"issuer": "https://evil.example"}, {"issuer": None},
    {"mtls_endpoint_aliases": {"token_endpoint": "http://127.0.0.1/token"}},
    {"mtls_endpoint_aliases": {"token_endpoint": 7}},
    {"mtls_endpoint_aliases": [], "token_endpoint": None},
])  # fmt: skip
async def test_metadata_that_cannot_be_trusted_is_not_followed(odd: Odd, tmp_path: Path, metadata: dict[str, Any]) -> None:
    odd.metadata = metadata
    with pytest.raises(TokenUnavailable):
        await auth(odd, tmp_path, token_endpoint=None, issuer=odd.url).keeper.apair()
    assert odd.paths == ["/.well-known/oauth-authorization-server"]


async def test_an_issuer_with_a_path_is_found_where_rfc_8414_says(odd: Odd, tmp_path: Path) -> None:
    odd.metadata = {"issuer": f"{odd.url}/tenant"}
    await auth(odd, tmp_path, token_endpoint=None, issuer=f"{odd.url}/tenant").keeper.apair()

    assert odd.paths[0] == "/.well-known/oauth-authorization-server/tenant"


async def test_a_server_of_a_foreign_ca_never_sees_the_request(odd: Odd, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(Authority.root("CN=Other").pem)
    with pytest.raises(TokenUnavailable, match="certificate"):
        await auth(odd, tmp_path).keeper.apair()
    assert odd.paths == []
