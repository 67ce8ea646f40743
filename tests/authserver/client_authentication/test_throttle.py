"""Failed authentications: how many there may be, for whom and for how long, and that nobody is locked out by another."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.oauth.errors import TooManyFailures
from holdfast_authserver.client_authentication import throttle
from holdfast_authserver.client_authentication.throttle import Attempt, FailureThrottle, ThrottleRules
from tests.authserver.running import MovingClock, RunningServer, client, running, token_form
from tests.authserver.transport.forwarded_server import ask, forwarding
from tests.authserver.transport.forwarding import rfc9440
from tests.core.x509.authority import Authority

AT = datetime(2030, 1, 1, tzinfo=UTC)
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"


def of(client_id: str = "shop.orders", address: str | None = HERE, thumbprint: str | None = "wrong") -> Attempt:
    return Attempt(client_id, address, thumbprint)


def counting(**changes: Any) -> FailureThrottle:
    rules: dict[str, Any] = {"per_client": 3, "per_address": 10, "window": 60.0, "loopback": True}
    return FailureThrottle(ThrottleRules(**(rules | changes)))


def passes(counted: FailureThrottle, attempt: Attempt, at: datetime = AT) -> bool:
    try:
        counted.check(attempt, at)
    except TooManyFailures:
        return False
    return True


def fail(counted: FailureThrottle, attempt: Attempt, times: int, at: datetime = AT) -> None:
    for _ in range(times):
        counted.failed(attempt, at)


def test_so_many_failures_and_then_a_wait_that_is_told() -> None:
    counted = counting()
    fail(counted, of(), 2)
    assert passes(counted, of())
    fail(counted, of(), 1)

    with pytest.raises(TooManyFailures) as refused:
        counted.check(of(), AT)

    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (429, "temporarily_unavailable", 20)
    assert not passes(counted, of(), AT + timedelta(seconds=19))
    assert passes(counted, of(), AT + timedelta(seconds=20))


def test_the_wait_is_over_one_attempt_at_a_time() -> None:
    counted = counting()
    fail(counted, of(), 50)
    later = AT + timedelta(seconds=20)
    assert passes(counted, of(), later)
    fail(counted, of(), 1, later)

    assert not passes(counted, of(), later)
    assert passes(counted, of(), AT + timedelta(hours=1))


def test_an_attacker_elsewhere_locks_no_client_out() -> None:
    """Neither by the client's id nor by its own address."""
    counted = counting()
    fail(counted, of(address=ELSEWHERE), 500)

    assert not passes(counted, of(address=ELSEWHERE))
    assert passes(counted, of())


def test_a_certificate_that_has_proved_the_client_passes_from_the_address_of_an_attacker() -> None:
    """Nobody else can show it, so that it needs no throttling; any other one from there does."""
    counted = counting()
    counted.succeeded(of(thumbprint="right"))
    fail(counted, of(), 500)

    assert passes(counted, of(thumbprint="right"))
    assert not passes(counted, of(thumbprint="another"))
    assert not passes(counted, of("shop.cart", thumbprint="right")), "it proved one client, not the other"


def test_an_address_that_tries_many_clients_is_stopped_as_well() -> None:
    counted = counting()
    for number in range(10):
        counted.failed(of(f"guess-{number}"), AT)

    assert not passes(counted, of("guess-11"))
    assert passes(counted, of("guess-11", ELSEWHERE))


@pytest.mark.parametrize(("rules", "attempt"), [
    ({"per_client": 0, "per_address": 0}, of()),
    ({"loopback": False}, of(address="127.0.0.1")),
    ({"loopback": False}, of(address="::1")),
    ({}, of(address=None)),
])  # fmt: skip
def test_what_is_not_counted_always_passes(rules: dict[str, Any], attempt: Attempt) -> None:
    counted = counting(**rules)
    fail(counted, attempt, 500)

    assert passes(counted, attempt)


def test_loopback_counts_where_it_is_told_to() -> None:
    counted = counting()
    fail(counted, of(address="127.0.0.1"), 3)

    assert not passes(counted, of(address="127.0.0.1"))


def test_ipv6_is_counted_by_network() -> None:
    counted = counting()
    for number in range(3):
        counted.failed(of(address=f"2001:db8::{number}"), AT)

    assert not passes(counted, of(address="2001:db8::ffff"))
    assert passes(counted, of(address="2001:db8:0:1::1"))


def test_a_clock_that_is_set_back_neither_fills_nor_empties() -> None:
    counted = counting()
    fail(counted, of(), 3)

    assert not passes(counted, of(), AT - timedelta(days=1))
    assert passes(counted, of(), AT + timedelta(days=1))


def test_memory_is_bounded_whatever_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_MAX_BUCKETS", 100)
    monkeypatch.setattr(throttle, "_MAX_PROVEN", 100)
    counted = counting()
    for number in range(1000):
        counted.failed(of("x" * 10_000 + str(number), f"192.0.{number % 250}.1"), AT)
        counted.succeeded(of(f"c{number}", thumbprint="t"))

    assert (len(counted._buckets), len(counted._proven)) == (100, 100)
    assert all(len(str(key)) < 400 for key in counted._buckets)


async def refused(server: RunningServer, times: int) -> list[int]:
    foreign = Authority.root().issue(uris=["spiffe://cluster.local/ns/shop/sa/orders"])
    async with server.http(foreign) as http:
        return [(await http.post(server.token_endpoint, data=token_form())).status_code for _ in range(times)]


async def test_the_token_endpoint_answers_429_with_retry_after_and_lets_the_client_itself_through(tmp_path: Path) -> None:
    clock = MovingClock()
    async with running(tmp_path, clock=clock, throttle_loopback=True, throttle_per_client=4) as server:
        await server.put(client(anchors=[server.ca]))
        good = server.certificate()
        assert (await server.token(good)).status_code == 200
        assert await refused(server, 6) == [401] * 4 + [429] * 2

        async with server.http() as http:
            answer = await http.post(server.token_endpoint, data=token_form())
        assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (
            429,
            "temporarily_unavailable",
            "15",
        )
        assert (await server.token(good)).status_code == 200
        clock.move(seconds=15)
        assert await refused(server, 2) == [401, 429]
    assert '"reason":"throttled"' in server.audit_log.read_text()


async def test_unknown_clients_are_throttled_like_known_ones(tmp_path: Path) -> None:
    """Nobody learns from it who is registered (E-02)."""
    async with running(tmp_path, clock=MovingClock(), throttle_loopback=True, throttle_per_client=2) as server:
        await server.put(client(anchors=[server.ca]))
        async with server.http() as http:
            for client_id in ("shop.orders", "shop.nobody"):
                answers = [await http.post(server.token_endpoint, data=token_form(client_id)) for _ in range(3)]
                assert [(a.status_code, a.json()["error"]) for a in answers] == [
                    (401, "invalid_client"), (401, "invalid_client"), (429, "temporarily_unavailable")]  # fmt: skip


@pytest.mark.parametrize("counted", [False, True])
async def test_behind_a_terminator_nobody_is_throttled_unless_told(tmp_path: Path, counted: bool) -> None:
    """The address is the terminator's: all its clients would share one bucket."""
    settings: dict[str, Any] = {"throttle_loopback": True, "throttle_per_client": 2, "throttle_forwarded": counted}
    async with forwarding(tmp_path, clock=MovingClock(), forwarded_port=0, **settings) as server:
        statuses = [(await ask(server)).status for _ in range(4)]

        assert statuses == ([401, 401, 429, 429] if counted else [401] * 4)
        assert (await ask(server, rfc9440(server.certificate()))).status == (429 if counted else 200)
