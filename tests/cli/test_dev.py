"""`holdfast dev` keeps its contract: ready file, tokens, restart, end."""

import json
import signal
import socket
import stat
import subprocess
from pathlib import Path

import jwt
import pytest

from holdfast.x509.certificate import Certificate
from tests.cli.dev_process import STOP_LIMIT, DevProcess, client, dev, policy

MEMBERS = {
    *("issuer", "mtls_issuer", "metadata_url", "token_endpoint", "mtls_token_endpoint", "introspection_endpoint"),
    *("ca_file", "pid", "clients", "policies"),
}
CLIENT_MEMBERS = {
    *("namespace", "name", "client_id", "ready", "reason", "message", "cert_file", "key_file", "chain_file"),
}


def test_the_ready_file_has_exactly_its_members(tmp_path: Path) -> None:
    with dev(tmp_path, a=client(), p=policy("baseline", max_lifetime="2m")) as process:
        process.wait_for(lambda: process.ready["policies"] == [{"name": "baseline", "accepted": True, "matched": 1}])
        ready = process.ready

        assert set(ready) == MEMBERS
        assert [set(c) for c in ready["clients"]] == [CLIENT_MEMBERS]
        assert ready["pid"] == process.process.pid
        assert all(ready[m].startswith("https://127.0.0.1:") for m in MEMBERS if m.endswith(("issuer", "url", "endpoint")))
        assert ready["clients"][0]["ready"], ready


def test_certificates_lie_as_a_mounted_secret_would(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        found = process.client()
        folder = process.data / "secrets" / "shop" / "orders-mtls"

        assert found is not None
        assert [found[m] for m in ("cert_file", "key_file", "chain_file")] == [
            str(folder / name) for name in ("tls.crt", "tls.key", "ca.crt")
        ]
        assert stat.S_IMODE((folder / "tls.key").stat().st_mode) == 0o600


def test_a_client_gets_a_token_bound_to_its_certificate(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        answer = process.token()
        found = process.client()
        assert found is not None
        certificate = Certificate.from_pem(Path(found["cert_file"]).read_bytes())
        token = answer.json()["access_token"]

        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["cnf"] == {"x5t#S256": certificate.x5t_s256}
        assert claims["iss"] == process.ready["issuer"]
        assert process.introspect(token)["active"] is True


def test_the_certificate_of_another_client_is_refused(tmp_path: Path) -> None:
    with dev(tmp_path, a=client(), b=client("other")) as process:
        answer = process.token("orders", files=process.client("other"))

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_second_start_keeps_issuer_keys_certificates_and_tokens(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        first, token = process.ready, process.token().json()["access_token"]
        certificate = Path(first["clients"][0]["cert_file"]).read_bytes()
        ca = Path(first["ca_file"]).read_bytes()

    with DevProcess(tmp_path) as process:
        assert {**process.ready, "pid": 0} == {**first, "pid": 0}
        assert Path(first["ca_file"]).read_bytes() == ca
        assert Path(first["clients"][0]["cert_file"]).read_bytes() == certificate
        assert process.introspect(token)["active"] is True
        assert process.token().status_code == 200


def test_a_client_removed_while_it_was_down_gets_no_token_afterwards(tmp_path: Path) -> None:
    with dev(tmp_path, a=client(), b=client("other")) as process:
        found, endpoint = process.client(), process.ready["mtls_token_endpoint"]
        assert found is not None
        pair = {m: str(tmp_path / Path(found[m]).name) for m in ("cert_file", "key_file")}
        for member, copy in pair.items():
            Path(copy).write_bytes(Path(found[member]).read_bytes())
    (tmp_path / "manifests" / "a.yaml").unlink()

    with DevProcess(tmp_path) as process:
        form = {"grant_type": "client_credentials", "client_id": "shop.orders"}

        assert process.post(endpoint, form, pair).status_code == 401
        assert process.client() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_in_time(tmp_path: Path, number: signal.Signals) -> None:
    with dev(tmp_path, a=client()) as process:
        port = int(process.ready["issuer"].rsplit(":", 1)[1])
        # A connection that stands idle must not hold it.
        with socket.create_connection(("127.0.0.1", port)):
            code, seconds = process.stop(number)

        assert code == 0
        assert seconds < STOP_LIMIT
        assert not process.ready_file.exists()
        assert "Traceback" not in process.said


def test_a_signal_during_the_start_ends_it_too(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    process = DevProcess(tmp_path)
    process.wait_for((tmp_path / "data" / "lock").exists)

    code, seconds = process.stop()

    assert code == 0, process.said
    assert seconds < STOP_LIMIT


def test_people_see_the_clients_the_issuer_and_a_line_to_paste(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        process.wait_for(lambda: "curl " in process.said)

        assert ["shop", "orders", "shop.orders", "yes", "Ready"] in [line.split()[:5] for line in process.said.splitlines()]
        assert f"Issuer  {process.ready['issuer']}" in process.said


def test_the_line_to_paste_works(tmp_path: Path) -> None:
    with dev(tmp_path, a=client()) as process:
        process.wait_for(lambda: "curl " in process.said)
        line = next(line for line in process.said.splitlines() if line.startswith("curl "))

        answer = subprocess.run(["sh", "-c", f"{line} --silent"], capture_output=True, check=True, timeout=20)

        assert json.loads(answer.stdout)["token_type"] == "Bearer"


def test_an_empty_folder_is_ready_with_no_clients(tmp_path: Path) -> None:
    with dev(tmp_path) as process:
        assert process.ready["clients"] == []


def test_keys_cannot_be_committed_by_accident(tmp_path: Path) -> None:
    with dev(tmp_path) as process:
        assert (process.data / ".gitignore").read_text() == "*\n"
        assert stat.S_IMODE(process.data.stat().st_mode) == 0o700
