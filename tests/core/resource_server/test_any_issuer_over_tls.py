"""A protected API whose TLS takes a client certificate of any issuer: the token alone says whose connection it is."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from holdfast.clock import system_clock
from holdfast.resource_server import (
    BoundTokenMiddleware,
    Expected,
    JwksCache,
    TokenVerifier,
    telling_client_certificate,
)
from holdfast_authserver.transport.context import ListenerContext, TlsFiles
from tests.core.resource_server.issuer import AUDIENCE, ISSUER, Issuer, jwks_server, trusting
from tests.core.resource_server.test_over_tls import _running, api
from tests.core.x509.authority import Authority, Issued

ROOT = Authority.root("CN=Servers")
ISSUED_BY = Issuer()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("api")
    issued = ROOT.issue("CN=localhost", dns=["localhost"], ips=["127.0.0.1"], client_auth=False, server=True)
    certificate, key = issued.write(folder)
    tls = ListenerContext(TlsFiles(certificate, key), ask_for_certificate=True)
    with jwks_server(ROOT, folder / "jwks", ISSUED_BY.jwks()) as keys:
        jwks = JwksCache(keys.url, context=trusting(ROOT))
        app = BoundTokenMiddleware(api, TokenVerifier(Expected(issuer=ISSUER, audience=AUDIENCE), jwks))
        config = uvicorn.Config(
            app,
            http=telling_client_certificate(H11Protocol),
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_context_factory=lambda _config, _default: tls,
            lifespan="off",
            log_config=None,
        )
        with _running(config) as address:
            yield address


def _ask(url: str, folder: Path, shown: Issued | None, token: str) -> httpx.Response:
    context = trusting(ROOT)
    if shown is not None:
        context.load_cert_chain(*shown.write(folder))
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.get(url, headers={"authorization": f"Bearer {token}"})


def test_a_certificate_of_any_issuer_finishes_the_handshake_and_its_token_is_taken(url: str, tmp_path: Path) -> None:
    """The API has no client CA (M-85)."""
    mine = Authority.root("CN=Nobody Knows").issue("CN=orders")
    answer = _ask(url, tmp_path, mine, ISSUED_BY.token(mine.certificate, at=system_clock()))

    assert (answer.status_code, answer.text) == (200, "shop.orders")


@pytest.mark.parametrize("shown", ["another", "none"])
def test_another_certificate_or_none_is_an_invalid_token_and_no_alert(url: str, tmp_path: Path, shown: str) -> None:
    """401, over an intact connection (M-85, M-52)."""
    foreign = Authority.root("CN=Nobody Knows")
    token = ISSUED_BY.token(foreign.issue("CN=orders").certificate, at=system_clock())
    answer = _ask(url, tmp_path, foreign.issue("CN=orders") if shown == "another" else None, token)

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
