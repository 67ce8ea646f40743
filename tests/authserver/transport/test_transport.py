"""The TLS transport, driven by both event loops and both HTTP parsers: guards what it leans on in uvicorn and OpenSSL."""

import asyncio
import gc
import json
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from holdfast.x509.thumbprint import x5t_s256
from holdfast_authserver.transport.context import ListenerContext, TlsFiles, TlsFilesError
from holdfast_authserver.transport.limits import ConnectionLimits
from holdfast_authserver.transport.listener import Listener, bind
from holdfast_authserver.transport.plain_protocol import TlsH11Protocol
from holdfast_authserver.transport.presented import presented_chain
from holdfast_authserver.transport.protocol import TlsHttpToolsProtocol
from holdfast_authserver.transport.self_test import SelfTestFailed, self_test
from tests.authserver.wire import close, exchange, status_of
from tests.core.x509.authority import Authority, Issued

SERVER_CA = Authority.root("CN=Server Root")
GET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield lambda awaitable: runner.run(_as_coroutine(awaitable))


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return TlsFiles(*_server_certificate().write(tmp_path / "listener"))


def _server_certificate() -> Issued:
    return SERVER_CA.issue("CN=localhost", ips=["127.0.0.1"], server=True)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Say what the transport showed of the peer, after reading the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    chain = presented_chain(scope)
    tls = scope["extensions"]["tls"]
    body = json.dumps({"ders": [x5t_s256(d) for d in chain.ders] if chain else [], "pem": list(tls["client_cert_chain"]),
                       "version": tls["tls_version"], "size": size}).encode()  # fmt: skip
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(
    files: TlsFiles, http: str = "httptools", *, ask: bool = True, limits: ConnectionLimits | None = None
) -> Any:
    context = ListenerContext(files, ask_for_certificate=ask)
    listener = Listener(echo, bind("127.0.0.1", 0), context, http=http, limits=limits or ConnectionLimits())
    await listener.start()
    try:
        yield "https://{}:{}".format(*listener.address)
    finally:
        await listener.stop()


def client_tls(tmp_path: Path, certificate: Issued | None = None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=SERVER_CA.pem.decode())
    for name, version in versions.items():
        setattr(context, name, version)
    if certificate is not None:
        context.load_cert_chain(*certificate.write(tmp_path / "client"))
    return context


async def seen(url: str, tls: ssl.SSLContext, request: bytes = GET) -> dict[str, Any]:
    answer = await exchange(url, tls, request)
    value: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return value


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_nobody_knows_finishes_the_handshake_and_is_seen_with_its_chain(
    run: Run, http: str, files: TlsFiles, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """RFC 8705 section 6.2 (M-73). OpenSSL's chain leaves the leaf out on this side; ours has it first."""
    certificate = Authority.root().intermediate().issue("CN=client")

    async def scenario() -> dict[str, Any]:
        async with listening(files, http) as url:
            return await seen(url, client_tls(tmp_path, certificate, minimum_version=version, maximum_version=version))

    found = run(scenario())
    expected = [certificate.certificate, *certificate.chain]
    assert found["ders"] == [c.x5t_s256 for c in expected]
    assert [ssl.PEM_cert_to_DER_cert(pem) for pem in found["pem"]] == [c.der for c in expected]
    assert found["version"] == version.value


def test_no_certificate_finishes_the_handshake_too(run: Run, http: str, files: TlsFiles, tmp_path: Path) -> None:
    """It may (M-72)."""

    async def scenario() -> dict[str, Any]:
        async with listening(files, http) as url:
            return await seen(url, client_tls(tmp_path))

    assert run(scenario())["ders"] == []


def test_a_listener_that_does_not_ask_sees_no_certificate(run: Run, files: TlsFiles, tmp_path: Path) -> None:
    """M-68."""

    async def scenario() -> dict[str, Any]:
        async with listening(files, ask=False) as url:
            return await seen(url, client_tls(tmp_path, Authority.root().issue("CN=client")))

    assert run(scenario())["ders"] == []


def test_a_body_of_many_records_arrives_whole(run: Run, http: str, files: TlsFiles, tmp_path: Path) -> None:
    """Bytes that sit undecrypted in OpenSSL's inner BIO are read without further input."""
    body = b"x" * 300_000
    request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    async def scenario() -> dict[str, Any]:
        async with listening(files, http) as url:
            return await seen(url, client_tls(tmp_path), request)

    assert run(scenario())["size"] == len(body)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(run: Run, files: TlsFiles, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Each connection proves possession anew (M-79)."""
    tls = client_tls(tmp_path, Authority.root().issue("CN=client"), minimum_version=version, maximum_version=version)

    def connect(address: tuple[str, int], session: ssl.SSLSession | None) -> tuple[bool | None, ssl.SSLSession | None]:
        with (
            socket.create_connection(address) as raw,
            tls.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as connection,
        ):
            connection.sendall(GET)
            while connection.recv(65536):
                pass
            return connection.session_reused, connection.session

    async def scenario() -> bool | None:
        async with listening(files) as url:
            host, port = url.removeprefix("https://").split(":")
            _, session = await asyncio.to_thread(connect, (host, int(port)), None)
            reused, _ = await asyncio.to_thread(connect, (host, int(port)), session)
            return reused

    assert run(scenario()) is False


@pytest.mark.parametrize("weak", ["TLSv1", "TLSv1_1", "AES128-SHA"])
def test_old_versions_and_weak_ciphers_are_refused(run: Run, files: TlsFiles, tmp_path: Path, weak: str) -> None:
    """Refused with an alert (M-77)."""
    tls = client_tls(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that these versions are old is the point
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        if weak.startswith("TLS"):
            tls.minimum_version = tls.maximum_version = ssl.TLSVersion[weak]
            tls.set_ciphers("ALL:@SECLEVEL=0")
        else:
            tls.set_ciphers(weak)

    async def scenario() -> None:
        async with listening(files) as url:
            await asyncio.open_connection(*_address(url), ssl=tls)

    with pytest.raises(ssl.SSLError, match=r"alert protocol version|alert handshake failure"):
        run(scenario())


@pytest.mark.parametrize("suite", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"])
def test_tls_1_2_has_the_suites_of_bcp_195_for_rsa_keys(run: Run, tmp_path: Path, suite: str) -> None:
    """Those for ECDSA keys are asked for by `openssl s_client`, in the test of what it sees (M-77, F-01)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    files = TlsFiles(*SERVER_CA.issue("CN=localhost", ips=["127.0.0.1"], server=True, key=key).write(tmp_path / "rsa"))
    tls = client_tls(tmp_path, maximum_version=ssl.TLSVersion.TLSv1_2)
    tls.set_ciphers(suite)

    async def scenario() -> dict[str, Any]:
        async with listening(files) as url:
            return await seen(url, tls)

    assert run(scenario())["version"] == ssl.TLSVersion.TLSv1_2.value


def test_renegotiation_is_refused(run: Run, files: TlsFiles) -> None:
    """Nobody may begin anew (M-78)."""

    def renegotiate(address: tuple[str, int]) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        with socket.create_connection(address) as raw:
            connection = SSL.Connection(context, raw)
            connection.set_connect_state()
            connection.do_handshake()
            assert connection.renegotiate()
            connection.do_handshake()

    async def scenario() -> None:
        async with listening(files) as url:
            await asyncio.to_thread(renegotiate, _address(url))

    with pytest.raises(SSL.Error):
        run(scenario())


def _address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("https://").split(":")
    return host, int(port)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 5000 + b"\r\n", 431),
        (b"GET /" + b"a" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 70_000, 431),
    ],
)
def test_what_is_no_request_gets_one_json_error_and_the_connection_ends(
    run: Run, files: TlsFiles, tmp_path: Path, request_bytes: bytes, status: int
) -> None:
    """E-01, M-83."""

    async def scenario() -> bytes:
        async with listening(files) as url:
            return await exchange(url, client_tls(tmp_path), request_bytes)

    head, _, body = run(scenario()).partition(b"\r\n\r\n")
    assert status_of(head) == status
    assert b"cache-control: no-store" in head
    assert json.loads(body)["error"] == "invalid_request"


def test_h11_refuses_a_large_header_as_well(run: Run, files: TlsFiles, tmp_path: Path) -> None:
    async def scenario() -> bytes:
        async with listening(files, "h11") as url:
            return await exchange(url, client_tls(tmp_path), b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 70_000)

    assert status_of(run(scenario())) in (400, 431)


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab"])
def test_who_does_not_finish_a_request_in_time_is_cut_off(
    run: Run, http: str, files: TlsFiles, tmp_path: Path, start: bytes
) -> None:
    async def scenario() -> bytes:
        async with listening(files, http, limits=ConnectionLimits(request=0.1)) as url:
            return await exchange(url, client_tls(tmp_path), start)

    assert run(scenario()) == b""


def test_who_does_not_finish_the_handshake_in_time_is_cut_off(run: Run, files: TlsFiles) -> None:
    async def scenario() -> bytes:
        async with listening(files, limits=ConnectionLimits(handshake=0.2)) as url:
            reader, writer = await asyncio.open_connection(*_address(url))
            try:
                async with asyncio.timeout(5):
                    return await reader.read()
            finally:
                await close(writer)

    assert run(scenario()) == b""


def test_stopping_cuts_off_who_will_not_go(run: Run, http: str, files: TlsFiles, tmp_path: Path) -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with listening(files, http, limits=ConnectionLimits(goodbye=0.3)) as url:
            _, writer = await asyncio.open_connection(*_address(url), ssl=client_tls(tmp_path))
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab")
            await writer.drain()
            began = loop.time()
        took = loop.time() - began
        await close(writer)
        return took

    assert run(scenario()) < 2


def test_a_renewed_server_certificate_is_served_without_a_restart(
    run: Run, files: TlsFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a rotation keeps the old pair."""
    monkeypatch.setattr("holdfast_authserver.transport.context._LOOK_AGAIN", 0.0)
    renewed = _server_certificate()

    async def served(url: str) -> bytes:
        _, writer = await asyncio.open_connection(*_address(url), ssl=client_tls(tmp_path))
        der: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        await close(writer)
        return der

    async def scenario() -> list[bytes]:
        async with listening(files) as url:
            found = [await served(url)]
            files.certificate.write_bytes(renewed.chain_pem)
            found.append(await served(url))
            files.key.write_bytes(renewed.key_pem)
            return [*found, await served(url)]

    before, between, after = run(scenario())
    assert before == between != after == renewed.certificate.der


@pytest.mark.parametrize("broken", ["missing certificate", "missing key", "no certificate", "foreign key"])
def test_unusable_files_are_named(files: TlsFiles, broken: str) -> None:
    path = files.certificate if "certificate" in broken else files.key
    if broken.startswith("missing"):
        path.unlink()
    else:
        path.write_bytes(b"nothing" if broken == "no certificate" else _server_certificate().key_pem)

    with pytest.raises(TlsFilesError, match=str(path)):
        ListenerContext(files, ask_for_certificate=True)


def test_the_self_test_passes_on_a_context_that_takes_any_certificate(run: Run, http: str, files: TlsFiles) -> None:
    run(self_test(ListenerContext(files, ask_for_certificate=True), http=http))


def test_the_self_test_fails_where_certificates_are_not_seen(run: Run, files: TlsFiles) -> None:
    with pytest.raises(SelfTestFailed, match="expected the certificate"):
        run(self_test(ListenerContext(files, ask_for_certificate=False)))


def test_the_self_test_fails_where_the_tls_layer_judges(run: Run, files: TlsFiles) -> None:
    """What the standard library's own context does with a certificate nobody knows."""
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strict.load_cert_chain(files.certificate, files.key)
    strict.verify_mode = ssl.CERT_OPTIONAL

    with pytest.raises(SelfTestFailed):
        run(self_test(strict))


def test_who_hangs_up_without_a_goodbye_leaves_nothing_behind(run: Run, http: str, files: TlsFiles, tmp_path: Path) -> None:
    """A quarter of a megabyte for each, until the keep-alive time was over."""

    def hang_up(address: tuple[str, int], tls: ssl.SSLContext) -> None:
        with socket.create_connection(address) as raw, tls.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(4096)

    async def scenario() -> int:
        tls = client_tls(tmp_path)
        async with listening(files, http) as url, asyncio.timeout(10):
            for _ in range(5):
                await asyncio.to_thread(hang_up, _address(url), tls)
            while found := _live_connections():  # noqa: ASYNC110 - memory tells nobody when it is free
                await asyncio.sleep(0.02)
            return found

    assert run(scenario()) == 0


def _live_connections() -> int:
    gc.collect()
    return sum(isinstance(thing, TlsHttpToolsProtocol | TlsH11Protocol) for thing in gc.get_objects())


def test_requests_sent_together_are_answered_in_order(run: Run, http: str, files: TlsFiles, tmp_path: Path) -> None:
    requests = b"".join(
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%s\r\n%s" % (size, last, b"x" * size)
        for size, last in ((3, b""), (5, b"connection: close\r\n"))
    )

    async def scenario() -> bytes:
        async with listening(files, http) as url:
            return await exchange(url, client_tls(tmp_path), requests)

    sizes = [json.loads(part.partition(b"\r\n\r\n")[2])["size"] for part in run(scenario()).split(b"HTTP/1.1 200")[1:]]
    assert sizes == [3, 5]
