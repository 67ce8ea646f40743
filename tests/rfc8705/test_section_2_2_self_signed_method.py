"""RFC 8705 section 2.2: authenticating a client by a certificate that it registered, as a whole."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast.registry.port import RegistrationRefused
from holdfast.x509.certificate import Certificate
from tests.authserver.client_authentication.credentials import (
    certificate_jwk,
    jwk,
    keys,
    openssl_default,
    self_signed,
    self_signed_client,
    version_1,
)
from tests.authserver.running import MovingClock, RunningServer, client, running, token_form
from tests.core.x509.authority import DAY, NOW, Authority, Issued, new_key
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN = self_signed("orders")
CLOCK = MovingClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """`shop.orders` is known by OWN alone. The clock is ahead, so that what openssl makes meanwhile is valid."""
    CLOCK.now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=2)
    async with running(tmp_path_factory.mktemp("server"), clock=CLOCK) as started:
        await started.put(self_signed_client("shop.orders", OWN))
        yield started


async def _register(server: RunningServer, *certificates: Issued, **changes: object) -> str:
    await server.put(self_signed_client("shop.other", *certificates, **changes))
    return "shop.other"


async def test_m38_the_registered_certificate_is_let_in_at_every_endpoint(server: RunningServer) -> None:
    """As a whole it is the one, which is all there is to it (M-38, M-09)."""
    response = await server.token(OWN)
    introspected = await server.introspect(OWN, response.json()["access_token"])

    assert response.status_code == 200
    assert introspected["cnf"] == {"x5t#S256": OWN.certificate.x5t_s256}


async def test_m38_the_same_key_in_another_certificate_is_refused(server: RunningServer) -> None:
    """Also with the same names and serial number (M-38)."""
    again = self_signed("orders", key=OWN.key)

    assert again.certificate.spki_sha256 == OWN.certificate.spki_sha256
    assert_failed_authentication(await server.token(again))


async def test_no_certificate_is_refused_on_an_intact_connection(server: RunningServer) -> None:
    """(M-04, M-73)"""
    async with server.http() as http:
        answers = [await http.post(server.token_endpoint, data=token_form()) for _ in range(2)]

    for answer in answers:
        assert_failed_authentication(answer)


@pytest.mark.parametrize("make", ["version 1", "no extension", "openssl req -x509", "issued by a CA", "for servers only"])
async def test_m39_nothing_but_equality_is_asked_of_it(server: RunningServer, make: str, tmp_path: Path) -> None:
    """No chain, no CA, no usage: a CA by its constraints, one of a CA, one for servers only (M-39)."""
    ca = Authority.root("CN=Somebody")
    makers: dict[str, Callable[[], Issued]] = {
        "version 1": version_1,
        "no extension": self_signed,
        "openssl req -x509": lambda: openssl_default(tmp_path),
        "issued by a CA": lambda: ca.intermediate().issue("CN=leaf"),
        "for servers only": lambda: ca.issue("CN=leaf", client_auth=False, server=True, digital_signature=False),
    }
    issued = makers[make]()
    client_id = await _register(server, issued)

    assert (await server.token(issued, client_id)).status_code == 200


async def test_m39_the_certificates_are_of_the_make_they_say(tmp_path: Path) -> None:
    """What the positive tests stand on (M-39)."""
    assert version_1().certificate.parsed.version.name == "v1"
    assert not list(self_signed().certificate.extensions)
    assert openssl_default(tmp_path).certificate.is_ca


@pytest.mark.parametrize(
    ("not_before", "not_after"), [(NOW - 3 * DAY, NOW - DAY), (NOW + DAY, NOW + 3 * DAY)], ids=["expired", "not yet"]
)
async def test_m40_outside_its_validity_period_it_is_refused_unless_the_client_says_otherwise(
    server: RunningServer, not_before: object, not_after: object
) -> None:
    """Expired or not yet valid, and let in with `accept_expired_certificate` (M-40)."""
    issued = self_signed("other", not_before=not_before, not_after=not_after)  # type: ignore[arg-type]
    client_id = await _register(server, issued)
    refused = await server.token(issued, client_id)
    await _register(server, issued, accept_expired_certificate=True)
    accepted = await server.token(issued, client_id)

    assert_failed_authentication(refused)
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["expires_in"] == 300


async def test_m40_a_certificate_that_ends_while_the_server_runs_is_refused_from_then_on(tmp_path: Path) -> None:
    """Judged anew at each request, on an open connection too (M-40)."""
    clock = MovingClock(NOW)
    issued = self_signed("orders", not_after=NOW + DAY)
    async with running(tmp_path, clock=clock) as server:
        await server.put(self_signed_client("shop.orders", issued))
        async with server.http(issued) as http:
            before = await http.post(server.token_endpoint, data=token_form())
            clock.move(days=1, seconds=1)
            after = await http.post(server.token_endpoint, data=token_form())

    assert before.status_code == 200
    assert_failed_authentication(after)


async def test_m41_several_certificates_live_side_by_side_and_a_removed_one_dies_at_once(server: RunningServer) -> None:
    """Rotation: both until the old one is withdrawn, on an open connection too (M-41)."""
    old, new = self_signed("old"), self_signed("new")
    client_id = await _register(server, old, new)
    async with server.http(old) as http:
        both = [await http.post(server.token_endpoint, data=token_form(client_id)), await server.token(new, client_id)]
        await _register(server, new)
        removed = await http.post(server.token_endpoint, data=token_form(client_id))

    assert [answer.status_code for answer in both] == [200, 200]
    assert_failed_authentication(removed)
    assert (await server.token(new, client_id)).status_code == 200


async def test_m41_a_replaced_certificate_ends_by_the_exp_of_its_key(server: RunningServer) -> None:
    """Whether or not somebody takes it out, on an open connection too; a client without `exp` goes on (M-41)."""
    old, new = self_signed("old"), self_signed("new")
    ends = int(CLOCK.now.timestamp()) + 300
    by_value = keys(certificate_jwk(new), certificate_jwk(old, exp=ends))
    await server.put(self_signed_client("shop.renewed", jwks=by_value))
    try:
        async with server.http(old) as http:
            CLOCK.move(seconds=299)
            before = await http.post(server.token_endpoint, data=token_form("shop.renewed"))
            CLOCK.move(seconds=1)
            after = await http.post(server.token_endpoint, data=token_form("shop.renewed"))
        assert before.status_code == 200
        assert_failed_authentication(after)
        assert (await server.token(new, "shop.renewed")).status_code == 200
    finally:
        CLOCK.move(seconds=-300)


async def test_m43_a_certificate_of_another_client_is_refused(server: RunningServer) -> None:
    """Registered for one, used with the id of the other, in both directions (M-43, M-05)."""
    other = self_signed("other")
    client_id = await _register(server, other)

    assert_failed_authentication(await server.token(other, "shop.orders"))
    assert_failed_authentication(await server.token(OWN, client_id))


async def test_m44_what_a_registered_certificate_has_issued_is_refused(server: RunningServer) -> None:
    """Also when the registered one, which is a CA, is sent with it (M-44)."""
    ca = Authority.root("CN=registered")
    client_id = await _register(server, Issued(ca.certificate, ca.key))
    alone = ca.issue("CN=leaf")
    with_issuer = replace(alone, chain=(ca.certificate,))

    assert (await server.token(Issued(ca.certificate, ca.key), client_id)).status_code == 200
    assert_failed_authentication(await server.token(alone, client_id))
    assert_failed_authentication(await server.token(with_issuer, client_id))


async def test_m45_a_certificate_of_a_ca_trusted_elsewhere_is_refused(server: RunningServer) -> None:
    """A CA of another client's anchors means nothing to this one (M-45, M-07)."""
    await server.put(client("shop.cart", anchors=[server.ca]))
    of_the_ca = server.certificate("shop.orders")

    assert_failed_authentication(await server.token(of_the_ca, "shop.orders"))
    assert_failed_authentication(await server.token(OWN, "shop.cart"))


async def test_m46_of_two_certificates_the_first_is_judged(server: RunningServer) -> None:
    """The registered one behind another proves nothing, and one behind the registered one does no harm (M-46)."""
    foreign = self_signed("foreign")
    behind = replace(foreign, chain=(OWN.certificate,))
    in_front = replace(OWN, chain=(foreign.certificate,))

    assert_failed_authentication(await server.token(behind))
    assert (await server.token(in_front)).status_code == 200


async def test_m36_keys_without_a_certificate_are_skipped(server: RunningServer) -> None:
    """Beside one that has it they do no harm, and they let nobody in (M-36)."""
    bare, held = self_signed("bare"), self_signed("held")
    await _register(server, jwks=keys(jwk(bare.key), certificate_jwk(held)))

    assert (await server.token(held, "shop.other")).status_code == 200
    assert_failed_authentication(await server.token(bare, "shop.other"))


async def test_m36_a_set_without_any_certificate_is_not_registered(server: RunningServer) -> None:
    """By value (M-36)."""
    with pytest.raises(RegistrationRefused, match="x5c"):
        await _register(server, jwks=keys(jwk(new_key())))


async def test_m35_keys_by_value_and_by_reference_are_not_registered(server: RunningServer) -> None:
    """(M-35)"""
    with pytest.raises(RegistrationRefused, match="found both"):
        await _register(server, jwks=keys(certificate_jwk(OWN)), jwks_uri="https://keys.example/")


async def test_m35_a_client_without_keys_gets_nothing(server: RunningServer) -> None:
    """Neither by value nor by reference: registered, and denied like any other (M-35)."""
    await _register(server, jwks=None)

    assert_failed_authentication(await server.token(OWN, "shop.other"))


async def test_e02_unknown_suspended_wrong_and_expired_look_the_same(server: RunningServer) -> None:
    """Status, body and names of headers (E-02, M-10)."""
    expired, suspended = self_signed("expired", not_after=NOW - DAY / 2), self_signed("suspended")
    await server.put(self_signed_client("shop.expired", expired))
    await server.put(self_signed_client("shop.suspended", suspended, suspended=True))
    answers = [
        await server.token(OWN, "no.body"),
        await server.token(suspended, "shop.suspended"),
        await server.token(self_signed("wrong"), "shop.orders"),
        await server.token(expired, "shop.expired"),
    ]

    for answer in answers:
        assert_failed_authentication(answer)
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


async def test_m75_a_token_ends_with_its_certificate(server: RunningServer) -> None:
    """(M-75)"""
    short = self_signed("short", not_after=CLOCK.now + timedelta(seconds=100))
    client_id = await _register(server, short)

    assert (await server.token(short, client_id)).json()["expires_in"] == 100


async def test_a_denied_certificate_is_refused_for_a_client_that_registered_it(server: RunningServer) -> None:
    """Whoever registered it: a denied certificate is denied for every client."""
    denied = self_signed("denied")
    client_id = await _register(server, denied)
    before = await server.token(denied, client_id)
    await server.registry.put_denied_thumbprints(frozenset({denied.certificate.x5t_s256}), term=server.term)
    after = await server.token(denied, client_id)

    assert before.status_code == 200
    assert_failed_authentication(after)


async def test_the_thumbprint_is_over_the_whole_certificate() -> None:
    """Two certificates of one key and name differ in it (M-38)."""
    again = self_signed("orders", key=OWN.key)

    assert Certificate.from_der(OWN.certificate.der).x5t_s256 == OWN.certificate.x5t_s256
    assert again.certificate.x5t_s256 != OWN.certificate.x5t_s256


@pytest.mark.parametrize("second", [{"client_secret": "x"}, {"client_assertion": "x", "client_assertion_type": "urn:x"}])
async def test_m08_a_second_method_is_named_to_the_client_itself_only(server: RunningServer, second: dict[str, str]) -> None:
    """Beside its certificate it is one too many; beside another's it is the failure of everybody (M-08, O-09, E-02)."""
    by_itself = await server.token(OWN, "shop.orders", **second)
    by_another = await server.token(self_signed(), "shop.orders", **second)
    by_nobody = await server.token(OWN, "no.body", **second)

    assert_error(by_itself, 400, "invalid_request")
    assert_failed_authentication(by_another)
    assert_failed_authentication(by_nobody)


async def test_m07_a_secret_in_place_of_the_certificate_is_refused(server: RunningServer) -> None:
    """(M-07)"""
    async with server.http() as http:
        response = await http.post(server.token_endpoint, data=token_form(client_secret="x"))

    assert_failed_authentication(response)


async def test_m34_the_name_of_the_method_is_matched_exactly(server: RunningServer) -> None:
    """(M-34)"""
    for name in (
        "self_signed_tls_client_auth ",
        "Self_Signed_TLS_Client_Auth",
        "self_signed",
        "client_secret_basic",
        "none",
    ):
        with pytest.raises(RegistrationRefused, match="token_endpoint_auth_method"):
            await _register(server, OWN, token_endpoint_auth_method=name)


async def test_the_audit_log_says_why_in_one_word_of_a_closed_set(server: RunningServer) -> None:
    """Unknown to the caller, plain to the operator (E-02)."""
    refused = await server.token(self_signed(), "shop.orders")
    async with asyncio.timeout(10):
        while refused.headers["holdfast-decision"] not in server.audit_log.read_text():  # noqa: ASYNC110 - written in batches
            await asyncio.sleep(0.02)
    lines = map(json.loads, server.audit_log.read_text().splitlines())
    [line] = [line for line in lines if line["decision"] == refused.headers["holdfast-decision"]]

    assert (line["client_id"], line["reason"]) == ("shop.orders", "certificate_not_registered")
