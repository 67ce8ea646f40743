"""How many connections there may be, that slow and half-open ones starve nobody, and that a stop drains."""

import asyncio
import functools
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from holdfast_authserver.transport.addresses import is_loopback, peer_of
from holdfast_authserver.transport.admission import Admission
from holdfast_authserver.transport.context import ListenerContext, TlsFiles
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.listener import Listener, bind, bind_unix
from tests.authserver.wire import close, exchange, parts, status_of
from tests.core.x509.authority import Authority

SERVER_CA = Authority.root("CN=Server Root")
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
SLOW_BODY = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab"


class Echo:
    """Answers each request with its number, once it may."""

    def __init__(self) -> None:
        self.served = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body", False):
            pass
        self.begun.set()
        await self.go_on.wait()
        self.served += 1
        body = str(self.served).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in the event loop that serves; the other one has the rest of the tests."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return TlsFiles(*SERVER_CA.issue("CN=localhost", ips=["127.0.0.1"], server=True).write(tmp_path / "listener"))


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tls() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=SERVER_CA.pem.decode())


@asynccontextmanager
async def listening(files: TlsFiles, app: Any, http: str = "httptools", **limits: Any) -> AsyncIterator[str]:
    context = ListenerContext(files, ask_for_certificate=True)
    listener = Listener(app, bind("127.0.0.1", 0), context, http=http, limits=ConnectionLimits(**limits))
    await listener.start()
    try:
        yield "https://{}:{}".format(*listener.address)
    finally:
        await listener.stop()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server hangs up within a moment."""
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def half_open(url: str, stack: AsyncExitStack, count: int) -> list[asyncio.StreamReader]:
    """Connections that send a byte of a handshake, and no more."""
    opened = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(*parts(url))
        stack.push_async_callback(close, writer)
        writer.write(b"\x16")
        opened.append(reader)
    return opened


@pytest.mark.parametrize("limit", ["connections", "connections_per_peer"])
@on_uvloop
async def test_more_connections_than_allowed_are_hung_up_on(files: TlsFiles, tls: ssl.SSLContext, limit: str) -> None:
    """Half-open handshakes count, and a place is free again when its connection ends."""
    limits: dict[str, Any] = {"handshake": 30.0, limit: 3}
    async with listening(files, Echo(), count_loopback=True, **limits) as url:
        async with AsyncExitStack() as stack:
            await half_open(url, stack, 3)
            assert await turned_away(url)
        async with asyncio.timeout(5):
            while status_of(await _try(url, tls)) != 200:  # noqa: ASYNC110 - the server notices on its own
                await asyncio.sleep(0.01)


async def turned_away(url: str) -> bool:
    """Whether a further connection is hung up on."""
    try:
        reader, writer = await asyncio.open_connection(*parts(url))
    except ConnectionError:
        return True
    try:
        return await ended(reader)
    finally:
        await close(writer)


async def _try(url: str, tls: ssl.SSLContext) -> bytes:
    try:
        return await exchange(url, tls, GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    except (ConnectionError, ssl.SSLError):
        return b""


@on_uvloop
async def test_this_machine_is_exempt_from_the_limit_per_peer_unless_told(files: TlsFiles, tls: ssl.SSLContext) -> None:
    """A terminator beside the server opens many connections from one address."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(files, Echo(), connections_per_peer=2, goodbye=0.2))
        await half_open(url, stack, 5)

        assert status_of(await _try(url, tls)) == 200


@on_uvloop
async def test_hundreds_of_half_open_handshakes_and_slow_bodies_starve_nobody(
    files: TlsFiles, tls: ssl.SSLContext, http: str
) -> None:
    """A good client is served in a moment, and the others are hung up on when their time is over."""
    app = Echo()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(files, app, http, handshake=2.0, request=2.0, goodbye=0.2))
        opened = await half_open(url, stack, 300)
        for _ in range(60):
            reader, writer = await asyncio.open_connection(*parts(url), ssl=tls)
            stack.push_async_callback(close, writer)
            writer.write(SLOW_BODY)
            opened.append(reader)

        async with asyncio.timeout(2):
            assert status_of(await _try(url, tls)) == 200
        assert app.served == 1
        assert all(await asyncio.gather(*map(ended, opened)))


@on_uvloop
async def test_failed_handshakes_give_their_place_back(files: TlsFiles, tls: ssl.SSLContext) -> None:
    """However a handshake fails, it holds no place afterwards."""
    async with listening(files, Echo(), connections=2, goodbye=0.2) as url:
        for attempt in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x16"):
            for _ in range(5):
                reader, writer = await asyncio.open_connection(*parts(url))
                writer.write(attempt)
                await close(writer)
                await ended(reader)
        async with asyncio.timeout(5):
            while status_of(await _try(url, tls)) != 200:  # noqa: ASYNC110 - the server notices on its own
                await asyncio.sleep(0.01)


def test_peers_are_counted_by_address_and_of_ipv6_by_network() -> None:
    """One host commonly has a whole /64 of addresses."""
    limits = ConnectionLimits(connections_per_peer=1, connections=4)
    admission = Admission(limits)

    held = [admission.enter(address) for address in ("192.0.2.1", "2001:db8::1", "2001:db8:0:1::1", None)]
    assert all(held)
    assert admission.enter("198.51.100.1") is None, "all places are taken"
    assert held[0] is not None
    held[0].leave()
    held[0].leave()
    assert admission.enter("2001:db8::2") is None, "the same network"
    assert admission.enter("::ffff:192.0.2.1") is not None, "one place became free"


def test_addresses_are_known_in_all_their_forms() -> None:
    assert [is_loopback(a) for a in ("127.8.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.1", "fe80::1%eth0", "")] == [
        True, True, True, False, False, False]  # fmt: skip
    assert peer_of("fe80::1%eth0") == "fe80::/64"


@on_uvloop
async def test_a_stop_lets_the_request_under_way_finish_and_says_close(
    files: TlsFiles, tls: ssl.SSLContext, http: str
) -> None:
    """Whoever is being answered gets the answer, with `connection: close`; who is idle is hung up on at once."""
    app = Echo()
    listener = Listener(app, bind("127.0.0.1", 0), ListenerContext(files, ask_for_certificate=True), http=http)
    await listener.start()
    async with AsyncExitStack() as stack:
        idle, busy, slow = [await asyncio.open_connection(*listener.address, ssl=tls) for _ in range(3)]
        for _, writer in (idle, busy, slow):
            stack.push_async_callback(close, writer)
        idle[1].write(GET)
        await idle[0].readuntil(b"\r\n\r\n1")
        slow[1].write(SLOW_BODY)
        app.begun.clear()
        app.go_on.clear()
        busy[1].write(GET)
        await app.begun.wait()

        stopping = asyncio.create_task(listener.stop())
        assert await ended(idle[0])
        slow[1].write(b"cdefghi")
        await slow[1].drain()
        app.go_on.set()
        answers = [await busy[0].read(), await slow[0].read()]
        await stopping

    for answer in answers:
        assert status_of(answer) == 200
        assert answer.lower().count(b"connection: close") == 1


@on_uvloop
async def test_a_stop_serves_who_has_connected_and_not_yet_asked(files: TlsFiles, tls: ssl.SSLContext, http: str) -> None:
    """A connection that was accepted is not thrown away under a request that is on its way."""
    listener = Listener(Echo(), bind("127.0.0.1", 0), ListenerContext(files, ask_for_certificate=True), http=http)
    await listener.start()
    reader, writer = await asyncio.open_connection(*listener.address, ssl=tls)
    stopping = asyncio.create_task(listener.stop())
    await asyncio.sleep(0)
    writer.write(GET)
    answer = await reader.read()
    await close(writer)
    await stopping

    assert (status_of(answer), b"connection: close" in answer.lower()) == (200, True)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(*listener.address)


@on_uvloop
async def test_a_stop_ends_in_bounded_time_whoever_is_connected(files: TlsFiles, tls: ssl.SSLContext) -> None:
    app = Echo()
    app.go_on.clear()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        async with listening(files, app, goodbye=0.3) as url:
            await half_open(url, stack, 20)
            _, writer = await asyncio.open_connection(*parts(url), ssl=tls)
            stack.push_async_callback(close, writer)
            writer.write(GET)
            await app.begun.wait()
            began = loop.time()
        assert loop.time() - began < 2


@on_uvloop
async def test_a_unix_socket_is_for_owner_and_group_and_replaces_what_was_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "forwarded.sock"
    bind_unix(path).close()  # as a server that was killed leaves it
    listener = Listener(Echo(), bind_unix(path), None)
    await listener.start()
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        await close(writer)

        assert status_of(head) == 200
        assert path.stat().st_mode & 0o777 == 0o660
        with pytest.raises(OSError, match="in use"):
            bind_unix(path)
    finally:
        await listener.stop()


@on_uvloop
async def test_what_is_no_socket_is_never_removed_for_one(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(OSError, match="in use"):
        bind_unix(path)
    assert path.read_text() == "data"


@on_uvloop
async def test_errors_are_json_whatever_the_caller_would_accept(files: TlsFiles, tls: ssl.SSLContext, http: str) -> None:
    """There is one form of error (E-01)."""
    request = b"GET / HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nbad header\r\n\r\n"
    async with listening(files, Echo(), http) as url:
        head, _, body = (await exchange(url, tls, request)).partition(b"\r\n\r\n")

    assert (status_of(head), b"content-type: application/json" in head) == (400, True)
    assert json.loads(body)["error"] == "invalid_request"


@on_uvloop
async def test_certificates_are_renewed_under_load_without_one_failure(
    files: TlsFiles, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a rotation keeps the old pair; new connections get the new one, and those that are open stay."""
    monkeypatch.setattr("holdfast_authserver.transport.context._LOOK_AGAIN", 0.0)
    pairs = [SERVER_CA.issue("CN=localhost", ips=["127.0.0.1"], server=True) for _ in range(5)]
    served: set[bytes] = set()
    renewed = asyncio.Event()

    async def load(url: str) -> int:
        answers = 0
        while not renewed.is_set() or answers < 3:
            reader, writer = await asyncio.open_connection(*parts(url), ssl=tls)
            served.add(writer.get_extra_info("ssl_object").getpeercert(True))
            for _ in range(3):
                writer.write(GET)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
                answers += status_of(head) == 200
            await close(writer)
        return answers

    async with listening(files, Echo()) as url:
        kept_reader, kept_writer = await asyncio.open_connection(*parts(url), ssl=tls)
        loads = [asyncio.create_task(load(url)) for _ in range(8)]
        for pair in pairs:
            files.certificate.write_bytes(pair.chain_pem)
            await asyncio.sleep(0.02)
            files.key.write_bytes(pair.key_pem)
            while pair.certificate.der not in served:  # noqa: ASYNC110 - the clients tell by what they see
                await asyncio.sleep(0.01)
        renewed.set()
        assert all(count >= 3 for count in await asyncio.gather(*loads))
        kept_writer.write(GET)
        assert status_of(await kept_reader.readuntil(b"\r\n\r\n")) == 200
        await close(kept_writer)
    assert {pair.certificate.der for pair in pairs} <= served


@on_uvloop
async def test_a_stop_may_wait_for_nobody(files: TlsFiles, tls: ssl.SSLContext) -> None:
    """`drain_timeout` 0: whoever is still there is cut off at once."""
    async with AsyncExitStack() as stack:
        async with listening(files, Echo(), goodbye=0.0) as url:
            assert status_of(await _try(url, tls)) == 200
            [reader] = await half_open(url, stack, 1)
        assert await ended(reader)
