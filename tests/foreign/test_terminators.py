"""Real Envoy, nginx and HAProxy in front: who gets a token, and what a caller's own certificate headers do (nothing)."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.authserver.client_authentication.credentials import self_signed, self_signed_client
from tests.authserver.running import client, spiffe_id, token_form
from tests.authserver.transport.forwarding import ENCODERS
from tests.core.x509.authority import NOW, Authority, Issued
from tests.foreign.terminators import TERMINATORS, Terminated, terminated

SELF_SIGNED = self_signed("self-signed")
DEEP_ROOT = Authority.root("CN=Deep Root")
INTERMEDIATE = DEEP_ROOT.intermediate()


@pytest.fixture(scope="module", params=TERMINATORS)
def edge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminated]:
    """A server behind each terminator, with a client of every kind."""
    with terminated(request.param, tmp_path_factory.mktemp(request.param)) as started:
        server = started.server
        for metadata in (
            client(anchors=[server.ca]),
            client("shop.cart", anchors=[server.ca]),
            self_signed_client("shop.self", SELF_SIGNED),
            client("shop.deep", anchors=[DEEP_ROOT]),
        ):
            started.loop.run(server.put(metadata))
        yield started


def ask(edge: Terminated, certificate: Issued | None, client_id: str = "shop.orders", **headers: str) -> httpx.Response:
    with edge.http(certificate) as http:
        return http.post(edge.token_endpoint, data=token_form(client_id), headers=headers)


def claims_of(response: httpx.Response) -> dict[str, Any]:
    payload = response.json()["access_token"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def refused(response: httpx.Response) -> bool:
    return (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_a_good_certificate_gets_a_token_that_is_bound_to_it(edge: Terminated) -> None:
    """The certificate that the client showed to the terminator, not the terminator's (M-76)."""
    certificate = edge.server.certificate()
    response = ask(edge, certificate)

    assert response.status_code == 200, response.text
    claims = claims_of(response)
    assert claims["cnf"] == {"x5t#S256": certificate.certificate.x5t_s256}
    assert claims["iss"] == edge.server.issuer


def test_no_certificate_is_refused(edge: Terminated) -> None:
    """The handshake finishes, the endpoint says no (C-05, M-72)."""
    assert refused(ask(edge, None))


def test_a_certificate_of_a_foreign_ca_is_refused(edge: Terminated) -> None:
    """Every terminator lets it pass, and Holdfast judges it (C-07, M-73)."""
    assert refused(ask(edge, Authority.root("CN=Workloads Root").issue(uris=[spiffe_id("shop.orders")])))


def test_another_clients_certificate_is_refused(edge: Terminated) -> None:
    """Of the right CA, with the wrong subject (C-07)."""
    assert refused(ask(edge, edge.server.certificate("shop.cart")))


def test_an_expired_certificate_is_refused_in_json(edge: Terminated) -> None:
    """By Holdfast, or by nginx in its name (C-07)."""
    assert refused(ask(edge, edge.server.certificate(not_after=NOW - timedelta(hours=1))))


def test_a_self_signed_certificate_authenticates_the_client_that_registered_it(edge: Terminated) -> None:
    """No terminator has to know the CA of a client (M-73)."""
    response = ask(edge, SELF_SIGNED, "shop.self")

    assert response.status_code == 200, response.text
    assert claims_of(response)["cnf"] == {"x5t#S256": SELF_SIGNED.certificate.x5t_s256}
    assert refused(ask(edge, self_signed("self-signed"), "shop.self"))


def test_a_certificate_of_an_intermediate_needs_a_terminator_that_forwards_the_chain(edge: Terminated) -> None:
    """nginx has no variable for it; its clients pin the CA that issued their certificate (C-02)."""
    response = ask(edge, INTERMEDIATE.issue(uris=[spiffe_id("shop.deep")]), "shop.deep")

    assert refused(response) if edge.name == "nginx" else response.status_code == 200, response.text


def forged(issued: Issued) -> list[tuple[str, str]]:
    """Every header name we know of, with the value of every format, and its twins."""
    values = {value for encode in ENCODERS.values() for _, value in encode(issued)[:1]}
    names = {name for encode in ENCODERS.values() for name, _ in encode(issued)}
    names |= {"Client-Cert", "X-SSL-Client-Cert", "X-Client-Cert", "X-Amzn-Mtls-Clientcert", "SSL_CLIENT_CERT"}
    names |= {name.replace("-", "_") for name in names}
    return [(name, value) for name in sorted(names) for value in sorted(values)]


def test_a_forged_header_without_a_certificate_is_refused(edge: Terminated) -> None:
    """Whatever its name and format (C-03, C-06)."""
    stolen = edge.server.certificate()
    with edge.http() as http:
        for name, value in forged(stolen):
            response = http.post(edge.token_endpoint, data=token_form(), headers={name: value})
            assert response.status_code in (400, 401), (name, response.text)
        everything = [("Content-Type", "application/x-www-form-urlencoded"), *forged(stolen)[::5]]
        assert http.post(edge.token_endpoint, data=token_form(), headers=everything).status_code in (400, 401, 431)


def test_a_forged_header_beside_another_certificate_is_refused(edge: Terminated) -> None:
    """What counts is the certificate of the connection (C-03, C-06)."""
    stolen = edge.server.certificate()
    with edge.http(edge.server.certificate("shop.cart")) as http:
        for name, value in forged(stolen):
            response = http.post(edge.token_endpoint, data=token_form(), headers={name: value})
            assert response.status_code in (400, 401), (name, response.text)


def test_a_forged_header_beside_the_clients_own_certificate_changes_nothing(edge: Terminated) -> None:
    """The token is bound to the certificate of the connection (C-06)."""
    own, stolen = edge.server.certificate(), edge.server.certificate("shop.cart")
    with edge.http(own) as http:
        for name, value in forged(stolen):
            response = http.post(edge.token_endpoint, data=token_form(), headers={name: value})
            assert response.status_code in (200, 400), (name, response.text)
            if response.status_code == 200:
                assert claims_of(response)["cnf"] == {"x5t#S256": own.certificate.x5t_s256}


@pytest.mark.parametrize("field", ["Client-Cert", "X-Forwarded-Client-Cert", "ssl-client-cert"])
def test_a_connection_header_that_names_the_field_gives_no_more_rights(edge: Terminated, field: str) -> None:
    """Removed on the way or not, the caller is at most who it was (C-06)."""
    stolen = edge.server.certificate()
    for certificate in (None, edge.server.certificate("shop.cart")):
        for headers in ({"Connection": field}, {"Connection": f"close, {field}", field: ENCODERS["RFC9440"](stolen)[0][1]}):
            assert ask(edge, certificate, **headers).status_code in (400, 401)


def test_clients_that_share_the_terminators_connections_are_told_apart(edge: Terminated) -> None:
    """Sixty requests of three callers at once, each with its own certificate or none (M-76)."""
    callers: dict[str, Issued | None] = {
        "shop.orders": edge.server.certificate(),
        "shop.cart": edge.server.certificate("shop.cart"),
        "none": None,
    }

    def call(name: str) -> bool:
        certificate = callers[name]
        response = ask(edge, certificate, "shop.orders" if certificate is None else name)
        if certificate is None:
            return refused(response)
        return bool(claims_of(response)["cnf"]["x5t#S256"] == certificate.certificate.x5t_s256)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(call, [*callers] * 20))


def test_introspection_and_metadata_work_through_it(edge: Terminated) -> None:
    """All paths of the mTLS listener, under the terminator's URL (M-76)."""
    token = ask(edge, edge.server.certificate()).json()["access_token"]
    with edge.http(edge.server.certificate()) as http:
        answer = http.post(f"{edge.url}/oauth2/introspect", data={"client_id": "shop.orders", "token": token})
        metadata = http.get(f"{edge.url}/.well-known/oauth-authorization-server").json()

    assert answer.json()["active"] is True
    assert metadata["token_endpoint"] == edge.token_endpoint


def test_a_forged_host_changes_no_url(edge: Terminated) -> None:
    """Neither Host nor what a proxy or caller says was forwarded (E-04)."""
    forged_headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    with edge.http() as http:
        plain = http.get(f"{edge.url}/.well-known/oauth-authorization-server").json()
        forged_answer = http.get(f"{edge.url}/.well-known/oauth-authorization-server", headers=forged_headers).json()

    assert plain == forged_answer
    assert "evil" not in json.dumps(forged_answer)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_recipe_names_no_ca_and_resumes_nothing(edge: Terminated, version: str) -> None:
    """What Holdfast does itself on a direct connection, the terminator does by its recipe (M-73, M-79)."""
    command = ["openssl", "s_client", "-connect", edge.url.removeprefix("https://"), "-servername", "localhost", version]
    request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    answer = subprocess.run([*command, "-ign_eof"], input=request, capture_output=True, timeout=30, check=False)
    seen = answer.stdout.decode(errors="replace")

    assert "No client certificate CA names sent" in seen
    assert re.search("Client Certificate Types|Requested Signature Algorithms", seen)
    assert "HTTP/1.1 404" in seen
    assert "New Session Ticket arrived" not in seen
    assert "TLS session ticket:" not in seen


def test_an_oversized_header_is_refused_before_or_by_holdfast(edge: Terminated) -> None:
    """No terminator turns it into a 5xx (C-08)."""
    for size in (9_000, 17_000, 60_000):
        response = ask(edge, edge.server.certificate(), **{"X-Padding": "a" * size})
        assert response.status_code in (200, 400, 431), size
