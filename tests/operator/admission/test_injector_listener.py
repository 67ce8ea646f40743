"""The webhook over real HTTPS: what it answers, how it takes a renewed certificate, and what it counts."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from holdfast_operator.admission import app
from holdfast_operator.admission import listener as listening
from holdfast_operator.admission.app import MAX_BODY, injector_app
from holdfast_operator.admission.listener import Listener, ReloadingContext, TlsFilesError
from holdfast_operator.admission.metrics import InjectorMetrics
from tests.operator.admission.reviewed import Injector, manifest, policy, review_of
from tests.operator.admission.serving import AUTHORITY, server_certificate


@dataclass
class Running:
    """A listener over an injector's store."""

    injector: Injector
    metrics: InjectorMetrics
    folder: Path
    port: int

    async def post(self, value: object, path: str = "/validate") -> httpx.Response:
        async with httpx.AsyncClient(verify=self.trust(), trust_env=False) as http:
            if isinstance(value, bytes):
                return await http.post(f"https://localhost:{self.port}{path}", content=value)
            return await http.post(f"https://localhost:{self.port}{path}", json=value)

    async def served_until(self) -> dt.datetime:
        """The end of the certificate that a new connection gets."""
        _, writer = await asyncio.open_connection("localhost", self.port, ssl=self.trust())
        served = writer.get_extra_info("peercert")["notAfter"]
        writer.close()
        await writer.wait_closed()
        return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(served), dt.UTC)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=AUTHORITY.pem.decode())


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(listening, "_LOOK_AGAIN", 0.0)
    injector, metrics = Injector(tmp_path), InjectorMetrics()
    await injector.store.list_all()
    files = server_certificate(10).write(tmp_path / "tls")
    listener = Listener(injector_app(injector.store, metrics), ReloadingContext(*files), "127.0.0.1", 0)
    await listener.start()
    yield Running(injector, metrics, tmp_path / "tls", listener.port)
    await listener.stop()


async def test_a_refusal_has_the_form_that_an_api_server_reads(running: Running) -> None:
    answer = await running.post(review_of(manifest(clientId="fin.orders")))

    assert answer.status_code == 200
    assert answer.json() == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": "review-1",
            "allowed": False,
            "status": {
                "code": 403,
                "reason": "Forbidden",
                "message": "spec.clientId: expected it to begin with shop. or to be allowed by a policy, found fin.orders",
            },
        },
    }


async def test_a_warning_comes_beside_the_permission(running: Running) -> None:
    await running.injector.declare(policy(mode="Warn", tokens={"maxLifetime": "15m"}))
    await running.injector.store.list_all()

    answer = await running.post(review_of(manifest(tokens={"lifetime": "30m"})))

    assert answer.json()["response"] == {
        "uid": "review-1",
        "allowed": True,
        "warnings": ["MTLSPolicy baseline (Warn): spec.tokens.lifetime: expected at most 900s, found 1800s"],
    }


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "no AdmissionReview: Expecting"),
        (b"[]", 400, "no AdmissionReview: AdmissionReview: expected an object, found list"),
        (b'"\xff"', 400, "no AdmissionReview"),
        (b" " * (MAX_BODY + 1), 413, f"expected at most {MAX_BODY} octets"),
    ],
    ids=["no JSON", "a list", "no UTF-8", "too large"],
)
async def test_what_cannot_be_read_is_said(body: bytes, status: int, says: str, running: Running) -> None:
    answer = await running.post(body)

    assert answer.status_code == status
    assert answer.text.startswith(says)


async def test_a_body_that_does_not_end_is_given_up(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or any pod could have the injector keep megabytes for as long as it likes."""
    monkeypatch.setattr(app, "BODY_LIMIT", 0.05)
    reader, writer = await asyncio.open_connection("localhost", running.port, ssl=running.trust())
    writer.write(b"POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
    assert b" 408 " in await reader.readline()
    writer.close()


async def test_a_body_that_is_nested_without_end_is_no_review(running: Running) -> None:
    assert (await running.post(b"[" * 200_000)).status_code == 400


async def test_there_is_one_path(running: Running) -> None:
    assert (await running.post({}, "/mutate")).status_code == 404


async def test_a_review_of_a_large_object_and_the_one_before_is_answered(running: Running) -> None:
    large = {**manifest(), "metadata": {**manifest()["metadata"], "annotations": {"notes": "x" * (3 << 20)}}}

    answer = await running.post(review_of({**large, "spec": {**large["spec"], "suspend": True}}, old=large))

    assert answer.json()["response"]["allowed"] is True


async def test_what_nobody_foresaw_lets_the_object_pass_with_a_warning_and_is_counted(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = manifest()
    del nowhere["metadata"]["namespace"]  # an API server never sends that

    answer = await running.post(review_of(nowhere))

    assert answer.json()["response"]["allowed"] is True
    assert "could not judge this" in answer.json()["response"]["warnings"][0]
    assert 'result="error"} 1.0' in running.metrics.text().decode()
    assert "failed in a way nobody foresaw" in caplog.text


async def test_reviews_are_counted_by_kind_result_and_reason(running: Running) -> None:
    await running.post(review_of(manifest()))
    await running.post(review_of(manifest(clientId="fin.orders")))

    text = running.metrics.text().decode()
    reviews = 'holdfast_injector_reviews_total{kind="OAuthClient",operation="CREATE",result='
    assert f'{reviews}"allowed"}} 1.0' in text
    assert f'{reviews}"refused"}} 1.0' in text
    assert 'holdfast_injector_refusals_total{kind="OAuthClient",reason="ClientIdNotAllowed"} 1.0' in text


async def test_a_renewed_certificate_is_served_from_the_next_connection_on(running: Running) -> None:
    before = await running.served_until()
    server_certificate(20).write(running.folder)

    assert (await running.served_until() - before).days == 10


async def test_half_a_rotation_keeps_the_old_pair_and_says_so(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    before = await running.served_until()
    (running.folder / "tls.crt").write_bytes(server_certificate(20).chain_pem)

    assert await running.served_until() == before
    assert "keeping the previous certificate" in caplog.text


async def test_a_pair_that_was_taken_away_keeps_the_old_one(running: Running) -> None:
    before = await running.served_until()
    (running.folder / "tls.key").unlink()

    assert await running.served_until() == before


def test_a_pair_that_does_not_fit_is_refused_at_the_start(tmp_path: Path) -> None:
    certificate, key = server_certificate(10).write(tmp_path)
    key.write_bytes(server_certificate(10).key_pem)

    with pytest.raises(TlsFilesError, match=r"tls\.crt.*tls\.key"):
        ReloadingContext(certificate, key)


async def test_answers_do_not_wait_for_the_peer_to_acknowledge_their_heads(tmp_path: Path) -> None:
    """Nagle's algorithm and a delayed acknowledgement would cost each review 40 ms."""
    injector = Injector(tmp_path)
    context = ReloadingContext(*server_certificate(10).write(tmp_path / "tls"))
    listener = Listener(injector_app(injector.store, InjectorMetrics()), context, "127.0.0.1", 0)
    await listener.start()
    trust = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
    async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
        await http.get(f"https://localhost:{listener.port}/")
        options = [
            peer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for peer in listener.peers
        ]
    await listener.stop()

    assert options == [1]


async def test_what_is_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    injector, metrics = Injector(tmp_path), InjectorMetrics()
    await injector.store.list_all()
    files = server_certificate(10).write(tmp_path / "tls")
    listener = Listener(injector_app(injector.store, metrics), ReloadingContext(*files), "127.0.0.1", 0)
    await listener.start()
    held = Running(injector, metrics, tmp_path / "tls", listener.port)
    injector.line.hold()
    asking = asyncio.create_task(held.post(review_of(manifest(clientId="fin.orders"))))
    await injector.line.asked.wait()

    stopping = asyncio.create_task(listener.stop())
    await asyncio.sleep(0)
    injector.line.let_go()

    assert (await asking).json()["response"]["allowed"] is False
    await stopping
