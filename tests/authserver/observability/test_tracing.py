"""Traces reach a collector that is named, with the decision id and without secrets; without one there are none."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from holdfast_authserver import tracing
from holdfast_authserver.server import StartError
from tests.authserver.running import client, running


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A real HTTP server at which OTLP arrives; answers with its URL and what it got."""
    bodies: list[bytes] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receive)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_each_request_is_a_span_with_its_decision_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as (url, bodies):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "as-of-tests")
        async with running(tmp_path) as server:
            await server.put(client(anchors=[server.ca]))
            certificate = server.certificate()
            issued, refused = await server.token(certificate), await server.token(certificate, "no.body")
            async with server.http() as http:
                await http.get(f"{server.issuer}/a/path/of/a/stranger")

    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    seen = [(s.name, {a.key: a.value.string_value or a.value.int_value for a in s.attributes}) for s in spans]
    assert [name for name, _ in seen] == ["POST /oauth2/token", "POST /oauth2/token", "GET"]
    assert [a["http.response.status_code"] for _, a in seen] == [200, 401, 404]
    assert [a["holdfast.decision"] for _, a in seen[:2]] == [a.headers["holdfast-decision"] for a in (issued, refused)]
    sent = b"".join(bodies)
    assert b"as-of-tests" in sent
    for secret in (issued.json()["access_token"], "shop.orders", "no.body", "stranger", "CERTIFICATE"):
        assert secret.encode() not in sent


async def test_a_trace_that_a_caller_began_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = "0af7651916cd43dd8448eb211c80319c"
    with collector() as (url, bodies):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/v1/traces")
        async with running(tmp_path) as server, server.http() as http:
            await http.get(f"{server.issuer}/oauth2/jwks", headers={"traceparent": f"00-{parent}-b7ad6b7169203331-01"})

    (span,) = ExportTraceServiceRequest.FromString(bodies[0]).resource_spans[0].scope_spans[0].spans
    assert span.trace_id.hex() == parent


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(environment: dict[str, str], on: bool) -> None:
    assert tracing.wanted(environment) is on


async def test_an_exporter_that_is_not_there_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")

    with pytest.raises(StartError, match="OTEL_TRACES_EXPORTER"):
        async with running(tmp_path):
            pass


def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    code = (
        "import sys, json, holdfast_authserver.server; print(json.dumps([m for m in sys.modules if 'opentelemetry' in m]))"
    )

    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(seen.stdout) == []
