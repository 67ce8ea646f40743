"""RFC 8705 section 2.2.2: certificates that a client publishes at its `jwks_uri`, fetched from a real HTTPS server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.authserver.client_authentication.credentials import certificate_jwk, self_signed, self_signed_client
from tests.authserver.client_authentication.publisher import Publisher, publishing
from tests.authserver.running import MovingClock, RunningServer, running, token_form
from tests.core.x509.authority import NOW, Authority, Issued
from tests.rfc8705.expectations import assert_failed_authentication

CA = Authority.root("CN=Private PKI")
OLD, NEW, FOREIGN = self_signed("old"), self_signed("new"), self_signed("foreign")
LOOPBACK = ("127.0.0.0/8",)


def _set(*issued: Issued) -> dict[str, Any]:
    return {"keys": [certificate_jwk(each) for each in issued]}


@asynccontextmanager
async def _house(folder: Path, clock: MovingClock, **settings: Any) -> AsyncIterator[tuple[RunningServer, Publisher]]:
    """A server that trusts the publisher's CA and may ask loopback; `shop.orders` publishes OLD at /keys."""
    (folder / "ca.pem").write_bytes(CA.pem)
    values: dict[str, Any] = {
        "jwks_uri_ca_file": folder / "ca.pem",
        "jwks_uri_allowed_hosts": LOOPBACK,
        "jwks_uri_timeout": 1.0,
    }
    async with publishing(CA) as publisher, running(folder, clock=clock, **(values | settings)) as server:
        await server.put(self_signed_client("shop.orders", jwks_uri=publisher.publish("/keys", _set(OLD))))
        yield server, publisher


def _audited(server: RunningServer, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in server.audit_log.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


async def test_m42_keys_are_fetched_once_and_kept(tmp_path: Path) -> None:
    """However many requests there are (M-42)."""
    async with _house(tmp_path, MovingClock(NOW)) as (server, publisher):
        async with server.http(OLD) as http:
            answers = [await http.post(server.token_endpoint, data=token_form()) for _ in range(5)]

        assert [answer.status_code for answer in answers] == [200] * 5
        assert publisher.count("/keys") == 1


async def test_m42_a_certificate_that_was_just_published_is_let_in_at_once(tmp_path: Path) -> None:
    """An unknown one causes one fetch, after which it is known (M-42, M-41)."""
    clock = MovingClock(NOW)
    async with _house(tmp_path, clock) as (server, publisher):
        await server.token(OLD)
        publisher.publish("/keys", _set(OLD, NEW))
        clock.move(seconds=11)

        assert (await server.token(NEW)).status_code == 200
        assert publisher.count("/keys") == 2


async def test_m41_a_withdrawn_certificate_dies_after_the_cache_bound(tmp_path: Path) -> None:
    """Until then it may live (M-41)."""
    clock = MovingClock(NOW)
    async with _house(tmp_path, clock, jwks_uri_max_age=60) as (server, publisher):
        await server.token(OLD)
        publisher.publish("/keys", _set(NEW), cache_control="max-age=86400")
        clock.move(seconds=59)
        within = await server.token(OLD)
        clock.move(seconds=2)
        beyond = await server.token(OLD)

    assert within.status_code == 200
    assert_failed_authentication(beyond)


async def test_m42_a_thousand_unknown_certificates_cause_one_fetch(tmp_path: Path) -> None:
    """At once or one after the other: one for each client and window (M-42)."""
    clock = MovingClock(NOW)
    async with _house(tmp_path, clock) as (server, publisher):
        await server.token(OLD)
        clock.move(seconds=11)
        others = [self_signed(f"unknown-{number}") for number in range(10)]
        for _ in range(5):
            answers = await asyncio.gather(*(_twenty(server, issued) for issued in others))
            for answer in (each for twenty in answers for each in twenty):
                assert_failed_authentication(answer)

        assert publisher.count("/keys") == 2
        clock.move(seconds=11)
        await server.token(others[0])
        assert publisher.count("/keys") == 3


async def _twenty(server: RunningServer, issued: Issued) -> list[httpx.Response]:
    async with server.http(issued) as http:
        return [await http.post(server.token_endpoint, data=token_form()) for _ in range(20)]


async def test_m42_requests_that_need_the_same_keys_share_one_fetch(tmp_path: Path) -> None:
    """Single flight (M-42)."""
    async with _house(tmp_path, MovingClock(NOW)) as (server, publisher):
        answers = await asyncio.gather(*(server.token(OLD) for _ in range(10)))

        assert [answer.status_code for answer in answers] == [200] * 10
        assert publisher.count("/keys") == 1


async def test_m42_an_endpoint_that_never_answers_blocks_nobody_else(tmp_path: Path) -> None:
    """Others are served while one waits, and the one is refused when its time is over (M-42)."""
    async with _house(tmp_path, MovingClock(NOW)) as (server, publisher):
        await server.put(self_signed_client("shop.slow", jwks_uri=publisher.hold("/slow")))
        await server.token(OLD)
        publisher.asked.clear()
        slow = asyncio.create_task(server.token(FOREIGN, "shop.slow"))
        await publisher.asked.wait()
        began = time.monotonic()
        others = [await server.token(OLD) for _ in range(5)]

        assert [answer.status_code for answer in others] == [200] * 5
        assert not slow.done()
        assert time.monotonic() - began < 0.9
        assert_failed_authentication(await slow)


@pytest.mark.parametrize("changes", [{"suspended": True}, {"scopes": ("orders.read",)}])
async def test_what_is_changed_while_keys_are_fetched_counts(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Or a client could hold a request up at its own endpoint until its rights are gone, and have them all the same."""
    async with _house(tmp_path, MovingClock(NOW), jwks_uri_timeout=10.0) as (server, publisher):
        url = publisher.hold("/keys")
        registered = self_signed_client("shop.orders", jwks_uri=url)
        waiting = asyncio.create_task(server.token(OLD))
        await publisher.asked.wait()
        await server.put(replace(registered, **changes))
        publisher.publish("/keys", _set(OLD))
        publisher.release.set()

        answer = await waiting
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await server.token(OLD)).status_code == (401 if "suspended" in changes else 200)


async def test_m42_while_fetches_fail_the_last_good_keys_count_up_to_a_bound(tmp_path: Path) -> None:
    """Endpoint down and cache expired: refused (M-42)."""
    clock = MovingClock(NOW)
    async with _house(tmp_path, clock, jwks_uri_max_age=60, jwks_uri_stale=600) as (server, publisher):
        await server.token(OLD)
        publisher.publish("/keys", {}, status="500 Internal Server Error")
        clock.move(seconds=61)
        stale = [await server.token(OLD), await server.token(OLD)]
        clock.move(seconds=600)
        too_old = await server.token(OLD)
        publisher.publish("/keys", _set(OLD))
        clock.move(seconds=11)
        await server.token(OLD)  # fetches beside the request, since the last one failed
        for _ in range(100):
            healed = await server.token(OLD)
            if healed.status_code == 200:
                break

    assert [answer.status_code for answer in stale] == [200, 200]
    assert_failed_authentication(too_old)
    assert healed.status_code == 200


async def test_m42_no_keys_at_all_is_a_refusal_like_any_other(tmp_path: Path) -> None:
    """Nothing listens there (M-42, E-01)."""
    async with _house(tmp_path, MovingClock(NOW)) as (server, _):
        await server.put(self_signed_client("shop.gone", jwks_uri="https://127.0.0.1:1/keys"))

        assert_failed_authentication(await server.token(OLD, "shop.gone"))


async def test_m37_keys_that_cannot_be_used_are_skipped_and_reported(tmp_path: Path) -> None:
    """PEM armour, another key's certificate, an unknown type: the good one beside them works (M-37)."""
    good, other = certificate_jwk(OLD), certificate_jwk(NEW)
    armoured = {**other, "x5c": [NEW.cert_pem.decode()]}
    mismatched = {**other, "x5c": certificate_jwk(FOREIGN)["x5c"]}
    odd = [armoured, mismatched, {"kty": "oct", "k": "AAAA"}, {"kty": "future"}, 7]
    async with _house(tmp_path, MovingClock(NOW)) as (server, publisher):
        publisher.publish("/keys", {"keys": [*odd, good]})
        accepted, refused = await server.token(OLD), await server.token(NEW)

    assert accepted.status_code == 200
    assert_failed_authentication(refused)
    [line] = _audited(server, "client_keys.fetched")
    assert line["keys"] == 1
    assert all(f"keys[{number}]" in line["skipped"] for number in range(5))


async def test_a_failed_fetch_stands_in_the_audit_log_without_its_url(tmp_path: Path) -> None:
    """A URL may hold a secret of its owner (M-42)."""
    async with _house(tmp_path, MovingClock(NOW)) as (server, publisher):
        url = publisher.publish("/secret", {}, status="500 Internal Server Error")
        await server.put(self_signed_client("shop.orders", jwks_uri=url))
        assert_failed_authentication(await server.token(OLD))

    [line] = _audited(server, "client_keys.failed")
    assert line["client_id"] == "shop.orders"
    assert line["reason"] == "expected status 200, found 500"
    assert "/secret" not in server.audit_log.read_text()


async def test_a_changed_jwks_uri_is_fetched_at_once(tmp_path: Path) -> None:
    """Keys of the old one count no more (E-03)."""
    async with _house(tmp_path, MovingClock(NOW)) as (server, publisher):
        await server.token(OLD)
        await server.put(self_signed_client("shop.orders", jwks_uri=publisher.publish("/elsewhere", _set(NEW))))

        assert_failed_authentication(await server.token(OLD))
        assert (await server.token(NEW)).status_code == 200


async def test_one_namespace_cannot_use_up_the_fetches_of_others(tmp_path: Path) -> None:
    """Twenty slow endpoints of one tenant, of which some are not even asked (M-42)."""
    async with _house(tmp_path, MovingClock(NOW)) as (server, publisher):
        slow = [f"greedy.slow-{number}" for number in range(20)]
        for client_id in slow:
            await server.put(self_signed_client(client_id, jwks_uri=publisher.hold(f"/{client_id}")))
        waiting = [asyncio.create_task(server.token(FOREIGN, client_id)) for client_id in slow]
        while len(publisher.requests) < 16:
            await publisher.asked.wait()
            await asyncio.sleep(0)
        fresh = await server.token(OLD)
        answers = await asyncio.gather(*waiting)

    assert fresh.status_code == 200
    assert len([path for path in publisher.requests if "slow" in path]) == 16
    for answer in answers:
        assert_failed_authentication(answer)


@pytest.mark.parametrize("hosts", [(), ("keys.example",), ("*.example", "10.0.0.0/8")])
async def test_m42_loopback_is_not_asked_unless_a_network_allows_it(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    """The address is judged, so that neither a name nor a list of names opens the server's own machine (M-42)."""
    async with _house(tmp_path, MovingClock(NOW), jwks_uri_allowed_hosts=hosts) as (server, publisher):
        assert_failed_authentication(await server.token(OLD))
        assert publisher.requests == []
