"""RFC 7523 section 2.2 with its update: authenticating a client by a JWT that it signed, over real TLS."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.authserver.client_authentication.credentials import (
    ASSERTION_TYPE,
    BY_ASSERTION,
    assertion,
    assertion_client,
    assertion_form,
    certificate_jwk,
    claims,
    jwk,
    self_signed,
    unsigned,
)
from tests.authserver.client_authentication.publisher import publishing
from tests.authserver.running import MovingClock, RunningServer, client, make_registry, running, token_form
from tests.core.x509.authority import DAY, NOW, Authority, Issued, new_key
from tests.rfc8705.expectations import assert_error, assert_failed_authentication

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLOCK = MovingClock(NOW)
KEY, SECOND, FOREIGN = new_key(), new_key(), new_key()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED = ed25519.Ed25519PrivateKey.generate()
P384 = ec.generate_private_key(ec.SECP384R1())
ON_CONNECTION = self_signed("on the connection")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """`shop.orders` holds KEY alone and takes unbound tokens; `shop.many` holds keys of every kind; `shop.bound` binds.

    The registry is an hour old: a younger one refuses assertions that may be older than it is.
    """
    folder = tmp_path_factory.mktemp("server")
    await make_registry(folder, NOW - timedelta(hours=1))
    async with running(folder, clock=CLOCK) as started:
        many = [jwk(KEY, kid="ec"), jwk(RSA, "PS256", kid="rsa"), jwk(ED, "EdDSA", kid="ed"), jwk(P384, "ES384", kid="384")]
        await started.put(assertion_client("shop.orders", jwk(KEY, kid="k1"), certificate_bound=False), BY_ASSERTION)
        await started.put(assertion_client("shop.many", *many, certificate_bound=False), BY_ASSERTION)
        await started.put(assertion_client("shop.bound", jwk(KEY, kid="k1")), BY_ASSERTION)
        yield started


async def _ask(server: RunningServer, text: str, *certificate: Issued, endpoint: str = "", **form: str) -> httpx.Response:
    async with server.http(*certificate) as http:
        return await http.post(endpoint or server.token_endpoint, data=assertion_form(text, **form))


def _good(server: RunningServer, client_id: str = "shop.orders", *, key: Any = KEY, kid: str = "k1", **changes: Any) -> str:
    return assertion(key, claims(server.issuer, CLOCK(), client_id, **changes), kid=kid)


async def test_a_good_assertion_is_let_in_with_and_without_client_id(server: RunningServer) -> None:
    """The client id is in the assertion, too (A-02)."""
    without = await _ask(server, _good(server))
    with_id = await _ask(server, _good(server), client_id="shop.orders")

    assert without.status_code == 200, without.text
    assert with_id.status_code == 200, with_id.text


async def test_it_works_at_every_direct_endpoint_of_both_listeners(server: RunningServer) -> None:
    """Token, introspection and revocation, where certificates are asked for and where they are not (M-09)."""
    for base in (server.issuer, server.mtls):
        token = (await _ask(server, _good(server), endpoint=f"{base}/oauth2/token")).json()["access_token"]
        introspected = await _ask(server, _good(server), endpoint=f"{base}/oauth2/introspect", token=token)
        revoked = await _ask(server, _good(server), endpoint=f"{base}/oauth2/revoke", token=token)
        afterwards = await _ask(server, _good(server), endpoint=f"{base}/oauth2/introspect", token=token)
        wrong = await _ask(server, _good(server, key=FOREIGN), endpoint=f"{base}/oauth2/introspect", token=token)

        assert introspected.json()["active"] is True
        assert revoked.status_code == 200
        assert afterwards.json() == {"active": False}
        assert_error(wrong, 401, "invalid_client")


@pytest.mark.parametrize(
    "kind",
    ["urn:x", ASSERTION_TYPE.upper(), ASSERTION_TYPE + " ", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"],
)
async def test_a01_another_assertion_type_is_refused(server: RunningServer, kind: str) -> None:
    """With and without a client id (A-01)."""
    forms: list[dict[str, str]] = [{}, {"client_id": "shop.orders"}]
    for form in forms:
        assert_failed_authentication(await _ask(server, _good(server), **form, client_assertion_type=kind))


@pytest.mark.parametrize("left_out", ["client_assertion", "client_assertion_type"])
@pytest.mark.parametrize("empty", [True, False])
async def test_a01_an_assertion_without_its_type_or_the_reverse_is_refused(
    server: RunningServer, left_out: str, empty: bool
) -> None:
    """(A-01)"""
    form = assertion_form(_good(server), client_id="shop.orders")
    if empty:
        form[left_out] = ""
    else:
        del form[left_out]
    async with server.http() as http:
        response = await http.post(server.token_endpoint, data=form)

    assert_error(response, 400, "invalid_request")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "shop.many"},
        {"sub": "shop.many"},
        {"iss": None},
        {"sub": None},
        {"iss": ["shop.orders"]},
        {"sub": 7},
        {"iss": ""},
    ],
)
async def test_a02_issuer_and_subject_are_the_client(server: RunningServer, changes: dict[str, Any]) -> None:
    """Both, and as strings (A-02)."""
    forms: list[dict[str, str]] = [{}, {"client_id": "shop.orders"}]
    for form in forms:
        assert_failed_authentication(await _ask(server, _good(server, **changes), **form))


async def test_a02_another_client_id_in_the_form_is_refused(server: RunningServer) -> None:
    """Also that of a client with the same key (A-02, M-05)."""
    assert_failed_authentication(await _ask(server, _good(server), client_id="shop.bound"))
    assert_failed_authentication(await _ask(server, _good(server), client_id="no.body"))


async def test_a03_the_audience_is_the_issuer_as_one_string(server: RunningServer) -> None:
    """An endpoint, a list, another issuer, the issuer with a slash or none at all is refused (A-03)."""
    wrong: list[Any] = [
        server.token_endpoint, f"{server.issuer}/oauth2/token", f"{server.issuer}/oauth2/par", server.mtls,
        server.issuer + "/",
        [server.issuer], [server.issuer, "https://other.example"], "https://other.example", server.issuer.upper(), "", None,
        {"aud": server.issuer},
    ]  # fmt: skip
    for audience in wrong:
        response = await _ask(server, _good(server, aud=audience))
        assert_failed_authentication(response)


@pytest.mark.parametrize(
    ("claim", "ahead", "passes"),
    [
        ("exp", 1, True), ("exp", 300, True), ("exp", 310, True), ("exp", 361, False), ("exp", 86_400, False),
        ("exp", 0, False), ("exp", -1, False), ("exp", -3600, False),
        ("iat", 10, True), ("iat", 61, False), ("iat", 3600, False), ("iat", -300, True),
        ("nbf", 10, True), ("nbf", 61, False), ("nbf", 3600, False), ("nbf", -300, True),
    ],
)  # fmt: skip
async def test_a04_times_are_bounded(server: RunningServer, claim: str, ahead: int, passes: bool) -> None:
    """exp within five minutes; nbf and iat up to ten seconds ahead pass, over sixty fail (A-04)."""
    changes: dict[str, Any] = {claim: int(CLOCK().timestamp()) + ahead}
    response = await _ask(server, _good(server, **changes))

    assert response.status_code == (200 if passes else 401), response.text


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["1700000000", True, [], {}, 1e300, -1e300])
async def test_a04_times_are_numbers(server: RunningServer, claim: str, value: object) -> None:
    """(A-04)"""
    changes: dict[str, Any] = {claim: value}
    assert_failed_authentication(await _ask(server, _good(server, **changes)))


async def test_a04_expiry_is_required_and_the_rest_is_not(server: RunningServer) -> None:
    """(A-04)"""
    assert_failed_authentication(await _ask(server, _good(server, exp=None)))
    assert (await _ask(server, _good(server, iat=None))).status_code == 200


@pytest.mark.parametrize("jti", [None, "", 7, ["x"], "x" * 257, "a\nb", "\ud800"])
async def test_a05_an_identifier_is_required(server: RunningServer, jti: object) -> None:
    """A string that can be kept (A-05)."""
    content = {**claims(server.issuer, CLOCK()), "jti": jti}
    if jti is None:
        del content["jti"]
    text = _signed(json.dumps(content).encode(), {"alg": "ES256", "kid": "k1"})

    assert_failed_authentication(await _ask(server, text))


async def test_a05_an_assertion_is_accepted_once(server: RunningServer) -> None:
    """At whichever endpoint or listener it is sent again (A-05)."""
    text = _good(server)
    first = await _ask(server, text)
    again = [
        await _ask(server, text),
        await _ask(server, text, endpoint=f"{server.mtls}/oauth2/introspect", token="x"),
        await _ask(server, _good(server, jti=jwt.decode(text, options={"verify_signature": False})["jti"])),
    ]

    assert first.status_code == 200
    for response in again:
        assert_failed_authentication(response)
    assert_error(await _ask(server, text, endpoint=f"{server.issuer}/oauth2/token"), 401, "invalid_client")


async def test_a05_of_many_at_once_one_is_accepted(server: RunningServer) -> None:
    """(A-05)"""
    text = _good(server)
    answers = await asyncio.gather(*(_ask(server, text) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9


async def test_a05_the_same_identifier_of_another_client_is_another_one(server: RunningServer) -> None:
    """One client cannot use up another's (A-05)."""
    first = await _ask(server, _good(server, jti="shared"))
    second = await _ask(server, _good(server, "shop.many", kid="ec", jti="shared"))

    assert [first.status_code, second.status_code] == [200, 200]


async def test_a05_a_refused_assertion_is_not_used_up(server: RunningServer) -> None:
    """Nobody but the client can spend its identifiers (A-05)."""
    assert_failed_authentication(await _ask(server, _good(server, key=FOREIGN, jti="mine")))
    assert_failed_authentication(await _ask(server, _good(server, aud="https://other.example", jti="mine")))
    assert_failed_authentication(await _ask(server, _good(server, exp=1, jti="mine")))

    assert (await _ask(server, _good(server, jti="mine"))).status_code == 200


async def test_a05_once_over_restarts_and_beside_other_processes_on_the_same_registry(tmp_path: Path) -> None:
    """What one has accepted no other does, nor the same one after a restart (A-05)."""
    ca = Authority.root("CN=Server Root")
    async with running(tmp_path, clock=CLOCK, server_ca=ca) as one:
        await one.put(assertion_client("shop.orders", jwk(KEY, kid="k1"), certificate_bound=False), BY_ASSERTION)
        async with running(tmp_path, clock=CLOCK, server_ca=ca, public_url=one.issuer, audit_log="-") as two:
            first, second = _good(one), _good(one)
            fresh = [await _ask(one, first), await _ask(two, second)]
            again = [await _ask(two, first), await _ask(one, second)]
        ports = one.ports
    async with running(tmp_path, clock=CLOCK, server_ca=ca, **ports) as restarted:
        after = [await _ask(restarted, first), await _ask(restarted, second), await _ask(restarted, _good(restarted))]

    assert [response.status_code for response in (*fresh, *again)] == [200, 200, 401, 401]
    assert [response.status_code for response in after] == [401, 401, 200]


async def test_a05_without_its_store_the_server_says_try_again(tmp_path: Path) -> None:
    """Nobody can say whether it was used: neither accepted nor refused for good (A-05)."""
    async with running(tmp_path, clock=CLOCK) as server:
        await server.put(assertion_client("shop.orders", jwk(KEY, kid="k1"), certificate_bound=False), BY_ASSERTION)
        await server.put(client("shop.cart", anchors=[server.ca]))
        with sqlite3.connect(tmp_path / "registry.db", isolation_level=None) as held:
            held.execute("BEGIN IMMEDIATE")
            response = await _ask(server, text := _good(server))
            by_certificate = await server.token(server.certificate("shop.cart"), "shop.cart")
            held.execute("ROLLBACK")
        held.close()
        again = await _ask(server, text)

    assert_error(response, 503, "temporarily_unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert by_certificate.status_code == 200
    assert again.status_code == 200


def _signed(payload: bytes, header: Mapping[str, Any], key: Any = KEY) -> str:
    """Any bytes as claims and anything as header, under a good ES256 signature."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header).encode(), payload)]
    signature = jwt.algorithms.get_default_algorithms()["ES256"].sign(b".".join(parts), key)
    return b".".join((*parts, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()


async def test_a06_no_algorithm_and_hmac_are_refused(server: RunningServer) -> None:
    """HMAC with every form of the public key as its secret, too (A-06)."""
    content = claims(server.issuer, CLOCK())
    public = KEY.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    head = _signed(json.dumps(content).encode(), {"alg": "HS256", "kid": "k1"}).rpartition(".")[0]
    tried = [unsigned(content), head + "."]
    for secret in (pem, der, json.dumps(jwk(KEY)).encode(), b""):
        code = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head.encode(), secret)
        tried.append(f"{head}.{base64.urlsafe_b64encode(code).rstrip(b'=').decode()}")
    for text in tried:
        assert_failed_authentication(await _ask(server, text))


@pytest.mark.parametrize(
    ("key", "algorithm", "kid", "passes"),
    [
        (KEY, "ES256", "ec", True), (P384, "ES384", "384", True), (ED, "EdDSA", "ed", True), (RSA, "PS256", "rsa", True),
        (RSA, "RS256", "rsa", False), (RSA, "PS512", "rsa", False),
        (KEY, "ES256", "rsa", False), (RSA, "PS256", "ec", False),
    ],
)  # fmt: skip
async def test_a06_each_algorithm_of_the_list_works_and_no_other(
    server: RunningServer, key: Any, algorithm: str, kid: str, passes: bool
) -> None:
    """RS256 is not on it unless a setting says so, and a key is for its own algorithms (A-06)."""
    text = assertion(key, claims(server.issuer, CLOCK(), "shop.many"), algorithm=algorithm, kid=kid)

    assert (await _ask(server, text)).status_code == (200 if passes else 401)


async def test_a06_a_client_is_held_to_its_own_algorithm(server: RunningServer) -> None:
    """`token_endpoint_auth_signing_alg` narrows the list (A-06)."""
    both = [jwk(KEY, kid="ec"), jwk(RSA, "PS256", kid="rsa")]
    registered = assertion_client(
        "shop.one", *both, certificate_bound=False, token_endpoint_auth_signing_alg="PS256"
    )  # fmt: skip
    await server.put(registered, BY_ASSERTION)
    by_rsa = assertion(RSA, claims(server.issuer, CLOCK(), "shop.one"), algorithm="PS256", kid="rsa")

    assert (await _ask(server, by_rsa)).status_code == 200
    assert_failed_authentication(await _ask(server, _good(server, "shop.one", kid="ec")))


async def test_a06_rs256_works_where_the_setting_names_it(tmp_path: Path) -> None:
    """(A-06)"""
    async with running(tmp_path, clock=CLOCK, assertion_algorithms=("ES256", "RS256")) as server:
        await server.put(assertion_client("shop.orders", jwk(RSA, "RS256"), certificate_bound=False), BY_ASSERTION)
        text = assertion(RSA, claims(server.issuer, CLOCK()), algorithm="RS256")
        other = assertion(RSA, claims(server.issuer, CLOCK()), algorithm="PS256")

        assert (await _ask(server, text)).status_code == 200
        assert_failed_authentication(await _ask(server, other))


async def test_a07_the_key_is_the_registered_one_with_this_kid(server: RunningServer) -> None:
    """Another key under its kid, an unknown kid, a kid that is no string (A-07)."""
    content = json.dumps(claims(server.issuer, CLOCK())).encode()

    assert_failed_authentication(await _ask(server, _good(server, key=FOREIGN)))
    assert_failed_authentication(await _ask(server, _good(server, kid="unknown")))
    assert_failed_authentication(await _ask(server, _signed(content, {"alg": "ES256", "kid": 7})))
    assert_failed_authentication(await _ask(server, _signed(content, {"alg": "ES256", "kid": ["k1"]})))


async def test_a07_a_key_counts_until_its_own_exp(server: RunningServer) -> None:
    """And where one of two has ended, the set holds one key alone (A-07)."""
    now = int(CLOCK().timestamp())
    ended, counting = jwk(SECOND, kid="ended", exp=now), jwk(KEY, kid="k1", exp=now + 60)
    await server.put(assertion_client("shop.renewed", ended, counting, certificate_bound=False), BY_ASSERTION)

    by_the_ended = _good(server, "shop.renewed", key=SECOND, kid="ended")
    without_kid = assertion(KEY, claims(server.issuer, CLOCK(), "shop.renewed"))

    assert_failed_authentication(await _ask(server, by_the_ended))
    assert (await _ask(server, _good(server, "shop.renewed"))).status_code == 200
    assert (await _ask(server, without_kid)).status_code == 200


async def test_a07_without_a_kid_the_set_has_to_hold_one_key(server: RunningServer) -> None:
    """(A-07)"""
    single = assertion(KEY, claims(server.issuer, CLOCK()))
    many = assertion(KEY, claims(server.issuer, CLOCK(), "shop.many"))

    assert (await _ask(server, single)).status_code == 200
    assert_failed_authentication(await _ask(server, many))


async def test_a07_keys_in_the_header_are_ignored(server: RunningServer) -> None:
    """They neither help a stranger nor hinder the client (A-07)."""
    async with publishing(Authority.root("CN=Keys")) as publisher:
        url = publisher.publish("/keys", {"keys": [jwk(FOREIGN, kid="k1")]})
        certificate = certificate_jwk(self_signed(key=FOREIGN))["x5c"]
        header = {"jwk": jwk(FOREIGN, kid="k1"), "jku": url, "x5u": url, "x5c": certificate}
        kids: list[dict[str, str]] = [{"kid": "k1"}, {}, {"kid": "k2"}]
        for kid in kids:
            by_stranger = assertion(FOREIGN, claims(server.issuer, CLOCK()), **header, **kid)
            assert_failed_authentication(await _ask(server, by_stranger))
        by_client = await _ask(server, assertion(KEY, claims(server.issuer, CLOCK()), **header, kid="k1"))

        assert by_client.status_code == 200
        assert publisher.requests == []


async def test_a07_critical_members_are_refused(server: RunningServer) -> None:
    """None is understood here, whichever it is (A-07)."""
    content = json.dumps(claims(server.issuer, CLOCK())).encode()
    for crit in (["exp"], ["b64"], [], "exp", None):
        header = {"alg": "ES256", "kid": "k1", "crit": crit, "b64": True, "exp": 1}
        assert_failed_authentication(await _ask(server, _signed(content, header)))


async def test_a07_a_key_that_is_not_for_signatures_is_none(server: RunningServer) -> None:
    """`use` enc, and operations without verify (A-07)."""
    for members in ({"use": "enc"}, {"key_ops": ["encrypt"]}):
        await server.put(assertion_client("shop.enc", jwk(KEY, kid="k1", **members), certificate_bound=False), BY_ASSERTION)
        assert_failed_authentication(await _ask(server, _good(server, "shop.enc")))


async def test_an_access_token_is_no_assertion(server: RunningServer) -> None:
    """Nor anything else that is typed as another kind of JWT (A-02)."""
    token = (await _ask(server, _good(server))).json()["access_token"]
    content = claims(server.issuer, CLOCK())

    assert_failed_authentication(await _ask(server, token, client_id="shop.orders"))
    assert_failed_authentication(await _ask(server, assertion(KEY, content, kid="k1", typ="at+jwt")))
    assert (await _ask(server, assertion(KEY, content, kid="k1", typ="client-authentication+jwt"))).status_code == 200


async def test_a08_a_token_is_bound_to_the_certificate_on_the_connection(server: RunningServer) -> None:
    """Which proves nothing but that its key is there (A-08, M-08)."""
    response = await _ask(server, _good(server, "shop.bound"), ON_CONNECTION)
    token = response.json()["access_token"]
    introspected = await _ask(server, _good(server, "shop.bound"), endpoint=f"{server.mtls}/oauth2/introspect", token=token)

    assert response.status_code == 200, response.text
    assert introspected.json()["cnf"] == {"x5t#S256": ON_CONNECTION.certificate.x5t_s256}


async def test_a08_without_a_certificate_there_is_no_bound_token(server: RunningServer) -> None:
    """At either listener (A-08)."""
    for base in (server.issuer, server.mtls):
        response = await _ask(server, _good(server, "shop.bound"), endpoint=f"{base}/oauth2/token")
        assert_error(response, 400, "invalid_request")


@pytest.mark.parametrize(("begin", "end"), [(NOW - 3 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)])
async def test_a08_to_a_certificate_outside_its_validity_period_nothing_is_bound(
    server: RunningServer, begin: Any, end: Any
) -> None:
    """For an unbound token it does not matter (A-08)."""
    issued = self_signed("late", not_before=begin, not_after=end)

    assert_error(await _ask(server, _good(server, "shop.bound"), issued), 400, "invalid_request")
    assert (await _ask(server, _good(server), issued)).status_code == 200


async def test_a08_to_a_denied_certificate_nothing_is_bound(server: RunningServer) -> None:
    """The client itself is not refused (A-08)."""
    denied = self_signed("denied")
    await server.registry.put_denied_thumbprints(frozenset({denied.certificate.x5t_s256}), term=server.term)

    assert_error(await _ask(server, _good(server, "shop.bound"), denied), 400, "invalid_request")
    assert (await _ask(server, _good(server), denied)).status_code == 200


async def test_a08_a_bound_token_ends_with_its_certificate(server: RunningServer) -> None:
    """(A-08, M-75)"""
    short = self_signed("short", not_after=CLOCK() + timedelta(seconds=100))

    assert (await _ask(server, _good(server, "shop.bound"), short)).json()["expires_in"] == 100


async def test_m07_a_perfect_certificate_does_not_replace_the_assertion(server: RunningServer) -> None:
    """Nor does a secret (M-07)."""
    async with server.http(server.certificate("shop.orders")) as http:
        bare = await http.post(server.token_endpoint, data=token_form())
        secret = await http.post(server.token_endpoint, data=token_form(client_secret="secret"))
        basic = await http.post(server.token_endpoint, data=token_form(), auth=("shop.orders", "secret"))

    assert_failed_authentication(bare)
    assert_failed_authentication(secret)
    assert_failed_authentication(basic)
    assert basic.headers["www-authenticate"].startswith("Basic")


async def test_m08_an_assertion_beside_another_explicit_method_is_refused(server: RunningServer) -> None:
    """Also where both would be right (M-08, O-09)."""
    async with server.http() as http:
        secret = await http.post(server.token_endpoint, data=assertion_form(_good(server), client_secret="secret"))
        basic = await http.post(server.token_endpoint, data=assertion_form(_good(server)), auth=("shop.orders", "secret"))

    assert_error(secret, 400, "invalid_request")
    assert_error(basic, 400, "invalid_request")


async def test_m08_an_assertion_beside_the_certificate_of_an_mtls_client_is_refused(server: RunningServer) -> None:
    """Two explicit methods, of which the client is registered with one (M-08, O-09, M-07)."""
    await server.put(client("shop.mtls", anchors=[server.ca]))
    form = assertion_form(_good(server, "shop.mtls"), client_id="shop.mtls")
    async with server.http(server.certificate("shop.mtls")) as http:
        beside = await http.post(server.token_endpoint, data=form)
    async with server.http() as http:
        instead = await http.post(server.token_endpoint, data=form)

    assert_error(beside, 400, "invalid_request")
    assert_failed_authentication(instead)


async def test_e02_unknown_suspended_and_wrong_look_the_same(server: RunningServer) -> None:
    """Also with some certificate on the connection (E-02, M-10)."""
    await server.put(
        assertion_client("shop.suspended", jwk(KEY, kid="k1"), suspended=True, certificate_bound=False), BY_ASSERTION
    )
    await server.put(client("shop.mtls", anchors=[server.ca]))
    for certificate in ((), (ON_CONNECTION,)):
        answers = [
            await _ask(server, _good(server, "no.body"), *certificate),
            await _ask(server, _good(server, "shop.suspended"), *certificate),
            await _ask(server, _good(server, key=FOREIGN), *certificate),
            await _ask(server, _good(server, "shop.mtls"), *certificate),
            await _ask(server, "x.y.z", *certificate),
        ]
        for answer in answers:
            assert_failed_authentication(answer)
        assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


async def test_e03_a_removed_key_dies_at_once(server: RunningServer) -> None:
    """By value (E-03)."""
    for key, kid, passes in ((KEY, "a", True), (SECOND, "b", True), (KEY, "a", False)):
        members = [jwk(KEY, kid="a"), jwk(SECOND, kid="b")] if passes else [jwk(SECOND, kid="b")]
        await server.put(assertion_client("shop.turns", *members, certificate_bound=False), BY_ASSERTION)
        response = await _ask(server, _good(server, "shop.turns", key=key, kid=kid))

        assert response.status_code == (200 if passes else 401)


async def test_keys_by_reference_are_found_by_kid_with_one_refresh(tmp_path: Path) -> None:
    """A kid that was just published is known, one that nobody published causes no storm (M-42, A-07)."""
    ca, clock = Authority.root("CN=Private PKI"), MovingClock(NOW)
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    settings: dict[str, Any] = {"jwks_uri_ca_file": tmp_path / "ca.pem", "jwks_uri_allowed_hosts": ("127.0.0.1",)}
    async with publishing(ca) as publisher, running(tmp_path, clock=clock, **settings) as server:
        url = publisher.publish("/keys", {"keys": [jwk(KEY, kid="a")]})
        await server.put(assertion_client("shop.orders", jwks_uri=url, certificate_bound=False), BY_ASSERTION)
        first = await _ask(server, assertion(KEY, claims(server.issuer, clock()), kid="a"))
        publisher.publish("/keys", {"keys": [jwk(KEY, kid="a"), jwk(SECOND, kid="b")]})
        clock.move(seconds=11)
        second = await _ask(server, assertion(SECOND, claims(server.issuer, clock()), kid="b"))
        fetched = publisher.count("/keys")
        for number in range(50):
            unknown = await _ask(server, assertion(FOREIGN, claims(server.issuer, clock()), kid=f"unknown-{number}"))
            assert_failed_authentication(unknown)

        assert [first.status_code, second.status_code] == [200, 200]
        assert fetched == publisher.count("/keys") == 2


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a.b", "a.b.c", "a.b.c.d", "x" * 9000, "é.é.é", "\0", "e30.e30.", "e30.e30.AA", "e30=.e30=.AA==",
        "bnVsbA.bnVsbA.AA", "W10.W10.AA", "e30.e30.AB", "eyJhIjoxLCJhIjoyfQ.e30.AA", "eyJhIjpOYU59.e30.AA",
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.AA",
        base64.urlsafe_b64encode(b'{"alg":' + b"9" * 5000 + b"}").decode().rstrip("=") + ".e30.AA",
    ],
)  # fmt: skip
async def test_e01_no_text_is_more_than_a_refusal(server: RunningServer, text: str) -> None:
    """Whatever stands for the assertion, with and without a client id (E-01, A-02)."""
    forms: list[dict[str, str]] = [{}, {"client_id": "shop.orders"}]
    for form in forms:
        response = await _ask(server, text, **form)
        assert_error(response, 401 if text else 400, "invalid_client" if text else "invalid_request")


async def test_e01_signed_nonsense_is_a_refusal_too(server: RunningServer) -> None:
    """Claims that are no object, or repeat a member, under a good signature (E-01)."""
    good = json.dumps(claims(server.issuer, CLOCK())).encode()
    repeated = good[:-1] + b', "sub": "shop.orders"}'
    for payload in (b"7", b"[]", b"null", b"{", b"\xff", repeated, b'{"exp": NaN}', b"{}"):
        text = _signed(payload, {"alg": "ES256", "kid": "k1"})
        assert_failed_authentication(await _ask(server, text, client_id="shop.orders"))


_BORN = 100.0  # seconds before NOW: the age of a registry that replaced a lost one


@pytest.mark.parametrize(
    ("changes", "retry_after"),
    [
        ({"iat": -101}, "1"), ({"iat": -280}, "180"), ({"iat": None, "exp": 60}, "170"), ({"iat": None, "exp": 229}, "1"),
        ({"iat": -101, "nbf": -150}, "1"), ({"iat": -100}, None), ({"iat": 0}, None), ({"iat": None, "exp": 230}, None),
        ({"iat": None, "nbf": -100, "exp": 60}, None), ({"iat": -280, "nbf": -100}, None),
    ],
)  # fmt: skip
async def test_a05_what_may_have_been_used_in_a_lost_registry_is_not_let_in(
    tmp_path: Path, changes: Mapping[str, int | None], retry_after: str | None
) -> None:
    """A new one is: 503 says when one made alike counts again (A-05)."""
    await make_registry(tmp_path, NOW - timedelta(seconds=_BORN))
    async with running(tmp_path, clock=CLOCK) as server:
        await server.put(assertion_client("shop.orders", jwk(KEY, kid="k1"), certificate_bound=False), BY_ASSERTION)
        now = int(CLOCK().timestamp())
        times: dict[str, Any] = {name: None if ahead is None else now + ahead for name, ahead in changes.items()}
        response = await _ask(server, _good(server, **times))

        if retry_after is None:
            assert response.status_code == 200, response.text
        else:
            assert_error(response, 503, "temporarily_unavailable")
            assert response.headers["retry-after"] == retry_after
            assert (await _ask(server, _good(server))).status_code == 200


async def test_a05_an_assertion_is_not_good_again_after_the_registry_was_lost(tmp_path: Path) -> None:
    """The file is deleted in use; what was used with it stays used up (A-05)."""
    clock = MovingClock(NOW)
    async with running(tmp_path, clock=clock) as server:
        metadata = assertion_client("shop.orders", jwk(KEY, kid="k1"), certificate_bound=False)
        await server.put(metadata, BY_ASSERTION)
        used = assertion(KEY, claims(server.issuer, clock(), "shop.orders"), kid="k1")
        assert (await _ask(server, used)).status_code == 200
        async with asyncio.timeout(30), server.http() as http:
            lost = (await http.get(f"{server.issuer}/oauth2/jwks")).content
            clock.move(seconds=2)
            (tmp_path / "registry.db").unlink()
            while (now := await http.get(f"{server.issuer}/oauth2/jwks")).content == lost or now.status_code != 200:
                assert now.status_code in (200, 503)  # until the new registry has keys
        term = await server.registry.open_term("tests")
        await server.registry.confirm(term=term)
        await server.registry.put_policy(BY_ASSERTION, term=term)
        await server.registry.put_client(replace(metadata, policy=BY_ASSERTION.hash), term=term)
        again = await _ask(server, used)
        fresh = await _ask(server, assertion(KEY, claims(server.issuer, clock(), "shop.orders"), kid="k1"))

    assert_error(again, 503, "temporarily_unavailable")
    assert '"reason":"assertion_forgotten"' in server.audit_log.read_text()
    assert fresh.status_code == 200, fresh.text
