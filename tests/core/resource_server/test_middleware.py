"""The middleware as ASGI sees it: how a token may be presented, and how a refusal is answered (RFC 6750)."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.clock import system_clock
from holdfast.resource_server import (
    CLAIMS,
    BoundTokenMiddleware,
    Expected,
    InsufficientScope,
    JwksCache,
    TokenVerifier,
    require_scopes,
)
from tests.core.resource_server.issuer import AUDIENCE, ISSUER, NOW, Issuer, JwksServer, jwks_server, trusting
from tests.core.x509.authority import Authority

ROOT = Authority.root()
MINE = ROOT.issue("CN=orders")
OTHER = ROOT.issue("CN=rogue")
ISSUED_BY = Issuer()
MY_CHAIN, OTHER_CHAIN = (MINE.cert_pem.decode(),), (OTHER.cert_pem.decode(),)


class Answer:
    """What the middleware sent."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.status = messages[0].get("status")
        self.headers = {name.decode(): value.decode() for name, value in messages[0].get("headers", ())}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


async def api(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the client; `/list` needs a scope of its own, `/late` notices that too late."""
    if scope["path"] == "/list":
        require_scopes(scope, "orders.list", "orders.admin")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/late":
        raise InsufficientScope(("x",))
    await send({"type": "http.response.body", "body": scope[CLAIMS].client_id.encode() if CLAIMS in scope else b"open"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JwksServer]:
    with jwks_server(ROOT, tmp_path_factory.mktemp("jwks"), ISSUED_BY.jwks()) as running:
        yield running


@pytest.fixture(scope="module")
def app(server: JwksServer) -> BoundTokenMiddleware:
    expected = Expected(issuer=ISSUER, audience=AUDIENCE, scopes=("orders.read",))
    verifier = TokenVerifier(expected, JwksCache(server.url, context=trusting(ROOT)), clock=lambda: NOW)
    return BoundTokenMiddleware(api, verifier, open_paths=("/healthz",))


async def ask(
    app: Any,
    *authorization: str,
    chain: Any = MY_CHAIN,
    path: str = "/",
    query: bytes = b"",
    kind: str = "http",
) -> Answer:
    scope: dict[str, Any] = {"type": kind, "path": path, "query_string": query,
             "headers": [(b"authorization", value.encode("latin-1")) for value in authorization]}  # fmt: skip
    if chain is not None:
        scope["extensions"] = {"tls": {"client_cert_chain": chain}}
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, send)
    return Answer(messages)


async def test_a_bound_token_over_its_certificate_reaches_the_application(app: Any) -> None:
    answer = await ask(app, f"Bearer {ISSUED_BY.token(MINE.certificate)}")

    assert (answer.status, answer.body) == (200, b"shop.orders")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_o19_the_scheme_is_case_insensitive(app: Any, scheme: str) -> None:
    """Bearer in any case (O-19)."""
    assert (await ask(app, f"{scheme} {ISSUED_BY.token(MINE.certificate)}")).status == 200


@pytest.mark.parametrize("chain", [
    (MINE.certificate.der,), [MINE.cert_pem.decode(), ROOT.pem.decode()], iter([MINE.cert_pem.decode()]),
], ids=["DER", "with issuer", "an iterator"])  # fmt: skip
async def test_the_chain_may_come_in_each_form_a_server_gives(app: Any, chain: Any) -> None:
    assert (await ask(app, f"Bearer {ISSUED_BY.token(MINE.certificate)}", chain=chain)).status == 200


@pytest.mark.parametrize("authorization", [(), ("Basic eDp5",), ("DPoP abc",), ("",), ("Bearerabc",)])
async def test_o21_without_credentials_the_challenge_is_bare(app: Any, authorization: tuple[str, ...]) -> None:
    """Another scheme is as if there were none (O-19, O-21)."""
    answer = await ask(app, *authorization)

    assert (answer.status, answer.headers["www-authenticate"], answer.body) == (401, "Bearer", b"")


@pytest.mark.parametrize(("authorization", "query"), [
    (("Bearer",), b""), (("Bearer ",), b""), (("Bearer a b",), b""), (("Bearer a,b",), b""), (("Bearer ä",), b""),
    (("Bearer a", "Bearer a"), b""), ((), b"access_token=a"), (("Bearer a",), b"x=1&access_token=a"),
    ((), b"access%5Ftoken=a"), ((), b"access_token="),
])  # fmt: skip
async def test_o20_and_o22_a_malformed_presentation_is_an_invalid_request(
    app: Any, authorization: tuple[str, ...], query: bytes
) -> None:
    """Twice, in the query, or no token at all (O-20, O-21, O-22)."""
    answer = await ask(app, *authorization, query=query)

    assert answer.status == 400
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_request"')
    assert json.loads(answer.body)["error"] == "invalid_request"


@pytest.mark.parametrize("chain", [None, (), OTHER_CHAIN, (OTHER.cert_pem.decode(), MINE.cert_pem.decode())],
                         ids=["no TLS", "no certificate", "another's", "another's with mine above"])  # fmt: skip
async def test_m51_and_m52_a_stolen_token_is_an_invalid_token(app: Any, chain: Any) -> None:
    """With no certificate, or with another (M-51, M-52, O-21)."""
    answer = await ask(app, f"Bearer {ISSUED_BY.token(MINE.certificate)}", chain=chain)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert answer.headers["cache-control"] == "no-store"
    assert MINE.certificate.x5t_s256 not in answer.body.decode() + answer.headers["www-authenticate"]


@pytest.mark.parametrize("chain", [("-----BEGIN garbage",), (b"\x30",), (None,), (7,), ([],)])
async def test_m82_a_certificate_that_cannot_be_read_is_an_invalid_token(app: Any, chain: Any) -> None:
    """A certificate that is none is no 5xx (M-82)."""
    assert (await ask(app, f"Bearer {ISSUED_BY.token(MINE.certificate)}", chain=chain)).status == 401


async def test_a_missing_scope_is_403_and_names_what_is_needed(app: Any) -> None:
    """The challenge names the scope (O-21)."""
    answer = await ask(app, f"Bearer {ISSUED_BY.token(MINE.certificate, claims={'scope': 'orders.list'})}")

    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="orders.read"' in answer.headers["www-authenticate"]


async def test_a_route_may_ask_for_more_than_the_api(app: Any) -> None:
    answer = await ask(app, f"Bearer {ISSUED_BY.token(MINE.certificate)}", path="/list")

    assert answer.status == 403
    assert 'scope="orders.list orders.admin"' in answer.headers["www-authenticate"]


async def test_a_refusal_after_the_answer_has_begun_is_the_servers_to_handle(app: Any) -> None:
    with pytest.raises(InsufficientScope):
        await ask(app, f"Bearer {ISSUED_BY.token(MINE.certificate)}", path="/late")


async def test_open_paths_are_exact(app: Any) -> None:
    assert (await ask(app, path="/healthz")).body == b"open"
    for path in ("/healthz/", "/healthz/../", "/Healthz", "//healthz"):
        assert (await ask(app, path=path)).status == 401


async def test_a_websocket_is_closed_before_it_is_accepted(app: Any) -> None:
    answer = await ask(app, kind="websocket")

    assert answer.messages == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_the_lifespan_of_the_process_needs_no_token(app: Any) -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await BoundTokenMiddleware(inner, app._verifier)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


async def test_while_the_issuer_is_away_the_answer_is_503_and_no_verdict() -> None:
    jwks = JwksCache("https://127.0.0.1:1/jwks", context=trusting(ROOT))
    away = BoundTokenMiddleware(api, TokenVerifier(Expected(issuer=ISSUER, audience=AUDIENCE), jwks))
    answer = await ask(away, f"Bearer {ISSUED_BY.token(MINE.certificate, at=system_clock())}")

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert "www-authenticate" not in answer.headers


async def test_a_remembered_signature_is_no_remembered_binding(app: Any) -> None:
    token = f"Bearer {ISSUED_BY.token(MINE.certificate, claims={'jti': 'again'})}"
    statuses = [(await ask(app, token, chain=chain)).status for chain in (MY_CHAIN, OTHER_CHAIN, (), MY_CHAIN)]

    assert statuses == [200, 401, 401, 200]


async def test_a_token_of_a_withdrawn_key_is_refused_although_it_was_good(tmp_path: Path) -> None:
    issuer, now = Issuer(), [NOW]
    with jwks_server(ROOT, tmp_path, issuer.jwks()) as running:
        cache = JwksCache(running.url, context=trusting(ROOT), clock=lambda: now[0])
        verifier = TokenVerifier(Expected(issuer=ISSUER, audience=AUDIENCE), cache, clock=lambda: NOW)
        app, token = BoundTokenMiddleware(api, verifier), f"Bearer {issuer.token(MINE.certificate)}"
        assert (await ask(app, token)).status == 200
        issuer.rotate("two")
        running.body = issuer.jwks()
        now[0] = NOW.replace(minute=2)
        assert (await ask(app, token)).status in (200, 401)  # this request is served with the old set while one is fetched
        deadline = time.monotonic() + 20
        while (await ask(app, token)).status == 200:
            assert time.monotonic() < deadline, "the withdrawn key still counts"
            await asyncio.sleep(0.01)  # the fetch is in another thread
        assert (await ask(app, f"Bearer {issuer.token(MINE.certificate)}")).status == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(max_codepoint=0xFF), max_size=60), max_size=2), st.binary(max_size=40))
async def test_no_header_and_no_query_makes_it_answer_5xx(app: Any, authorization: list[str], query: bytes) -> None:
    answer = await ask(app, *(f"Bearer {value}" for value in authorization), query=query)

    assert answer.status in (400, 401)
