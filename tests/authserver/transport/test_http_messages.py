"""HTTP/1.1 as RFC 9112 has it, with both parsers: which messages are requests, and in what order they are answered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.clock import system_clock
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.endpoints.answer import EMPTY, Answer
from holdfast_authserver.endpoints.decisions import Decisions
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.endpoints.refusal_lines import RefusalLines
from holdfast_authserver.endpoints.surface import Route, Surface
from holdfast_authserver.metrics import Metrics
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.listener import Listener, bind
from tests.authserver.observability.snapshots import NOBODY
from tests.authserver.wire import close

Address = tuple[str, int]
LAST = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path and the body, after a moment in which more may arrive."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await asyncio.sleep(0.01)
    names = sorted({name.decode() for name, _ in scope["headers"]} & {"content-type", "x-late"})
    text = json.dumps({"path": scope["raw_path"].decode(), "body": body.decode(), "names": names}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


async def hasty(scope: Any, receive: Any, send: Any) -> None:
    """Answer before the body has been read."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


@asynccontextmanager
async def listening(http: str, app: Any = echo, **limits: Any) -> AsyncIterator[Address]:
    listener = Listener(app, bind("127.0.0.1", 0), None, http=http, limits=ConnectionLimits(**limits))
    await listener.start()
    try:
        yield listener.address
    finally:
        await listener.stop()


async def exchange(address: Address, *pieces: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Send the pieces, and read until the server closes: status and JSON of each answer."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            return _answers(await reader.read())
    finally:
        await close(writer)


def _answers(received: bytes) -> list[tuple[int, dict[str, Any]]]:
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answers.append((int(head.split(b" ")[1]), json.loads(rest[:length])))
        received = rest[length:]
    return answers


async def statuses(http: str, *pieces: bytes) -> list[int]:
    async with listening(http) as address:
        return [status for status, _ in await exchange(address, *pieces)]


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host (section 3.2)"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", id="two Host"),
        pytest.param(b"GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", id="two Host in HTTP/1.0"),
        pytest.param(b"GET / HTTP/2.0\r\nhost: x\r\n\r\n", id="HTTP/2.0 (section 2.3)"),
        pytest.param(b"GET / HTTP/0.9\r\nhost: x\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET /\r\n\r\n", id="no version"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="preface of HTTP/2"),
        pytest.param(b"GET /a#b HTTP/1.1\r\nhost: x\r\n\r\n", id="fragment (section 3.2)"),
        pytest.param(b"GET /a?b#c HTTP/1.1\r\nhost: x\r\n\r\n", id="fragment behind a query"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nhost: x\r\n\r\n", id="CONNECT"),
        pytest.param(b"GET https://x HTTP/1.1\r\nhost: x\r\n\r\n", id="URL without a path"),
        pytest.param(b"GET ftp:x HTTP/1.1\r\nhost: x\r\n\r\n", id="no http URL"),
    ],
)
async def test_what_is_no_request_is_400_and_ends_the_connection(http: str, request_bytes: bytes) -> None:
    assert await statuses(http, request_bytes, LAST) == [400]


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHOST:\r\nconnection: close\r\n\r\n",
     b"GET https://x/a?b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"],
)  # fmt: skip
async def test_what_is_a_request_is_served(http: str, request_bytes: bytes) -> None:
    assert await statuses(http, request_bytes) == [200]


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0, HTTP/3"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"content-length: 5", b"hello"), (b"transfer-encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("apart", [False, True])
async def test_a_request_that_asks_for_an_upgrade_is_served_as_if_it_had_not(
    http: str, protocol: bytes, framing: bytes, body: bytes, apart: bool
) -> None:
    """RFC 9110 section 7.8: a server may ignore Upgrade."""
    head = b"POST /up HTTP/1.1\r\nhost: x\r\nUpgrade: %s\r\nConnection: Upgrade\r\n%s\r\n\r\n" % (protocol, framing)

    async with listening(http) as address:
        answers = await exchange(address, *((head, body, LAST) if apart else (head + body + head + body + LAST,)))

    bodies = [value["body"] for _, value in answers]
    assert [status for status, _ in answers] == [200] * len(answers)
    assert bodies == (["hello", ""] if apart else ["hello", "hello", ""])


GOOD = b"POST /good HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize("good", [1, 3])
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"\x00\x01\r\n\r\n", id="bytes"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxx\r\n", id="chunk"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 20_000 + b"\r\n\r\n", id="large"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 20_000, id="large without end"),
    ],
)
async def test_requests_before_a_malformed_one_are_answered_first(http: str, good: int, bad: bytes) -> None:
    """RFC 9112 section 9.3.2."""
    found = await statuses(http, GOOD * good + bad + LAST)

    assert found[:-1] == [200] * good
    assert found[-1] in (400, 431)


async def test_a_body_that_breaks_after_its_answer_gets_no_second_one(http: str) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"

    async with listening(http, hasty) as address:
        assert [status for status, _ in await exchange(address, head, b"xx\r\n")] == [200]


async def test_a_trailer_field_is_no_header(http: str) -> None:
    """RFC 9110 section 6.5.1."""
    request = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"

    async with listening(http) as address:
        ((status, value),) = await exchange(address, request + b"0\r\nx-late: 1\r\ncontent-type: a/b\r\nhost: y\r\n\r\n")

    assert (status, value["names"]) == (200, [])


async def test_the_extensions_of_a_chunk_are_bounded(http: str) -> None:
    """RFC 9112 section 7.1.1: a server ought to limit their length."""
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"

    async with listening(http, head=500, framing=500) as address:
        assert [status for status, _ in await exchange(address, head, b"1;" + b"a" * 2000)] == [400]


async def test_all_chunk_framing_of_a_body_is_bounded() -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"1;" + b"a" * 500 + b"\r\nx\r\n"

    async with listening("httptools", framing=10_000) as address:
        assert [status for status, _ in await exchange(address, head, chunk * 30)] == [400]


async def test_a_body_sent_byte_by_byte_is_within_the_bounds(http: str) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"

    async with listening(http) as address:
        ((status, value),) = await exchange(address, head, b"1\r\nx\r\n" * 16_384 + b"0\r\n\r\n")

    assert (status, len(value["body"])) == (200, 16_384)


async def _fine(received: Received) -> Answer:
    return Answer(200, b"{}", EMPTY.headers)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/oauth2/token", 200),
        (b"/oauth2/token?a=%2f", 200),
        (b"https://elsewhere/oauth2/token", 200),
        (b"/oauth2%2ftoken", 404),
        (b"/%6fauth2/token", 404),
        (b"/oauth2/token%00", 404),
        (b"//oauth2/token", 404),
        (b"/oauth2/./token", 404),
    ],
)
async def test_a_path_is_matched_as_it_was_sent(http: str, tmp_path: Path, target: bytes, status: int) -> None:
    audit = AuditLog(str(tmp_path / "audit.log"), system_clock)
    decisions = Decisions(audit, Metrics(), lambda: NOBODY)
    lines = RefusalLines(audit, lambda _: False, system_clock, most=0)
    surface = Surface({"/oauth2/token": Route("token", reads=True, handle=_fine)}, decisions, lines, Metrics())

    async with listening(http, surface) as address:
        answers = await exchange(address, b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    audit.close()

    assert [found for found, _ in answers] == [status]
