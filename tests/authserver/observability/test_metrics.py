"""What the ops listener counts and measures, and that nobody outside can make series."""

import asyncio
import re
import socket
import ssl
import time
from pathlib import Path

import httpx
import pytest

from holdfast.oauth.errors import InvalidClient
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.endpoints.urls import JWKS
from holdfast_authserver.metrics import EVENTS, Metrics
from holdfast_authserver.transport import handshake
from tests.architecture.tree import ROOT
from tests.authserver.running import RunningServer, client, running

Samples = dict[str, float]
PAGE = (ROOT / "docs" / "audit-and-metrics.md").read_text("utf-8")


async def scrape(server: RunningServer) -> Samples:
    async with httpx.AsyncClient() as http:
        response = await http.get("http://{}:{}/metrics".format(*server.server.addresses["ops"]))
    assert response.status_code == 200
    return parse(response.text)


def parse(text: str) -> Samples:
    found = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("holdfast_authserver_"): float(value) for name, _, value in found}


async def test_tokens_refusals_and_latency_are_counted_by_closed_sets(tmp_path: Path) -> None:
    async with running(tmp_path, ops_port=0) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        for client_id in ("shop.orders", "shop.orders", "no.body", "a stranger's"):
            await server.token(certificate, client_id)
        async with server.http() as http:
            await http.get(server.issuer + JWKS)
            await http.get(server.issuer + "/of/a/stranger")
        found = await scrape(server)

    issued = 'tokens_issued_total{bound="true",format="JWT",grant="client_credentials",method="tls_client_auth"}'
    assert found[issued] == 2
    assert found['answers_total{endpoint="token",outcome="ok"}'] == 2
    assert found['refusals_total{endpoint="token",error="invalid_client",reason="unknown_client"}'] == 2
    assert found['refusals_total{endpoint="none",error="invalid_request",reason="unknown_path"}'] == 1
    assert found['request_seconds_count{endpoint="token"}'] == 4
    assert found['request_seconds_bucket{endpoint="token",le="+Inf"}'] == 4
    assert 0 < found['request_seconds_sum{endpoint="jwks"}'] < 10
    assert [name for name in found if "stranger" in name or "shop.orders" in name or "no.body" in name] == []


async def test_client_names_are_labels_where_they_are_asked_for_and_only_registered_ones(tmp_path: Path) -> None:
    async with running(tmp_path, ops_port=0, metrics_client_names=True) as server:
        await server.put(client(anchors=[server.ca]))
        for client_id, certificate in (
            ("shop.orders", "shop.orders"),
            ("shop.orders", "shop.cart"),
            ("no.body", "shop.cart"),
        ):
            await server.token(server.certificate(certificate), client_id)
        found = await scrape(server)

    assert {name: value for name, value in found.items() if name.startswith("client_decisions_total")} == {
        'client_decisions_total{client="shop.orders",outcome="issued"}': 1,
        'client_decisions_total{client="shop.orders",outcome="refused"}': 1,
    }


async def test_what_can_run_out_is_measured(tmp_path: Path) -> None:
    async with running(tmp_path, ops_port=0) as server:
        await server.put(client(anchors=[server.ca]))
        found = await scrape(server)

    assert found["registered_clients"] == 1
    assert found["registry_revision"] > 0
    assert 0 <= found["registry_snapshot_age_seconds"] < 30
    assert found['listener_certificate_days_left{listener="mtls"}'] > 0
    assert found["trust_anchor_days_left"] == pytest.approx(
        (server.ca.certificate.not_after.timestamp() - time.time()) / 86400, abs=0.1
    )
    assert found["audit_lines_lost"] == 0
    assert 0 <= found["signing_key_age_seconds"] < 60


async def test_the_page_names_every_metric_and_no_other(tmp_path: Path) -> None:
    async with running(tmp_path, ops_port=0, metrics_client_names=True) as server, httpx.AsyncClient() as http:
        response = await http.get("http://{}:{}/metrics".format(*server.server.addresses["ops"]))
    served = set(re.findall(r"^# TYPE holdfast_authserver_(\w+)", response.text, re.MULTILINE))
    section = PAGE.partition("## Metrics")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]

    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == served


async def test_handshakes_are_counted_with_why_they_failed(tmp_path: Path) -> None:
    async with running(tmp_path, ops_port=0) as server:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("AES128-SHA:@SECLEVEL=0")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        async with server.http() as http:
            await http.get(server.mtls + JWKS)
        await asyncio.to_thread(_speak_http, server)
        await asyncio.to_thread(_shake_hands, server, old)
        found = await scrape(server)

    assert found['handshakes_total{listener="mtls",outcome="started"}'] == 3
    assert found['handshakes_total{listener="mtls",outcome="ok"}'] == 1
    assert found['handshakes_total{listener="mtls",outcome="no_tls"}'] == 1
    assert found['handshakes_total{listener="mtls",outcome="no_shared_cipher"}'] == 1


def _speak_http(server: RunningServer) -> None:
    with socket.create_connection(server.server.addresses["mtls"], timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        while raw.recv(100):
            pass


def _shake_hands(server: RunningServer, context: ssl.SSLContext) -> None:
    with socket.create_connection(server.server.addresses["mtls"], timeout=5) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[('SSL routines', '', 'unsupported protocol')]", "protocol_version"),
        ("[('SSL routines', '', 'http request')]", "no_tls"),
        ("[('SSL routines', '', 'ssl/tls alert bad certificate')]", "refused_by_peer"),
        ("[('SSL routines', '', 'something new')]", "failed"),
    ],
)
def test_a_failed_handshake_has_a_word_and_what_nobody_knows_has_one_together(text: str, word: str) -> None:
    assert handshake.failure(ssl.SSLError(ssl.SSL_ERROR_SSL, text)) == word


def test_an_event_that_nobody_knows_is_a_mistake_of_ours() -> None:
    metrics = Metrics()
    for name in EVENTS:
        metrics.event(name)

    with pytest.raises(KeyError):
        metrics.event("made_up")


def test_every_reason_has_a_meaning_and_fits_a_label() -> None:
    assert [reason for reason in Refusal if not re.fullmatch(r"[a-z_]{3,40}", reason)] == []
    assert [reason for reason in Refusal if not reason.meaning.endswith(".")] == []


def test_counting_costs_less_than_five_microseconds_a_request() -> None:
    metrics, error, rounds = Metrics(client_names=True), InvalidClient("x"), 20_000
    begun = time.process_time()
    for _ in range(rounds):
        metrics.count("token", "ok")
        metrics.observe("token", 0.0007)
        metrics.issued("shop.orders", "client_credentials", "tls_client_auth", "JWT", bound=True)
        metrics.refused("token", error, "shop.orders")
    spent = time.process_time() - begun

    assert spent / rounds < 5e-6
