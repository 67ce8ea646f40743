"""A bound token for httpx, against a real authorization server and a real API: always one pair."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from holdfast.client import (
    BoundTransport,
    IdentityError,
    NotBound,
    TokenRefused,
    TokenUnavailable,
    bound_async_client,
    bound_client,
)
from holdfast.x509.certificate import Certificate
from tests.authserver.running import MovingClock
from tests.core.client.world import World, listening, world
from tests.core.x509.authority import Authority, key_pem, new_key


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest_asyncio.fixture
async def timed(tmp_path: Path, clock: MovingClock) -> AsyncIterator[World]:
    async with world(tmp_path, clock) as running:
        yield running


def thumbprint(here: World) -> str:
    return Certificate.from_pem((here.folder / "tls.crt").read_bytes()).x5t_s256


async def test_a_request_goes_with_a_token_of_its_own_certificate(here: World) -> None:
    async with bound_async_client(here.auth(scopes="orders.read")) as client:
        answer = await client.get(here.api.url)

    assert answer.status_code == 200
    assert answer.json()["x5t"] == thumbprint(here)
    assert answer.json()["scope"] == ["orders.read"]


async def test_the_same_without_asyncio_and_with_the_token_endpoint_named(here: World) -> None:
    def work() -> list[httpx.Response]:
        with bound_client(here.auth(issuer=None, token_endpoint=here.server.token_endpoint)) as client:
            return [client.get(here.api.url), client.post(here.api.url, json={"a": 1})]

    answers = await asyncio.to_thread(work)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.json()["jti"] for answer in answers}) == 1, "one token serves both"


async def test_the_token_stands_in_no_request_that_the_application_can_see(here: World) -> None:
    auth = here.auth()
    async with bound_async_client(auth) as client:
        answer = await client.get(here.api.url)

    sent = str(here.api.seen[0]).removeprefix("Bearer ")
    assert "authorization" not in answer.request.headers
    assert sent not in repr(auth.keeper.pair())
    assert "PRIVATE" not in repr(auth.keeper.pair())


async def test_many_requests_at_once_share_one_token(here: World) -> None:
    async with bound_async_client(here.auth(), timeout=30) as client:
        answers = await asyncio.gather(*(client.get(here.api.url) for _ in range(30)))

    assert len({answer.json()["jti"] for answer in answers}) == 1


async def test_many_threads_share_one_token(here: World) -> None:
    with bound_client(here.auth(), timeout=30) as client:
        answers = await asyncio.gather(*(asyncio.to_thread(client.get, here.api.url) for _ in range(8)))

    assert len({answer.json()["jti"] for answer in answers}) == 1


async def test_a_token_is_renewed_before_it_ends_and_not_sooner(timed: World, clock: MovingClock) -> None:
    async with bound_async_client(timed.auth()) as client:
        first = (await client.get(timed.api.url)).json()["jti"]
        clock.move(seconds=239)  # of 300
        second = (await client.get(timed.api.url)).json()["jti"]
        clock.move(seconds=2)
        third = (await client.get(timed.api.url)).json()["jti"]

    assert first == second
    assert second != third


async def test_m74_a_new_certificate_brings_a_new_token_and_a_new_connection(here: World) -> None:
    async with bound_async_client(here.auth()) as client:
        before = (await client.get(here.api.url)).json()
        new = here.rotate()
        after = await client.get(here.api.url)

    assert after.status_code == 200
    assert after.json()["x5t"] == new.certificate.x5t_s256 != before["x5t"]
    assert after.json()["jti"] != before["jti"]


async def test_rotations_under_load_never_mix_a_token_with_another_certificate(here: World) -> None:
    """The API refuses whatever is mixed, and a refusal would be seen as a retry: a token more than rotations."""
    done = asyncio.Event()
    statuses: list[int] = []

    async def call(client: httpx.AsyncClient) -> None:
        while not done.is_set():
            statuses.append((await client.get(here.api.url)).status_code)

    async with bound_async_client(here.auth(), timeout=30) as client:
        callers = [asyncio.create_task(call(client)) for _ in range(4)]
        for _ in range(8):
            here.rotate()
            seen = len(statuses)
            while len(statuses) < seen + 10:  # noqa: ASYNC110 - the callers count, nobody tells
                await asyncio.sleep(0.01)
        done.set()
        await asyncio.gather(*callers)

    assert set(statuses) == {200}
    assert len({token for token in here.api.seen if token}) <= 9


@pytest.mark.parametrize("first", ["tls.crt", "tls.key"])
async def test_half_a_rotation_keeps_the_old_pair_until_the_other_half_is_there(
    timed: World, clock: MovingClock, first: str
) -> None:
    async with bound_async_client(timed.auth()) as client:
        old = (await client.get(timed.api.url)).json()
        new = timed.server.certificate()
        halves = {"tls.crt": new.chain_pem, "tls.key": new.key_pem}
        timed.swap(first, halves.pop(first))
        during = (await client.get(timed.api.url)).json()
        ((second, content),) = halves.items()
        timed.swap(second, content)
        clock.move(seconds=1)
        after = (await client.get(timed.api.url)).json()

    assert during == old
    assert after["x5t"] == new.certificate.x5t_s256


async def test_a_response_that_is_being_read_survives_a_rotation(here: World) -> None:
    async with bound_async_client(here.auth()) as client, client.stream("GET", f"{here.api.url}/slow") as slow:
        pieces = slow.aiter_bytes()
        read = len(await anext(pieces))
        here.rotate()
        assert (await client.get(here.api.url)).status_code == 200
        here.rotate()
        assert (await client.get(here.api.url)).status_code == 200
        here.api.go_on.set()
        async for piece in pieces:
            read += len(piece)

    assert read > 100_000


async def test_connections_of_a_replaced_certificate_are_closed(here: World) -> None:
    def work() -> tuple[int, int]:
        transport = BoundTransport(auth := here.auth())
        with httpx.Client(auth=auth, transport=transport) as client:
            client.get(here.api.url)
            here.rotate()
            client.get(here.api.url)
            between = len(transport._pools._pools)
        return between, len(transport._pools._pools)

    assert await asyncio.to_thread(work) == (1, 0)


async def test_a_refused_token_is_replaced_once(here: World) -> None:
    async with bound_async_client(here.auth()) as client:
        first = (await client.get(here.api.url)).json()["jti"]
        here.api.refused.add(first)
        again = await client.post(here.api.url, content=b"body")

    assert again.status_code == 200
    assert again.json()["jti"] != first
    assert len(here.api.seen) == 3


async def test_an_api_that_refuses_every_token_is_asked_twice_and_believed(here: World) -> None:
    here.api.refused.add("*")
    async with bound_async_client(here.auth()) as client:
        answer = await client.get(here.api.url)

    assert answer.status_code == 401
    assert len(here.api.seen) == 2


async def test_a_body_that_is_gone_is_not_sent_again(here: World) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    here.api.refused.add("*")
    async with bound_async_client(here.auth()) as client:
        answer = await client.post(here.api.url, content=body())

    assert answer.status_code == 401
    assert len(here.api.seen) == 1


async def test_over_any_other_transport_no_token_leaves(here: World) -> None:
    context = here.server.tls(here.server.certificate())
    async with httpx.AsyncClient(auth=here.auth(), verify=context) as client:
        with pytest.raises(NotBound, match="bound_client"):
            await client.get(here.api.url)

    assert here.api.seen == [None]


async def test_without_tls_nothing_is_sent(here: World) -> None:
    async with bound_async_client(here.auth()) as client:
        with pytest.raises(NotBound, match="https"):
            await client.get(here.api.url.replace("https", "http"))

    assert here.api.seen == []


async def test_a_redirect_takes_the_token_along_on_its_own_origin_only(here: World, tmp_path: Path) -> None:
    strangers: list[Any] = []

    async def stranger(scope: Any, receive: Any, send: Any) -> None:
        strangers.append([value for name, value in scope["headers"] if name == b"authorization"])
        challenge = [(b"www-authenticate", b'Bearer error="invalid_token"')]
        await send({"type": "http.response.start", "status": 401, "headers": challenge})
        await send({"type": "http.response.body", "body": b"{}"})

    async with (
        listening(stranger, here.server.server_ca, tmp_path / "stranger") as elsewhere,
        bound_async_client(here.auth(), follow_redirects=True) as client,
    ):
        here.api.redirects = {"/near": "/", "/far": f"{elsewhere}/"}
        near = await client.get(f"{here.api.url}/near")
        far = await client.get(f"{here.api.url}/far")

    assert "jti" in near.json()
    assert far.status_code == 401
    assert strangers == [[]]
    assert len(here.api.seen) == 3, "what a stranger says of a token it never saw is no reason to repeat the request"


async def test_a_request_without_auth_shows_the_certificate_and_no_token(here: World) -> None:
    async with bound_async_client(here.auth()) as client:
        answer = await client.get(here.api.url, auth=None)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_refusal_of_the_server_is_told_in_its_own_words(here: World) -> None:
    async with bound_async_client(here.auth(client_id="shop.nobody")) as client:
        with pytest.raises(TokenRefused) as refused:
            await client.get(here.api.url)
    assert (refused.value.error, refused.value.status) == ("invalid_client", 401)

    async with bound_async_client(here.auth(scopes=["orders.delete"])) as client:
        with pytest.raises(TokenRefused) as refused:
            await client.get(here.api.url)
    assert (refused.value.error, refused.value.status) == ("invalid_scope", 400)
    assert refused.value.error_description
    assert here.api.seen == []


async def test_while_the_server_is_away_the_pair_is_used_to_its_end(tmp_path: Path, clock: MovingClock) -> None:
    async with world(tmp_path, clock) as here, bound_async_client(here.auth()) as client:
        before = (await client.get(here.api.url)).json()
        await here.server.server.stop()
        clock.move(seconds=250)
        assert (await client.get(here.api.url)).json() == before
        clock.move(seconds=50)
        with pytest.raises(TokenUnavailable):
            await client.get(here.api.url)


async def test_all_who_wait_share_a_failure(here: World) -> None:
    async with bound_async_client(here.auth(client_id="shop.nobody")) as client:
        outcomes = await asyncio.gather(*(client.get(here.api.url) for _ in range(20)), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {TokenRefused}
    await here.server.server.stop()  # writes what is left of the audit log
    refusals = [json.loads(line) for line in here.server.audit_log.read_text().splitlines()]
    assert len(refusals) == 1


async def test_an_expired_certificate_is_told_before_anything_is_sent(timed: World, clock: MovingClock) -> None:
    clock.move(days=31)
    async with bound_async_client(timed.auth()) as client:
        with pytest.raises(IdentityError, match="expired"):
            await client.get(timed.api.url)


@pytest.mark.parametrize(("name", "content", "says"), [
    ("tls.crt", None, "No such file"),
    ("tls.key", None, "No such file"),
    ("ca.crt", None, "No such file"),
    ("tls.crt", b"garbage", "found none"),
    ("tls.key", b"garbage", "expected an unencrypted private key"),
    ("tls.key", key_pem(new_key()), "found another one"),
    ("ca.crt", b"garbage", "found none"),
])  # fmt: skip
async def test_files_that_cannot_be_used_are_named(here: World, name: str, content: bytes | None, says: str) -> None:
    if content is None:
        (here.folder / name).unlink()
    else:
        (here.folder / name).write_bytes(content)
    async with bound_async_client(here.auth()) as client:
        with pytest.raises(IdentityError, match=says) as unusable:
            await client.get(here.api.url)
    assert name in str(unusable.value)


async def test_an_api_of_a_foreign_ca_gets_no_token(here: World, tmp_path: Path) -> None:
    (tmp_path / "other.crt").write_bytes(Authority.root("CN=Other").pem)
    async with bound_async_client(here.auth(api_ca_file=tmp_path / "other.crt")) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(here.api.url)

    assert here.api.seen == []


@pytest.mark.parametrize("options", [
    {"issuer": None}, {"token_endpoint": "https://as.example/token"}, {"issuer": "http://as.example"},
])  # fmt: skip
async def test_where_tokens_come_from_is_said_once_and_with_tls(here: World, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        here.auth(**options)


async def test_options_that_httpx_would_ignore_are_refused(here: World) -> None:
    with pytest.raises(TypeError, match="verify"):
        bound_client(here.auth(), verify=False)
