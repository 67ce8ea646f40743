"""The server as a whole: what stops a start, what a restart keeps, what the loss of the registry ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from holdfast_authserver.server import AuthorizationServer, StartError
from tests.authserver.running import RunningServer, client, running, settings_in
from tests.core.x509.authority import Authority
from tests.rfc8705.expectations import assert_error

SERVER_CA = Authority.root("CN=Server Root")


async def _jwks(server: RunningServer) -> list[str]:
    keys = await _jwks_if_any(server)
    assert keys is not None
    return keys


async def _jwks_if_any(server: RunningServer) -> list[str] | None:
    """None: it answered 503, as between two registries, when there are no keys for a moment."""
    async with server.http() as http:
        answer = await http.get(f"{server.issuer}/oauth2/jwks")
    return None if answer.status_code == 503 else [key["kid"] for key in answer.json()["keys"]]


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = AuthorizationServer(settings_in(tmp_path, SERVER_CA, mtls_port=port))

        with pytest.raises(StartError, match=rf"mtls_port.*127\.0\.0\.1:{port}.*in use"):
            await server.start()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("public_tls_cert_file", "missing.crt"),
        ("mtls_tls_key_file", "missing.key"),
        ("database_url", "sqlite+aiosqlite:////proc/none/registry.db"),
        ("keys_dir", "a-file"),
        ("audit_log", "none/audit.log"),
    ],
)
async def test_what_cannot_be_read_or_written_is_named_and_nothing_is_left_behind(
    tmp_path: Path, setting: str, value: str
) -> None:
    (tmp_path / "a-file").touch()
    changed = value if "://" in value else str(tmp_path / value)
    server = AuthorizationServer(settings_in(tmp_path, SERVER_CA, **{setting: changed}))

    with pytest.raises(StartError) as raised:
        await server.start()

    assert Path(value).name.removesuffix(".db") in str(raised.value)
    assert "\n" not in str(raised.value)
    assert server.addresses == {}


async def test_a_restart_keeps_key_clients_and_tokens(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        token = (await server.token(certificate)).json()["access_token"]
        keys = await _jwks(server)

    async with running(tmp_path, ca=server.ca, server_ca=server.server_ca, **server.ports) as again:
        assert await _jwks(again) == keys
        assert (await again.introspect(certificate, token))["active"] is True
        assert (await again.token(certificate)).status_code == 200


def _lose_registry(folder: Path) -> None:
    for file in folder.glob("registry.db*"):
        file.unlink()


async def test_a_lost_registry_starts_a_new_key_and_ends_every_token(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        token = (await server.token(certificate)).json()["access_token"]
        keys = await _jwks(server)
    _lose_registry(tmp_path)

    async with running(tmp_path, ca=server.ca, server_ca=server.server_ca, **server.ports) as again:
        await again.put(client(anchors=[again.ca]))
        assert not set(keys) & set(await _jwks(again))
        assert await again.introspect(certificate, token) == {"active": False}
        assert (await again.token(certificate)).status_code == 200


async def test_a_registry_lost_while_the_server_runs_ends_every_token_too(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        token = (await server.token(certificate)).json()["access_token"]
        keys = await _jwks(server)
        _lose_registry(tmp_path)
        async with asyncio.timeout(10):
            while await _jwks_if_any(server) in (None, keys):  # noqa: ASYNC110 - as a resource server would
                await asyncio.sleep(0.05)

        refused = await server.token(certificate)
        server.term = await server.registry.open_term("tests")
        await server.put(client(anchors=[server.ca]))
        await server.registry.confirm(term=server.term)
        assert await server.introspect(certificate, token) == {"active": False}
        assert (await server.token(certificate)).status_code == 200
    assert_error(refused, 503, "temporarily_unavailable")


async def test_a_server_that_listens_everywhere_is_named_by_loopback(tmp_path: Path) -> None:
    async with running(tmp_path, mtls_host="0.0.0.0") as server:
        assert server.mtls == f"https://127.0.0.1:{server.server.addresses['mtls'][1]}"


async def test_either_http_parser_serves_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, http="h11") as server:
        await server.put(client(anchors=[server.ca]))
        issued = await server.token(server.certificate())
        async with server.http() as http:
            too_large = await http.post(server.token_endpoint, data={"client_id": "x" * 20_000})

    assert issued.status_code == 200
    assert_error(too_large, 413, "invalid_request")


async def test_keys_are_readable_by_the_server_alone(tmp_path: Path) -> None:
    async with running(tmp_path):
        files = list((tmp_path / "keys").iterdir())

    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


async def test_tokens_are_held_back_after_a_start_until_the_registry_is_confirmed(tmp_path: Path) -> None:
    async with running(tmp_path, confirm=False, startup_hold=60) as server:
        await server.put(client(anchors=[server.ca]))
        held = await server.token(server.certificate())
        await server.registry.confirm(term=server.term)
        issued = await server.token(server.certificate())

    assert_error(held, 503, "temporarily_unavailable")
    assert int(held.headers["retry-after"]) >= 1
    assert issued.status_code == 200


async def test_a_registry_that_began_anew_is_filled_before_anybody_is_told_that_nobody_knows_him(tmp_path: Path) -> None:
    async with running(tmp_path, startup_hold=60) as server:
        await server.put(client(anchors=[server.ca]))
        before = await server.token(server.certificate())
        _lose_registry(tmp_path)
        async with asyncio.timeout(5):
            while (held := await server.token(server.certificate())).status_code == 200:  # noqa: ASYNC110 - as a client would
                await asyncio.sleep(0.02)

    assert before.status_code == 200
    assert_error(held, 503, "temporarily_unavailable")


async def test_the_hold_ends_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path, confirm=False, startup_hold=0.2) as server:
        await server.put(client(anchors=[server.ca]))
        async with asyncio.timeout(5):
            while (await server.token(server.certificate())).status_code == 503:  # noqa: ASYNC110 - as a client would
                await asyncio.sleep(0.02)

        assert (await server.token(server.certificate())).status_code == 200


async def test_the_admin_listener_lets_in_the_operator_alone(tmp_path: Path) -> None:
    admin_ca = Authority.root("CN=Admin Root")
    ca_file = tmp_path / "admin-ca.crt"
    ca_file.write_bytes(admin_ca.pem)
    operator, stranger = admin_ca.issue(dns=["operator.holdfast"]), admin_ca.issue(dns=["other.holdfast"])
    admin: dict[str, Any] = {"admin_port": 0, "admin_client_ca_file": ca_file, "admin_client_san": "operator.holdfast"}

    async with running(tmp_path, **admin) as server:
        url = "https://{}:{}/v1/registry".format(*server.server.addresses["admin"])
        statuses = []
        for certificate in (operator, stranger, server.certificate(), None):
            async with server.http(certificate) as http:
                statuses.append((await http.get(url)).status_code)

    assert statuses == [200, 403, 403, 401]


@pytest.mark.parametrize("missing", ["admin_client_ca_file", "admin_client_san"])
async def test_an_admin_listener_without_an_operator_to_expect_does_not_start(tmp_path: Path, missing: str) -> None:
    ca_file = tmp_path / "admin-ca.crt"
    ca_file.write_bytes(SERVER_CA.pem)
    admin: dict[str, Any] = {
        "admin_port": 0,
        "admin_client_ca_file": ca_file,
        "admin_client_san": "operator.holdfast",
        missing: None,
    }

    with pytest.raises(StartError, match=missing):
        await AuthorizationServer(settings_in(tmp_path, SERVER_CA, **admin)).start()


async def test_the_ops_listener_tells_health_readiness_and_counts(tmp_path: Path) -> None:
    async with running(tmp_path, ops_port=0, confirm=False, startup_hold=60) as server, httpx.AsyncClient() as http:
        base = "http://{}:{}".format(*server.server.addresses["ops"])
        alive, early = await http.get(f"{base}/healthz"), await http.get(f"{base}/readyz")
        await server.registry.confirm(term=server.term)
        ready = await http.get(f"{base}/readyz")
        await server.token(server.certificate())
        metrics = await http.get(f"{base}/metrics")

    assert (alive.status_code, early.status_code, ready.status_code) == (200, 503, 200)
    assert 'holdfast_authserver_answers_total{endpoint="token",outcome="invalid_client"} 1.0' in metrics.text


async def test_every_decision_stands_in_the_audit_log_without_token_or_certificate(tmp_path: Path) -> None:
    """M-84."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        issued, refused = await server.token(certificate), await server.token(certificate, "no.body")
    text = server.audit_log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]

    by_decision = {line["decision"]: line for line in lines}
    told = by_decision[issued.headers["holdfast-decision"]]
    assert (told["event"], told["client_id"]) == ("token.issued", "shop.orders")
    assert told["jti"] == jwt.decode(issued.json()["access_token"], options={"verify_signature": False})["jti"]
    assert by_decision[refused.headers["holdfast-decision"]]["detail"] == "unknown client"
    assert issued.json()["access_token"].rpartition(".")[2] not in text
    assert "BEGIN" not in text


def _environment(tmp_path: Path) -> dict[str, str]:
    settings = settings_in(tmp_path, SERVER_CA)
    names = (
        "public_port",
        "mtls_port",
        "public_tls_cert_file",
        "public_tls_key_file",
        "database_url",
        "keys_dir",
        "audit_log",
    )
    return os.environ | {f"HOLDFAST_{name.upper()}": str(getattr(settings, name)) for name in names}


def test_the_process_serves_until_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "holdfast_authserver.server"]
    with subprocess.Popen(command, env=_environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        code = process.wait(5)

    assert [line.split(" on ")[0] for line in lines] == ["holdfast authserver: public", "holdfast authserver: mtls"]
    assert code == 0


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HOLDFAST_PUBLIC_URL", "http://as.example", "HOLDFAST_PUBLIC_URL"),
        ("HOLDFAST_PUBLIC_PORT", "70000", "HOLDFAST_PUBLIC_PORT"),
        ("HOLDFAST_PUBLIC_TLS_CERT_FILE", "/none/tls.crt", "/none/tls.crt"),
    ],
)
def test_the_process_says_in_one_line_why_it_does_not_start(tmp_path: Path, variable: str, value: str, told: str) -> None:
    command = [sys.executable, "-m", "holdfast_authserver.server"]
    done = subprocess.run(
        command, env=_environment(tmp_path) | {variable: value}, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
