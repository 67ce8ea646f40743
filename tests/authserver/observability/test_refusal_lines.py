"""Who proves to be nobody gets a bounded number of lines in the audit log; what goes beyond is counted in it."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.oauth.errors import InvalidClient, InvalidRequest, OAuthError
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.refusal_lines import LEFT_OUT, RefusalLines
from tests.authserver.registry.waiting import until
from tests.authserver.running import MovingClock, RunningServer, client, running, token_form


def _lines(server: RunningServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.audit_log.read_text().splitlines()]


async def _ask(http: httpx.AsyncClient, server: RunningServer, **form: str) -> str:
    """A token request that is refused; the id in its answer."""
    response = await http.post(server.token_endpoint, data=form)
    assert response.status_code in (400, 401), response.text
    return str(response.headers["holdfast-decision"])


async def test_what_goes_beyond_the_limit_is_counted_in_one_line_with_reasons_and_ids(tmp_path: Path) -> None:
    async with running(tmp_path, audit_refusals_per_minute=3) as server:
        await server.put(client(anchors=[server.ca]))
        async with server.http() as http:
            malformed = [await _ask(http, server, grant_type="client_credentials") for _ in range(5)]
            unknown = [await _ask(http, server, **token_form("shop.nobody")) for _ in range(2)]
    lines = _lines(server)

    refused = [line["decision"] for line in lines if line["event"] == "token.refused"]
    assert refused == malformed[:3]
    (told,) = (line for line in lines if line["event"] == LEFT_OUT)
    assert (told["count"], sum(told["reasons"].values()), told["remote"]) == (4, 4, "127.0.0.1")
    assert told["reasons"]["unknown_client"] == 2
    assert (told["first"], told["last"]) == (malformed[3], unknown[-1])
    assert told["decision"] not in {*malformed, *unknown}


async def test_who_floods_takes_no_line_from_a_registered_client_that_fails(tmp_path: Path) -> None:
    """Nor from one that proves who it is and is refused for what it asks, however often."""
    async with running(tmp_path, audit_refusals_per_minute=3) as server:
        await server.put(client(anchors=[server.ca]))
        async with server.http() as stranger, server.http(server.certificate()) as proven:
            for _ in range(6):
                await _ask(stranger, server, **token_form("shop.nobody"))
            failed = [await _ask(stranger, server, **token_form("shop.orders")) for _ in range(4)]
            asked = [await _ask(proven, server, **token_form("shop.orders", scope="too.much")) for _ in range(9)]
    decisions = {line["decision"] for line in _lines(server)}

    assert decisions >= {*failed[:3], *asked}
    assert failed[3] not in decisions


async def test_metrics_count_every_refusal_with_a_line_or_without(tmp_path: Path) -> None:
    async with running(tmp_path, audit_refusals_per_minute=1, ops_port=0) as server:
        async with server.http() as http:
            for _ in range(5):
                await _ask(http, server, **token_form("shop.nobody"))
        host, port = server.server.addresses["ops"]
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://{host}:{port}/metrics")).text

    assert 'error="invalid_client",reason="unknown_client"} 5.0' in text


@pytest.mark.parametrize("most", [0, 60])
async def test_within_the_limit_and_without_one_each_has_a_line(tmp_path: Path, most: int) -> None:
    async with running(tmp_path, audit_refusals_per_minute=most) as server, server.http() as http:
        decisions = [await _ask(http, server, **token_form("shop.nobody")) for _ in range(60 + (not most))]

    assert [line["decision"] for line in _lines(server)] == decisions


@dataclass
class _Log:
    """The lines in the place of a file, and the rule under test over them."""

    folder: Path
    clock: MovingClock = field(default_factory=MovingClock)
    asked: int = 0

    def __post_init__(self) -> None:
        self.audit = AuditLog(str(self.folder / "audit.log"), self.clock)

    def rule(self, **options: Any) -> RefusalLines:
        return RefusalLines(self.audit, {"shop.orders", "shop.other"}.__contains__, self.clock, **options)

    def ask(
        self, rule: RefusalLines, address: str | None, claimed: str | None = None, error: OAuthError | None = None
    ) -> bool:
        self.asked += 1
        peer = None if address is None else (address, 1)
        received = Received({"client": peer, "headers": []}, _nothing, f"{self.asked:016x}")
        received.named_client = claimed
        return rule.admit(received, error or InvalidRequest("no"))

    def left_out(self) -> list[dict[str, Any]]:
        self.audit.flush()
        lines = map(json.loads, (self.folder / "audit.log").read_text().splitlines())
        return [line for line in lines if line["event"] == LEFT_OUT]


async def _nothing() -> Any:
    raise AssertionError("nothing is read")


async def test_addresses_count_apart_and_those_of_one_ipv6_network_together(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    rule = log.rule(most=2)
    addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.1"]
    found = [log.ask(rule, address) for address in (*addresses, "2001:db8::3", None, None, None)]
    rule.close()

    assert found == [True] * 6 + [False, False, True, True, False]
    assert Counter(line.get("remote") for line in log.left_out()) == {"192.0.2.1": 1, "2001:db8::/64": 1, None: 1}
    log.audit.close()


async def test_the_next_minute_begins_anew_and_tells_of_the_one_before(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    rule = log.rule(most=1)
    first = [log.ask(rule, "192.0.2.1") for _ in range(3)]
    log.clock.move(seconds=59)
    assert not log.ask(rule, "192.0.2.1", "shop.nobody", InvalidClient("no"))
    log.clock.move(seconds=1)

    assert log.ask(rule, "192.0.2.1")
    assert first == [True, False, False]
    (told,) = log.left_out()
    assert (told["count"], told["first"], told["last"]) == (3, f"{2:016x}", f"{4:016x}")
    log.clock.move(hours=-1)
    assert log.ask(rule, "192.0.2.1")
    rule.close()
    log.audit.close()


async def test_it_is_told_although_nobody_asks_any_more(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    rule = log.rule(most=1, minute=timedelta(seconds=0.05))
    for _ in range(3):
        log.ask(rule, "192.0.2.1")

    await until(lambda: [line["count"] for line in log.left_out()] == [2])
    log.audit.close()


async def test_an_address_with_many_names_and_all_addresses_together_have_limits_too(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    rule = log.rule(most=2)
    named = [log.ask(rule, "192.0.2.1", name) for name in ("shop.orders", "shop.other", "x", "y", "z") * 2]
    everywhere = [log.ask(rule, f"198.51.{i % 256}.{i // 256}") for i in range(2000)]
    rule.close()

    assert named.count(True) == 6  # two for each registered client, two for all that are none
    assert named.count(True) + everywhere.count(True) == 100
    left_out = log.left_out()
    assert len(left_out) == 1001
    assert sum(line["count"] for line in left_out) == 2010 - 100
    assert max(line["count"] for line in left_out) == next(line["count"] for line in left_out if "remote" not in line)
    log.audit.close()


async def test_addresses_are_not_named_where_the_setting_says_so(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    rule = log.rule(most=1, remote_address=False)
    for _ in range(2):
        log.ask(rule, "192.0.2.1")
    rule.close()

    assert "192.0.2.1" not in json.dumps(log.left_out())
    log.audit.close()
