"""The forwarded listener of a real server: who may bring a certificate in a header, and what becomes of every other one."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from holdfast_authserver.server import AuthorizationServer, StartError
from tests.authserver.running import MovingClock, RunningServer, client, running, settings_in
from tests.authserver.transport.forwarded_server import BODY, ask, forwarding, last_audit, thumbprint_of
from tests.authserver.transport.forwarding import ENCODERS, byte_sequence, rfc9440
from tests.authserver.wire import close, status_of
from tests.core.x509.authority import Authority, Issued

TERMINATORS = Authority.root("CN=Terminators Root")
SAN = "spiffe://cluster.local/ns/edge/sa/envoy"


@pytest.mark.parametrize("form", ENCODERS)
async def test_a_forwarded_certificate_authenticates_and_binds_like_one_of_the_connection(tmp_path: Path, form: str) -> None:
    """Nothing behind the listener knows the difference (M-76)."""
    async with forwarding(tmp_path, form) as server:
        certificate = server.certificate()

        answer = await ask(server, ENCODERS[form](certificate))

        assert answer.status == 200, answer.json
        assert thumbprint_of(answer.json["access_token"]) == certificate.certificate.x5t_s256
        assert b"cache-control: no-store" in answer.head


async def test_answers_that_depend_on_a_forwarded_certificate_are_stored_by_nobody(tmp_path: Path) -> None:
    """Neither the token nor the refusal (C-09)."""
    async with forwarding(tmp_path) as server:
        for headers in (rfc9440(server.certificate()), ()):
            assert b"cache-control: no-store" in (await ask(server, headers)).head


@pytest.mark.parametrize("form", ENCODERS)
@pytest.mark.parametrize("value", [None, "", "  "])
async def test_no_header_or_an_empty_one_is_no_certificate(tmp_path: Path, form: str, value: str | None) -> None:
    """A client of an mTLS method is refused then (C-05)."""
    async with forwarding(tmp_path, form) as server:
        field = ENCODERS[form](server.certificate())[0][0]
        answer = await ask(server, [] if value is None else [(field, value)])

        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert (await last_audit(server))["detail"] == "no client certificate on the connection"


@pytest.mark.parametrize("form", ENCODERS)
async def test_the_certificate_is_judged_here_whatever_the_terminator_says(tmp_path: Path, form: str) -> None:
    """Verdicts, subjects and fingerprints in headers count for nothing (C-07)."""
    verdicts = [("X-SSL-Client-Verify", "SUCCESS"), ("ssl-client-verify", "SUCCESS"), ("X-Client-Cert-Verified", "true"),
                ("X-Amzn-Mtls-Clientcert-Subject", "CN=orders"), ("X-SSL-Client-S-DN", "CN=orders")]  # fmt: skip
    async with forwarding(tmp_path, form) as server:
        foreign = Authority.root("CN=Workloads Root").issue(uris=["spiffe://cluster.local/ns/shop/sa/orders"])
        other = server.certificate("shop.cart")
        for issued in (foreign, other):
            answer = await ask(server, [*ENCODERS[form](issued), *verdicts])
            assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert (await ask(server, verdicts)).status == 401


@pytest.mark.parametrize("form", ENCODERS)
async def test_a_malformed_header_of_the_terminator_is_an_invalid_request(tmp_path: Path, form: str) -> None:
    """It is refused, and not taken for no certificate (C-01)."""
    async with forwarding(tmp_path, form) as server:
        field = ENCODERS[form](server.certificate())[0][0]
        answer = await ask(server, [(field, "-----BEGIN CERTIFICATE-----")])

        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        assert (await last_audit(server))["reason"] == "malformed_certificate_header"


async def test_a_chain_without_a_leaf_and_two_leaves_are_invalid_requests(tmp_path: Path) -> None:
    """Fail closed, whoever of the two wrote what (C-02, C-06)."""
    async with forwarding(tmp_path) as server:
        good, intermediate = server.certificate(), Authority.root().intermediate()
        for headers in (
            [("Client-Cert-Chain", byte_sequence(intermediate.certificate))],
            [*rfc9440(good), *rfc9440(server.certificate("shop.cart"))],
            [*rfc9440(good), *rfc9440(good)],
            [("Client-Cert", f"{byte_sequence(good.certificate)}, {byte_sequence(good.certificate)}")],
        ):
            answer = await ask(server, headers)
            assert (answer.status, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "name", ["client_cert", "Client_Cert", "CLIENT_CERT", "Client-Cert:", "X-Client-Cert", "Client-Certificate"]
)
async def test_a_variant_of_the_name_is_no_certificate(tmp_path: Path, name: str) -> None:
    """Underscores do not make a hyphen; a name that is none is no request (C-06)."""
    async with forwarding(tmp_path) as server:
        answer = await ask(server, [(name, byte_sequence(server.certificate().certificate))])

        assert answer.status == (400 if name.endswith(":") else 401)
        if "_" in name:
            assert (await last_audit(server))[
                "ignored"
            ] == "certificate header ignored: client_cert: expected the name client-cert"


async def test_the_case_of_a_name_means_nothing(tmp_path: Path) -> None:
    """Field names have none (C-06)."""
    async with forwarding(tmp_path) as server:
        value = byte_sequence(server.certificate().certificate)
        for name in ("CLIENT-CERT", "client-cert", "cLiEnT-cErT"):
            assert (await ask(server, [(name, value)])).status == 200


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_a_folded_line_gives_nobody_a_certificate(tmp_path: Path, http: str) -> None:
    """The fast parser refuses obs-fold; the other makes a space of it (RFC 9112 section 5.2), which is no base64 (C-06)."""
    async with forwarding(tmp_path, http=http) as server:
        value = byte_sequence(server.certificate().certificate).encode()
        for position in (60, 1, len(value) - 1):
            folded = b"client-cert: " + value[:position] + b"\r\n " + value[position:] + b"\r\n"
            assert (await ask(server, raw=folded)).status == 400


@pytest.mark.parametrize("option", ["client-cert", "close, Client-Cert", "Client-Cert-Chain", "client_cert"])
async def test_a_connection_header_that_names_the_field_takes_the_certificate_away(tmp_path: Path, option: str) -> None:
    """Never more rights than without it (C-06)."""
    async with forwarding(tmp_path) as server:
        answer = await ask(server, [*rfc9440(server.certificate()), ("Connection", option)])

        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert "Connection header names" in (await last_audit(server))["ignored"]


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_certificate_headers_are_bounded(tmp_path: Path, http: str) -> None:
    """There is room for a leaf and more of a chain than any client has, which is then judged, and not for more (C-08)."""
    async with forwarding(tmp_path, http=http) as server:
        good, other = server.certificate(), byte_sequence(Authority.root().certificate)
        for count, status in ((12_000 // len(other), 401), (18_000 // len(other), 431), (40_000 // len(other), 431)):
            answer = await ask(server, [*rfc9440(good)[:1], ("Client-Cert-Chain", ", ".join([other] * count))])
            assert answer.status == status
            assert answer.json["error"] == ("invalid_client" if status == 401 else "invalid_request")


async def test_the_same_paths_are_served_as_on_the_mtls_listener(tmp_path: Path) -> None:
    """Introspection reads the forwarded certificate, too, and metadata stands at the same place (M-76)."""
    async with forwarding(tmp_path) as server:
        token = (await ask(server, rfc9440(server.certificate()))).json["access_token"]
        reader, writer = await asyncio.open_unix_connection(server.server.addresses["forwarded"][0])
        body = urlencode({"client_id": "shop.orders", "token": token}).encode()
        [(name, value)] = rfc9440(server.certificate())
        writer.write(b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.write(
            f"POST /oauth2/introspect HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            f"content-length: {len(body)}\r\n{name}: {value}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        answer = await reader.read()
        await close(writer)

        assert status_of(head) == status_of(answer) == 200
        assert b'"active":true' in answer


async def test_requests_of_several_clients_on_one_connection_are_told_apart(tmp_path: Path) -> None:
    """A terminator keeps its connections: a certificate belongs to its request, not to them (M-76)."""
    async with forwarding(tmp_path) as server:
        reader, writer = await asyncio.open_unix_connection(server.server.addresses["forwarded"][0])
        good, statuses = rfc9440(server.certificate()), []
        for headers in (good, [], rfc9440(server.certificate("shop.cart")), good, []):
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
            writer.write(
                f"POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
                f"content-length: {len(BODY)}\r\n{lines}\r\n".encode()
                + BODY
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
            statuses.append(status_of(head))
        await close(writer)

        assert statuses == [200, 401, 401, 200, 401]


@pytest.mark.parametrize("listener", ["public", "mtls"])
@pytest.mark.parametrize("form", ["RFC9440", "XFCC"])
async def test_no_header_of_any_format_gains_anything_on_a_direct_listener(tmp_path: Path, listener: str, form: str) -> None:
    """Whatever the forwarded listener is configured for (C-04, M-76)."""
    extra = ["X-SSL-Client-Cert", "X-Client-Cert", "SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-ARR-ClientCert",
             "X-Amzn-Mtls-Clientcert", "Cf-Client-Cert-Der-Base64", "Client-Cert", "Forwarded-Client-Cert"]  # fmt: skip
    async with forwarding(tmp_path, form) as server:
        good = server.certificate()
        values = [encode(good) for encode in ENCODERS.values()]
        names = {*extra, *(name for headers in values for name, _ in headers)}
        tls = server.tls()
        for name, headers in itertools.product(sorted(names), values):
            answer = await ask(server, [(name, headers[0][1]), *headers[1:]], listener=listener, tls=tls)
            assert (answer.status, answer.json["error"]) == (401, "invalid_client"), (name, headers[0][0])
        wrong = server.tls(server.certificate("shop.cart"))
        for headers in values:
            assert (await ask(server, headers, listener=listener, tls=wrong)).status == 401


def terminator_certificate(**names: Any) -> Issued:
    return TERMINATORS.issue("CN=envoy", **(names or {"uris": [SAN]}))


@asynccontextmanager
async def pinned(folder: Path, **settings: Any) -> AsyncIterator[RunningServer]:
    """A forwarded listener with TLS, for one terminator."""
    ca_file = folder / "terminators.pem"
    ca_file.write_bytes(TERMINATORS.pem)
    async with forwarding(
        folder, forwarded_port=0, forwarded_peer_san=SAN, forwarded_peer_ca_file=ca_file, **settings
    ) as server:
        yield server


async def test_the_pinned_terminator_is_believed(tmp_path: Path) -> None:
    """It proves its own identity by mutual TLS (C-03)."""
    async with pinned(tmp_path) as server:
        certificate = server.certificate()
        answer = await ask(server, rfc9440(certificate), tls=server.tls(terminator_certificate()))

        assert answer.status == 200, answer.json
        assert thumbprint_of(answer.json["access_token"]) == certificate.certificate.x5t_s256


@pytest.mark.parametrize("peer", ["none", "another name", "another CA", "expired", "the client itself"])
async def test_from_anybody_else_the_header_is_ignored_and_audited(tmp_path: Path, peer: str) -> None:
    """The header is dropped, the request goes on without a certificate, the audit log says why (C-03)."""
    async with pinned(tmp_path) as server:
        client_certificate = server.certificate()
        peers: dict[str, Issued | None] = {
            "none": None,
            "another name": terminator_certificate(uris=[SAN + "2"]),
            "another CA": Authority.root("CN=Terminators Root").issue("CN=envoy", uris=[SAN]),
            "expired": TERMINATORS.issue("CN=envoy", uris=[SAN], not_after=MovingClock().now - timedelta(hours=1)),
            "the client itself": client_certificate,
        }
        answer = await ask(server, rfc9440(client_certificate), tls=server.tls(peers[peer]))

        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        line = await last_audit(server)
        assert line["ignored"].startswith("certificate header ignored: ")
        assert line["decision"].encode() in answer.head
        assert "thumbprint" not in line


async def test_the_terminators_own_certificate_authenticates_no_client(tmp_path: Path) -> None:
    """What it shows is its own, also when it leads to the anchor of a client (C-05)."""
    async with pinned(tmp_path) as server:
        await server.put(client(anchors=[TERMINATORS]))
        issued = TERMINATORS.issue(uris=["spiffe://cluster.local/ns/shop/sa/orders", SAN])

        assert (await ask(server, tls=server.tls(issued))).status == 401
        assert (await ask(server, rfc9440(issued), tls=server.tls(issued))).status == 200


async def test_a_new_ca_of_terminators_counts_without_a_restart_and_the_old_one_no_more(tmp_path: Path) -> None:
    """Also for one who was let in before (C-03)."""
    async with pinned(tmp_path) as server:
        headers = rfc9440(server.certificate())
        renewed = Authority.root("CN=Terminators 2")
        before, after = terminator_certificate(), renewed.issue("CN=envoy", uris=[SAN])
        statuses = [(await ask(server, headers, tls=server.tls(peer))).status for peer in (before, after)]
        (tmp_path / "terminators.pem").write_bytes(renewed.pem)
        statuses += [(await ask(server, headers, tls=server.tls(peer))).status for peer in (before, after)]
        (tmp_path / "terminators.pem").write_bytes(b"nothing")
        statuses.append((await ask(server, headers, tls=server.tls(after))).status)

    assert statuses == [200, 401, 401, 200, 401]


async def test_the_forwarded_listener_is_off_unless_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        assert set(server.server.addresses) == {"public", "mtls"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"port": 0}, "(forwarded_format): expected one of RFC9440, XFCC"),
        ({"port": 0, "socket": "x.sock", "format": "XFCC"}, "(forwarded_socket): expected either"),
        ({"port": 0, "format": "XFCC", "host": "0.0.0.0"}, "(forwarded_host): 0.0.0.0 can be reached"),
        ({"port": 0, "format": "XFCC", "host": "::"}, "(forwarded_host): :: can be reached"),
        ({"port": 0, "format": "XFCC", "peer_san": "a"}, "(forwarded_peer_ca_file): expected beside"),
        ({"port": 0, "format": "XFCC", "peer_ca_file": "ca.pem"}, "(forwarded_peer_san): expected"),
        ({"port": 0, "format": "XFCC", "peer_ca_file": "none.pem", "peer_san": "a"},
         "(forwarded_peer_ca_file): none.pem: No such file"),
        ({"port": 0, "format": "XFCC", "peer_ca_file": "no.pem", "peer_san": "a"},
         "(forwarded_peer_ca_file): no.pem: expected at least one PEM block"),
        ({"socket": "x.sock", "format": "XFCC", "peer_ca_file": "ca.pem", "peer_san": "a"},
         "(forwarded_peer_san): a Unix socket has no TLS"),
        ({"socket": "no/x.sock", "format": "XFCC"}, "(forwarded_socket): no/x.sock: No such file"),
        ({"port": 0, "format": "RFC9440", "trusted_hops": 2}, "(forwarded_trusted_hops): only XFCC"),
        ({"port": 0, "format": "RFC9440", "header": "x"}, "(forwarded_header): RFC9440 has fields"),
        ({"port": 0, "format": "NginxEscapedPEM", "header": "a_b"}, "(forwarded_header): expected letters"),
        ({"port": 0, "format": "NginxEscapedPEM", "header": "a", "chain_header": "A"},
         "(forwarded_chain_header): expected another field"),
    ],
)  # fmt: skip
async def test_what_would_let_anybody_in_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], complaint: str
) -> None:
    """One line that names the setting (C-03)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_bytes(TERMINATORS.pem)
    (tmp_path / "no.pem").write_bytes(b"nothing")
    values = {f"forwarded_{name}": value for name, value in settings.items()}
    server = AuthorizationServer(settings_in(tmp_path, Authority.root("CN=Server Root"), **values))

    with pytest.raises(StartError) as refused:
        await server.start()

    assert str(refused.value).startswith(f"forwarded listener {complaint}")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.3.2.1"])
async def test_a_loopback_address_is_enough(tmp_path: Path, host: str) -> None:
    """Nobody but this machine's processes can be there (C-03)."""
    async with forwarding(tmp_path, forwarded_port=0, forwarded_host=host) as server:
        assert (await ask(server, rfc9440(server.certificate()))).status == 200
