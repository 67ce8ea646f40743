"""A protected API on real sockets: uvicorn with the standard library's TLS, clients with and without certificates."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.clock import system_clock
from holdfast.resource_server import (
    BoundTokenMiddleware,
    Expected,
    JwksCache,
    TokenVerifier,
    claims_of,
    client_certificate_context,
    telling_client_certificate,
)
from tests.core.resource_server.issuer import AUDIENCE, ISSUER, Issuer, jwks_server, trusting
from tests.core.x509.authority import Authority, Issued

ROOT = Authority.root()
MINE = ROOT.issue("CN=orders")
ISSUED_BY = Issuer()


async def api(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": claims_of(scope).client_id.encode()})


@pytest.fixture(scope="module", params=[H11Protocol, HttpToolsProtocol])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("api")
    issued = ROOT.issue("CN=localhost", dns=["localhost"], ips=["127.0.0.1"], client_auth=False, server=True)
    certificate, key = issued.write(folder)
    (folder / "ca.crt").write_bytes(ROOT.pem)
    context = client_certificate_context(certificate, key, client_ca_file=folder / "ca.crt")
    with jwks_server(ROOT, folder / "jwks", ISSUED_BY.jwks()) as keys:
        jwks = JwksCache(keys.url, context=trusting(ROOT))
        app = BoundTokenMiddleware(api, TokenVerifier(Expected(issuer=ISSUER, audience=AUDIENCE), jwks))
        config = uvicorn.Config(
            app,
            http=telling_client_certificate(request.param),
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_context_factory=lambda _config, _default: context,
            lifespan="off",
            log_config=None,
        )
        with _running(config) as address:
            yield address


class _running:  # noqa: N801 - used as a function
    def __init__(self, config: uvicorn.Config) -> None:
        self.server = uvicorn.Server(config)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < deadline, "uvicorn did not start"
            time.sleep(0.01)
        return f"https://127.0.0.1:{self.socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()


def ask(url: str, folder: Path, shown: Issued | None, token: str | None) -> httpx.Response:
    context = trusting(ROOT)
    if shown is not None:
        context.load_cert_chain(*shown.write(folder))
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.get(url, headers=headers)


@pytest.fixture
def token() -> str:
    return ISSUED_BY.token(MINE.certificate, at=system_clock())


def test_the_owner_of_the_certificate_is_served(url: str, tmp_path: Path, token: str) -> None:
    answer = ask(url, tmp_path, MINE, token)

    assert (answer.status_code, answer.text) == (200, "shop.orders")


def test_m52_a_thief_with_a_certificate_of_its_own_is_refused(url: str, tmp_path: Path, token: str) -> None:
    """Over real TLS (M-52, O-21)."""
    answer = ask(url, tmp_path, ROOT.issue("CN=orders"), token)

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_m51_a_thief_without_a_certificate_is_refused(url: str, tmp_path: Path, token: str) -> None:
    """Over real TLS (M-51, O-21)."""
    assert ask(url, tmp_path, None, token).status_code == 401


def test_without_a_token_the_certificate_alone_is_nothing(url: str, tmp_path: Path) -> None:
    """The challenge is bare (O-21)."""
    answer = ask(url, tmp_path, MINE, None)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_certificate_of_a_foreign_ca_ends_in_the_handshake_of_the_standard_library(
    url: str, tmp_path: Path, token: str
) -> None:
    with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError, ssl.SSLError, httpx.WriteError)):
        ask(url, tmp_path, Authority.root("CN=Other").issue("CN=orders"), token)
