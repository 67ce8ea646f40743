"""The deny-list at an API, over real TLS: what it refuses, what may be believed, and what happens when it is away."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from holdfast.oauth.deny_list import TYPE, entry
from holdfast.resource_server import (
    DenyListCache,
    DenyListRules,
    DenyListUnavailable,
    Expected,
    InvalidToken,
    JwksCache,
    TokenVerifier,
    WhenTooOld,
)
from tests.core.resource_server.issuer import AUDIENCE, ISSUER, NOW, Issuer, JwksServer, jwks_server, trusting
from tests.core.resource_server.test_jwks_cache import MovedClock
from tests.core.x509.authority import Authority

ROOT = Authority.root()
MINE = ROOT.issue("CN=orders").certificate
ISSUED_BY = Issuer()
PATH = "/oauth2/deny-list"
NOTHING: dict[str, Any] = {"tokens": [], "clients": {}, "certificates": []}


def document(at: MovedClock, *, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> bytes:
    """A list signed now, good for ten minutes."""
    now = int(at.now.timestamp())
    body = {"iss": ISSUER, "iat": now, "exp": now + 600, "valid_from": 0, "complete": True, **NOTHING, **changes}
    headers = {"typ": TYPE, "kid": ISSUED_BY.kid, **(header or {})}
    return jwt.PyJWS().encode(json.dumps(body).encode(), key or ISSUED_BY.key, algorithm="ES256", headers=headers).encode()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def server(tmp_path: Path, clock: MovedClock) -> Iterator[JwksServer]:
    with jwks_server(ROOT, tmp_path, ISSUED_BY.jwks()) as running:
        running.paths[PATH] = document(clock)
        yield running


def verifier(server: JwksServer, clock: MovedClock, **rules: Any) -> TokenVerifier:
    jwks = JwksCache(server.url, context=trusting(ROOT), clock=clock)
    url = server.url.replace("/oauth2/jwks", PATH)
    denied = DenyListCache(url, ISSUER, jwks, clock=clock, rules=DenyListRules(**rules))
    return TokenVerifier(Expected(issuer=ISSUER, audience=AUDIENCE), jwks, deny_list=denied, clock=clock)


def token(clock: MovedClock, jti: str = "one") -> str:
    return ISSUED_BY.token(MINE, at=clock.now, claims={"jti": jti})


@pytest.mark.parametrize(
    "listed",
    [
        {"tokens": [entry("one")]},
        {"clients": {entry("shop.orders"): None}},
        {"certificates": [entry(MINE.x5t_s256)]},
        {"valid_from": int(NOW.timestamp()) + 1},
    ],
)
async def test_what_is_listed_is_an_invalid_token(server: JwksServer, clock: MovedClock, listed: dict[str, Any]) -> None:
    checks = verifier(server, clock)
    assert checks.verify(token(clock), MINE).jti == "one"
    server.paths[PATH] = document(clock, **listed)
    clock.move(seconds=6)

    with pytest.raises(InvalidToken, match="deny-list"):
        checks.verify(ISSUED_BY.token(MINE, claims={"jti": "one"}), MINE)
    with pytest.raises(InvalidToken, match="deny-list"):
        await checks.averify(ISSUED_BY.token(MINE, claims={"jti": "one"}), MINE)


def test_a_token_that_is_not_listed_passes(server: JwksServer, clock: MovedClock) -> None:
    server.paths[PATH] = document(clock, tokens=[entry("one")], clients={entry("shop.orders"): int(NOW.timestamp())})

    assert verifier(server, clock).verify(token(clock, "two"), MINE).jti == "two"


def test_the_list_is_fetched_once_while_it_is_fresh_and_is_not_sent_again_when_unchanged(
    server: JwksServer, clock: MovedClock
) -> None:
    checks, server.etag = verifier(server, clock), 'W/"1"'
    for _ in range(5):
        checks.verify(token(clock), MINE)
    assert server.count == 2  # the keys and the list
    clock.move(seconds=5)
    checks.verify(token(clock), MINE)

    assert (server.count, server.not_modified) == (3, 1)


@pytest.mark.parametrize(
    "bad",
    [
        lambda clock: b"",
        lambda clock: b"<html>",
        lambda clock: document(clock, iss="https://other.example"),
        lambda clock: document(clock, key=Issuer().key),
        lambda clock: document(clock, header={"typ": "at+jwt"}),
        lambda clock: document(clock, header={"kid": "two"}),
        lambda clock: document(clock, tokens="all"),
        lambda clock: document(clock, exp=int(clock.now.timestamp())),
        lambda clock: document(clock, iat=int(clock.now.timestamp()) + 31),
    ],
)
def test_a_list_that_may_not_be_believed_is_none(server: JwksServer, clock: MovedClock, bad: Any) -> None:
    server.paths[PATH] = bad(clock)

    with pytest.raises(DenyListUnavailable):
        verifier(server, clock).verify(token(clock), MINE)


def test_an_access_token_of_the_issuer_is_no_deny_list(server: JwksServer, clock: MovedClock) -> None:
    server.paths[PATH] = token(clock).encode()

    with pytest.raises(DenyListUnavailable):
        verifier(server, clock).verify(token(clock), MINE)


def test_a_deny_list_is_no_access_token(server: JwksServer, clock: MovedClock) -> None:
    """As every other kind of JWT of the issuer (J-06)."""
    members: dict[str, Any] = {"sub": "x", "client_id": "x", "jti": "x", "aud": AUDIENCE, "cnf": {"x5t#S256": MINE.x5t_s256}}
    with pytest.raises(InvalidToken, match="typ"):
        verifier(server, clock).verify(document(clock, **members).decode(), MINE)


def test_the_last_list_is_used_for_a_while_when_the_issuer_is_away_and_then_every_token_is_refused(
    server: JwksServer, clock: MovedClock
) -> None:
    checks = verifier(server, clock)
    checks.verify(token(clock), MINE)
    good, server.status = server.status, 500
    clock.move(seconds=50)
    checks.verify(token(clock), MINE)
    clock.move(seconds=11)

    with pytest.raises(DenyListUnavailable) as refused:
        checks.verify(token(clock), MINE)
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    server.status = good
    clock.move(seconds=1)
    checks.verify(token(clock), MINE)


def test_by_setting_tokens_are_taken_without_a_list_and_the_log_says_so_once(
    server: JwksServer, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    server.status = 200
    server.paths[PATH] = b"gone"
    checks = verifier(server, clock, when_too_old=WhenTooOld.ACCEPT)

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            checks.verify(token(clock), MINE)

    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "revoked tokens are accepted until it is back"
    ]


def test_a_list_that_could_not_hold_everything_proves_nothing(server: JwksServer, clock: MovedClock) -> None:
    server.paths[PATH] = document(clock, complete=False)

    with pytest.raises(DenyListUnavailable, match="less than there is"):
        verifier(server, clock).verify(token(clock), MINE)


def test_an_expired_list_is_not_made_good_by_not_modified(server: JwksServer, clock: MovedClock) -> None:
    checks, server.etag = verifier(server, clock, max_age=timedelta(hours=1)), 'W/"1"'
    checks.verify(token(clock), MINE)
    clock.move(seconds=600)

    with pytest.raises(DenyListUnavailable):
        checks.verify(token(clock), MINE)


def test_an_address_without_tls_is_refused(server: JwksServer, clock: MovedClock) -> None:
    jwks = JwksCache(server.url, context=trusting(ROOT))
    with pytest.raises(ValueError, match="https"):
        DenyListCache("http://127.0.0.1/deny-list", ISSUER, jwks)


def test_true_stands_for_the_issuers_own_list(server: JwksServer, clock: MovedClock) -> None:
    issuer = server.url.removesuffix("/oauth2/jwks")
    server.paths[PATH] = document(clock, iss=issuer, tokens=[entry("one")])
    jwks = JwksCache(server.url, context=trusting(ROOT), clock=clock)
    checks = TokenVerifier(Expected(issuer=issuer, audience=AUDIENCE), jwks, deny_list=True, clock=clock)

    with pytest.raises(InvalidToken, match="deny-list"):
        checks.verify(ISSUED_BY.token(MINE, at=clock.now, claims={"iss": issuer, "jti": "one"}), MINE)
