"""Fetching keys over real TLS: once when needed, never for each unknown key, and the last good set is kept."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from holdfast.resource_server import FetchRules, JwksCache, KeysUnavailable
from tests.core.resource_server.issuer import NOW, Issuer, JwksServer, jwks_server, trusting
from tests.core.x509.authority import Authority

ROOT = Authority.root()


class MovedClock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def server(tmp_path: Path, issuer: Issuer) -> Iterator[JwksServer]:
    with jwks_server(ROOT, tmp_path, issuer.jwks()) as running:
        yield running


@pytest.fixture
def cache(server: JwksServer, clock: MovedClock) -> JwksCache:
    return JwksCache(server.url, context=trusting(ROOT), clock=clock)


def test_a_set_is_fetched_once_and_used_until_it_is_old(cache: JwksCache, server: JwksServer, clock: MovedClock) -> None:
    first = cache.keys("one")
    clock.move(seconds=59)

    assert cache.keys("one") is first
    assert server.count == 1
    clock.move(seconds=2)
    assert cache.keys("one") is not first
    assert server.count == 2


def test_a_new_key_is_found_at_once(cache: JwksCache, server: JwksServer, issuer: Issuer, clock: MovedClock) -> None:
    cache.keys("one")
    clock.move(seconds=3)
    issuer.rotate("two")
    server.body = issuer.jwks()

    assert "two" in cache.keys("two").keys
    assert "one" not in cache.keys("two").keys, "a withdrawn key is gone with the fetch"


def test_unknown_keys_do_not_cause_a_fetch_each(cache: JwksCache, server: JwksServer, clock: MovedClock) -> None:
    for number in range(50):
        cache.keys(f"random-{number}")
    assert server.count == 1
    clock.move(seconds=2)
    cache.keys("random")
    assert server.count == 2


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"<html>"), (200, b'{"keys": []}'), (200, b" " * 300_000),
                                              (301, b"{}")])  # fmt: skip
def test_the_last_good_set_outlives_a_failure(
    cache: JwksCache, server: JwksServer, clock: MovedClock, status: int, body: bytes
) -> None:
    good = cache.keys("one")
    server.status, server.body = status, body
    clock.move(minutes=5)

    assert cache.keys("one") is good
    assert server.count == 2
    clock.move(days=1)
    with pytest.raises(KeysUnavailable):
        cache.keys("one")


def test_without_any_set_it_is_our_trouble_and_heals(cache: JwksCache, server: JwksServer, clock: MovedClock) -> None:
    good, server.status = server.status, 503
    with pytest.raises(KeysUnavailable):
        cache.keys("one")
    server.status = good
    clock.move(seconds=2)
    assert "one" in cache.keys("one").keys


def test_a_server_of_a_foreign_ca_is_not_believed(server: JwksServer, clock: MovedClock) -> None:
    cache = JwksCache(server.url, context=trusting(Authority.root("CN=Other")), clock=clock)
    with pytest.raises(KeysUnavailable):
        cache.keys("one")


def test_an_address_without_tls_is_refused() -> None:
    with pytest.raises(ValueError, match="https"):
        JwksCache("http://127.0.0.1/jwks")


def test_many_threads_cause_one_fetch(cache: JwksCache, server: JwksServer) -> None:
    server.hold.clear()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append("one" in cache.keys("one").keys)) for _ in range(20)]
    for thread in threads:
        thread.start()
    server.hold.set()
    for thread in threads:
        thread.join(30)

    assert found == [True] * 20
    assert server.count == 1


async def test_many_tasks_cause_one_fetch(cache: JwksCache, server: JwksServer) -> None:
    sets = await asyncio.gather(*(cache.akeys("one") for _ in range(50)))

    assert len({id(keys) for keys in sets}) == 1
    assert server.count == 1


async def test_who_has_its_key_does_not_wait_for_a_slow_issuer(
    cache: JwksCache, server: JwksServer, clock: MovedClock
) -> None:
    good = await cache.akeys("one")
    server.hold.clear()
    clock.move(minutes=2)

    assert await asyncio.wait_for(cache.akeys("one"), 5) is good
    async with asyncio.timeout(20):
        while server.count < 2:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.01)
    assert await asyncio.wait_for(asyncio.to_thread(cache.keys, "one"), 5) is good
    server.hold.set()


async def test_a_cancelled_request_leaves_the_fetch_to_the_others(cache: JwksCache, server: JwksServer) -> None:
    server.hold.clear()
    first, second = asyncio.create_task(cache.akeys("one")), asyncio.create_task(cache.akeys("one"))
    await asyncio.sleep(0)
    first.cancel()
    server.hold.set()

    assert "one" in (await second).keys
    with pytest.raises(asyncio.CancelledError):
        await first


def test_rules_can_be_set(server: JwksServer, clock: MovedClock) -> None:
    cache = JwksCache(server.url, context=trusting(ROOT), clock=clock, rules=FetchRules(fresh=timedelta(hours=1)))
    cache.keys("one")
    clock.move(minutes=59)
    cache.keys("one")
    assert server.count == 1
