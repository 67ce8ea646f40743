"""RFC 8705 sections 7.2 to 7.5: resumption, trust anchors, and certificates that are malformed or too much."""

import asyncio
import socket
import ssl
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from holdfast.x509.certificate import Certificate, CertificateError
from tests.authserver.running import RunningServer, client, spiffe_id, token_form
from tests.authserver.wire import parts, post, status_of
from tests.core.x509.authority import Authority, Issued
from tests.core.x509.resigned import DUPLICATE_EXTENSION, UNKNOWN_KEY, resigned
from tests.rfc8705.expectations import assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
URI = spiffe_id("shop.orders")


def _show(server: RunningServer, issued: Issued, leaf: bytes, *others: bytes) -> int | None:
    """The status for certificates that the standard library's client would not load."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    context.use_certificate(x509.load_der_x509_certificate(leaf))
    for der in others:
        context.add_extra_chain_cert(x509.load_der_x509_certificate(der))
    assert isinstance(issued.key, ec.EllipticCurvePrivateKey)
    context.use_privatekey(issued.key)
    with socket.create_connection(parts(server.mtls), timeout=15) as raw:
        raw.setblocking(True)
        connection = SSL.Connection(context, raw)
        connection.set_connect_state()
        connection.sendall(post(b"client_id=shop.orders&grant_type=client_credentials"))
        return status_of(connection.recv(65536))


async def test_an_extension_twice_is_refused(server: RunningServer) -> None:
    """Under a valid signature, by a client that is accepted without (M-82)."""
    issued = server.certificate()
    der = issued.certificate.der
    twice = resigned(issued.certificate, server.ca, *DUPLICATE_EXTENSION)

    assert await asyncio.to_thread(_show, server, issued, der) == 200
    assert await asyncio.to_thread(_show, server, issued, twice) == 401


async def test_an_unknown_key_algorithm_in_the_chain_is_refused(server: RunningServer) -> None:
    """A leaf with one cannot even prove possession; an intermediate with one is a malformed certificate (M-82)."""
    middle = server.ca.intermediate()
    issued = middle.issue(uris=[URI])
    unknown = resigned(middle.certificate, server.ca, *UNKNOWN_KEY)

    assert await asyncio.to_thread(_show, server, issued, issued.certificate.der, middle.certificate.der) == 200
    assert await asyncio.to_thread(_show, server, issued, issued.certificate.der, unknown) == 401
    with pytest.raises(CertificateError):
        Certificate.from_der(unknown)


async def test_a_common_name_that_is_not_what_its_type_says_is_refused(server: RunningServer) -> None:
    """A string of bytes that its type does not allow; invalid UTF-8 does not even pass the handshake (M-82)."""
    issued = server.ca.issue("CN=ordxrs", uris=["urn:another"])
    odd = Certificate(resigned(issued.certificate, server.ca, b"\x0c\x06ordxrs", b"\x13\x06ord\xffrs"))

    assert_failed_authentication(await server.token(Issued(odd, issued.key)))


async def test_bytes_after_a_certificate_are_refused() -> None:
    """TLS libraries write certificates anew, so that only a terminator's header can bring them (M-82)."""
    with pytest.raises(CertificateError, match="malformed"):
        Certificate.from_der(Authority.root().certificate.der + b"\0")


async def test_more_certificates_than_any_path_needs_are_refused(server: RunningServer) -> None:
    """Nine besides the leaf, of which the right one would do (M-83)."""
    middle = server.ca.intermediate()
    issued = middle.issue(uris=[URI])
    strays = tuple(Authority.root(f"CN=Stray {n}").certificate for n in range(8))

    assert (await server.token(replace(issued, chain=(middle.certificate, *strays[:7])))).status_code == 200
    assert_failed_authentication(await server.token(replace(issued, chain=(middle.certificate, *strays))))


async def test_a_certificate_of_thousands_of_names_is_refused_in_its_stride(server: RunningServer) -> None:
    """All of them are looked through, and the log is told of a few (M-83)."""
    for count in (100, 800):
        issued = server.ca.issue("CN=x", uris=[f"urn:{n:060}" for n in range(count)])
        async with server.http(issued) as http:
            try:
                response = await http.post(server.token_endpoint, data=token_form())
            except (OSError, ssl.SSLError):
                raise AssertionError("expected an answer in JSON") from None
        assert_failed_authentication(response)


async def test_a_client_with_an_intermediate_succeeds_on_every_connection(server: RunningServer) -> None:
    """Nothing is resumed, so that the chain is shown each time; the positive twin of a refused resumption (M-79)."""
    issued = server.ca.intermediate().issue(uris=[URI])
    context = server.tls(issued)

    first = await asyncio.to_thread(_connect, server, context, None)
    second = await asyncio.to_thread(_connect, server, context, first[1])

    assert (first[0], second[0]) == (200, 200)


def _connect(
    server: RunningServer, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[int | None, ssl.SSLSession | None]:
    """Status and session of one connection that offers to resume `session`."""
    with (
        socket.create_connection(parts(server.mtls), timeout=15) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as connection,
    ):
        connection.sendall(post(b"client_id=shop.orders&grant_type=client_credentials"))
        status = status_of(connection.recv(65536))
        assert not connection.session_reused
        return status, connection.session


async def test_no_anchor_is_ever_taken_from_the_system(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CA of the system's store that issues the right name is a stranger (M-80)."""
    public = Authority.root("CN=A public CA")
    file = server.folder / "system.pem"
    file.write_bytes(public.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert public.certificate.parsed.public_bytes(Encoding.PEM) in file.read_bytes()

    assert_failed_authentication(await server.token(public.issue(uris=[URI])))


async def test_a_client_whose_anchors_are_gone_keeps_nobody_in(server: RunningServer) -> None:
    """No anchor means nobody, never everybody (M-80)."""
    await server.put(client("shop.bare", anchors=[]))

    assert_failed_authentication(await server.token(server.certificate("shop.bare"), "shop.bare"))


async def test_a_second_ca_of_the_same_name_and_key_identifier_is_a_stranger(server: RunningServer) -> None:
    """An anchor is a key: neither its name nor the identifier that names the key makes another one it (M-81)."""
    twin = Authority.root("CN=Workloads Root")
    issued = twin.issue(uris=[URI], aki=False, extra=[(_identifier_of(server.ca), False)])

    assert_failed_authentication(await server.token(issued))


def _identifier_of(ca: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
