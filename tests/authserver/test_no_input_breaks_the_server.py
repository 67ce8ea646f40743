"""E-01: no parameter, header, certificate or byte sequence makes the server answer 5xx, hang or stop.

The server runs on uvloop in a thread of its own, as it does in production; hypothesis asks it over real TLS.
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from tests.authserver.in_thread import running_in_thread
from tests.authserver.running import RunningServer, spiffe_id
from tests.authserver.wire import parts, post, status_of
from tests.core.x509.authority import DAY, NOW, Authority, Issued, new_key

FORM = "application/x-www-form-urlencoded"
ASKING = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = ["grant_type", "client_id", "client_secret", "scope", "resource", "token", "token_type_hint",
         "client_assertion", "client_assertion_type", "code", "audience"]  # fmt: skip
VALUES = ["client_credentials", "shop.orders", "orders.read", "https://a", "", "a.b.c"]
PATHS = ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_in_thread(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
def asker(server: RunningServer) -> Iterator[http.client.HTTPSConnection]:
    """One kept-alive connection with a good certificate."""
    host, port = parts(server.mtls)
    connection = http.client.HTTPSConnection(host, port, context=server.tls(server.certificate()), timeout=15)
    yield connection
    connection.close()


def _ask(asker: http.client.HTTPSConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    asker.request(method, path, body, headers)
    response = asker.getresponse()
    response.read()
    assert response.status < 500, (response.status, method, path, body, headers)
    return response.status


PAIR = st.tuples(st.sampled_from(NAMES) | st.text(max_size=8), st.sampled_from(VALUES) | st.text(max_size=40))


@ASKING
@given(path=st.sampled_from(PATHS), pairs=st.lists(PAIR, max_size=8))
def test_no_parameters_make_it_fail(asker: http.client.HTTPSConnection, path: str, pairs: list[tuple[str, str]]) -> None:
    body = urlencode(pairs, errors="replace").encode()

    _ask(asker, "POST", path, body, {"content-type": FORM})


@ASKING
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=200))
def test_no_body_makes_it_fail(asker: http.client.HTTPSConnection, path: str, body: bytes) -> None:
    _ask(asker, "POST", path, body, {"content-type": FORM})


LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@ASKING
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH"]),
    path=st.sampled_from(PATHS) | st.text(max_size=30).map(lambda t: "/" + quote(t, errors="replace")),
    query=st.text(max_size=30).map(lambda t: quote(t, safe="&=", errors="replace")),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "authorization", "accept", "x-forwarded-for", "forwarded", "expect", "cookie"]),
        LATIN | st.sampled_from([FORM, "Basic YTpi", "Basic ====", "100-continue", FORM + "; charset=utf-8"]),
    ),
)  # fmt: skip
def test_no_request_line_or_header_makes_it_fail(
    asker: http.client.HTTPSConnection, method: str, path: str, query: str, headers: dict[str, str]
) -> None:
    target = f"{path}?{query}" if query else path

    _ask(asker, method, target, b"client_id=shop.orders&grant_type=client_credentials&token=x", headers)


LINE = st.sampled_from(
    b"""GET / HTTP/1.1|POST /oauth2/token HTTP/1.1|host: x|content-length: 5|content-length: -1|transfer-encoding: chunked|
    content-length: 99999999999999999999|upgrade: h2c|connection: upgrade|expect: 100-continue|PRI * HTTP/2.0|0|5|hello|
    GET http://[ HTTP/1.1|CONNECT a:1 HTTP/1.1|OPTIONS * HTTP/1.1|content-type: application/x-www-form-urlencoded|
    """.replace(b"\n    ", b"").split(b"|")
)
GARBAGE = st.binary(min_size=1, max_size=200)
LINES = st.lists(LINE | st.binary(max_size=20), max_size=10).map(b"\r\n".join)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=GARBAGE | LINES)
def test_no_bytes_over_tls_make_it_fail(server: RunningServer, tls: ssl.SSLContext, data: bytes) -> None:
    with (
        socket.create_connection(parts(server.mtls), timeout=5) as raw,
        tls.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(data + b"\r\n\r\nGET /oauth2/jwks HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        connection.settimeout(0.3)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, OSError):
            pass  # what was sent began a body that never ends, or the server cut the connection off

    for line in answer.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 "):
            assert (status_of(line) or 0) < 500, (data, answer)


@pytest.fixture(scope="module")
def tls(server: RunningServer) -> ssl.SSLContext:
    return server.tls()


ODD = x509.Name(
    [
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "\x00\u202e'\"\\,=+<>#;"),
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, " "),
    ]
)
DEEP = Authority.root("CN=deep").intermediate().intermediate().intermediate().intermediate().intermediate()
SAN, EKU, KEY_USAGE, AKI = "2.5.29.17", "2.5.29.37", "2.5.29.15", "2.5.29.35"


@pytest.mark.parametrize(
    "issue",
    [
        pytest.param(lambda ca: ca.issue(ODD, uris=[spiffe_id("shop.orders")]), id="odd name"),
        pytest.param(lambda ca: ca.issue("CN=x", dns=[f"h{i}.example" for i in range(3000)]), id="3000 names"),
        pytest.param(lambda _: DEEP.issue("CN=x"), id="deep chain"),
        pytest.param(lambda ca: replace(ca.issue("CN=x"), chain=(DEEP.certificate,) * 20), id="long chain"),
    ],
)
def test_no_certificate_makes_it_fail(server: RunningServer, issue: Callable[[Authority], Issued]) -> None:
    """M-82, M-83."""
    assert _ask_showing(server, server.tls(issue(server.ca))) in (200, 401)


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (SAN, b"\x01\x02"),
        (SAN, b"\x30\x03\x82\x01\xff"),
        (SAN, b"\x30\x02\x86\x00"),
        (SAN, b"\x30\x04\x87\x02\x01\x02"),
        (EKU, b"\x30"),
        (KEY_USAGE, b"\x03\x00"),
        (AKI, b"\xff" * 40),
        ("1.3.6.1.4.1.99999.1", b""),
    ],
)
@pytest.mark.parametrize("critical", [True, False])
def test_no_broken_extension_makes_it_fail(server: RunningServer, oid: str, value: bytes, critical: bool) -> None:
    """M-82: what the TLS layer lets through, the parser may refuse, and the client is told in JSON."""
    key = new_key()
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(server.ca.name)
        .subject_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical=critical)
        .sign(server.ca.key, hashes.SHA256())
    )

    assert _show(server, certificate, key) == 401


def _show(server: RunningServer, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> int | None:
    """With pyOpenSSL, since the standard library's client will not load such a certificate. Answers with the status."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    with socket.create_connection(parts(server.mtls), timeout=15) as raw:
        raw.setblocking(True)
        connection = SSL.Connection(context, raw)
        connection.set_connect_state()
        connection.sendall(post(b"client_id=shop.orders&grant_type=client_credentials"))
        return status_of(connection.recv(4096))


def _ask_showing(server: RunningServer, tls: ssl.SSLContext) -> int:
    host, port = parts(server.mtls)
    connection = http.client.HTTPSConnection(host, port, context=tls, timeout=15)
    body = b"client_id=shop.orders&grant_type=client_credentials"
    try:
        return _ask(connection, "POST", "/oauth2/token", body, {"content-type": FORM})
    finally:
        connection.close()


def test_after_all_that_a_good_request_is_answered(asker: http.client.HTTPSConnection) -> None:
    body = b"client_id=shop.orders&grant_type=client_credentials"

    assert _ask(asker, "POST", "/oauth2/token", body, {"content-type": FORM}) == 200
