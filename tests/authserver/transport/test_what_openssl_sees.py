"""The TLS of a real server process, as `openssl s_client` sees it: a stranger's tool, with another OpenSSL than ours."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.x509.authority import Authority, Issued

SUITES = [f"ECDHE-{key}-AES{bits}" for key in ("ECDSA", "RSA") for bits in ("128-GCM-SHA256", "256-GCM-SHA384")]
REFUSED = ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-CHACHA20-POLY1305",
           "ECDHE-ECDSA-AES128-CCM", "DHE-RSA-AES128-GCM-SHA256"]  # fmt: skip
REQUEST = b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of the mTLS listener of a server in a process of its own."""
    folder = tmp_path_factory.mktemp("server")
    ca = Authority.root("CN=Server Root")
    certificate, key = ca.issue("CN=localhost", dns=["localhost"], ips=["127.0.0.1"], server=True).write(folder)
    settings = {"PUBLIC_PORT": "0", "MTLS_PORT": "0", "PUBLIC_TLS_CERT_FILE": certificate, "PUBLIC_TLS_KEY_FILE": key,
                "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/registry.db", "KEYS_DIR": folder / "keys",
                "AUDIT_LOG": folder / "audit.log"}  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
    environment |= {f"HOLDFAST_{name}": str(value) for name, value in settings.items()}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "holdfast_authserver.server"], env=environment, stderr=output)
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        process.wait(10)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"mtls on (\S+)", log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def s_client(address: str, *options: str, data: bytes = REQUEST, commands: bool = False) -> str:
    """What the tool prints. `commands`: take `data` for its own commands, a letter each, and leave at the end."""
    command = ["openssl", "s_client", "-connect", address, "-servername", "localhost", *options]
    command += [] if commands else ["-ign_eof"]
    answer = subprocess.run(command, input=data, capture_output=True, timeout=30, check=False)
    return (answer.stdout + answer.stderr).decode(errors="replace")


def test_tls_1_3_is_chosen_where_both_sides_can(address: str) -> None:
    """A client that leaves the choice to the server gets TLS 1.3 (M-77, F-01)."""
    seen = s_client(address)

    assert "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384" in seen
    assert "HTTP/1.1 200 OK" in seen


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused_with_an_alert(address: str, version: str) -> None:
    """The handshake ends there (M-77, F-01)."""
    seen = s_client(address, version, "-cipher", "ALL:@SECLEVEL=0")

    assert "alert protocol version" in seen
    assert "HTTP/1.1" not in seen
    assert "Cipher is (NONE)" in seen


@pytest.mark.parametrize("suite", [s for s in SUITES if "ECDSA" in s])
def test_tls_1_2_has_the_suites_of_bcp_195(address: str, suite: str) -> None:
    """Each of the four that fits the key of this server (M-77, F-01)."""
    assert f"New, TLSv1.2, Cipher is {suite}" in s_client(address, "-tls1_2", "-cipher", suite)


@pytest.mark.parametrize("suite", REFUSED)
def test_tls_1_2_has_no_other_suite(address: str, suite: str) -> None:
    """Neither without forward secrecy, nor without AEAD, nor beyond the four (M-77, F-01)."""
    seen = s_client(address, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")

    assert "alert handshake failure" in seen
    assert "Cipher is (NONE)" in seen


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_certificate_is_asked_for_and_no_ca_is_named(address: str, version: str) -> None:
    """Go and Java send a self-signed certificate only then, and any of them may come (M-72, M-73)."""
    seen = s_client(address, version)

    assert "No client certificate CA names sent" in seen
    assert "Client Certificate Types" in seen or "Requested Signature Algorithms" in seen
    assert "HTTP/1.1 200 OK" in seen


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_there_is_no_ticket_and_no_session_id(address: str, version: str) -> None:
    """A client is given nothing that it could resume (M-79)."""
    seen = s_client(address, version, "-trace" if version == "-tls1_3" else "-state")

    assert "HTTP/1.1 200 OK" in seen
    assert "NewSessionTicket" not in seen
    assert "New Session Ticket arrived" not in seen
    assert "TLS session ticket" not in seen
    assert not re.search(r"Session-ID: [0-9A-F]", seen)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_every_reconnection_is_a_whole_handshake(address: str, version: str) -> None:
    """Whatever s_client keeps of a session, it is new each time (M-79)."""
    seen = s_client(address, version, "-reconnect", data=b"Q\n", commands=True)

    assert "Reused" not in seen
    assert seen.count("New, TLSv1") == 6


def test_renegotiation_ends_the_connection(address: str) -> None:
    """Neither a client's wish to renegotiate nor one after it is answered (M-78)."""
    seen = s_client(address, "-tls1_2", data=b"R\n" + REQUEST, commands=True)

    assert "RENEGOTIATING" in seen
    assert "no renegotiation" in seen
    assert "HTTP/1.1 200" not in seen


def test_a_certificate_nobody_knows_finishes_the_handshake(address: str, tmp_path: Path) -> None:
    """The endpoint judges, not TLS (M-73)."""
    unknown: Issued = Authority.root("CN=Somebody").issue("CN=somebody")
    certificate, key = unknown.write(tmp_path)

    assert "HTTP/1.1 200 OK" in s_client(address, "-cert", str(certificate), "-key", str(key))
