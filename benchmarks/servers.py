"""Starts each server of a comparison in the scenario, and stops it: the product, the floor, the peer, Envoy in front.

Owns commands, readiness, pinning to one core, and the check that an answer is what the comparison says it is. Must not
know figures. Neighbours: `measure` loads what runs here.
"""

import json
import socket
import ssl
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import httpx
import jwt

from benchmarks import envoy, product, toolchain
from benchmarks.measure import Ask, Server, cores
from benchmarks.scenario import CLIENT_ID, FORM, LIFETIME, SCOPE, SUBJECT, Scenario

_TOKEN = '"access_token"'
_ACTIVE = '"active":true'
_MODULE = "holdfast_authserver.server"


@contextmanager
def holdfast(
    scenario: Scenario, registry: Path, *, name: str = "holdfast", pinned: bool = True, **settings: str
) -> Iterator[Server]:
    """The authorization server as it ships."""
    env = product.environment(scenario, registry, **settings)
    with _running([sys.executable, "-m", _MODULE], env, "mtls on", pinned) as (pid, port):
        yield _checked(Server(name, (pid,), port, Ask("/oauth2/token", FORM, _TOKEN)), scenario, "/oauth2/introspect")


@contextmanager
def behind_envoy(scenario: Scenario, registry: Path) -> Iterator[Server]:
    """The product behind Envoy, on one core together; the processor time of both counts."""
    forwarded, port = registry.parent / "forwarded.sock", _free_port()
    written = registry.parent / "envoy.json"
    written.write_text(envoy.configuration(scenario, port, forwarded))
    command = [toolchain.envoy(), "--config-path", str(written), "--concurrency", "1", "--disable-hot-restart"]
    with (
        holdfast(
            scenario, registry, name="holdfast behind Envoy", forwarded_socket=str(forwarded), forwarded_format="XFCC"
        ) as ours,
        _running([*command, "--log-level", "info"], None, "starting main dispatch loop", port=port) as (pid, _),
    ):
        server = replace(ours, port=port, pids=(*ours.pids, pid))
        yield _checked(server, scenario, "/oauth2/introspect")


@contextmanager
def floor(scenario: Scenario) -> Iterator[Server]:
    """The least that this stack can cost."""
    command = [sys.executable, "-m", "benchmarks.floor", str(scenario.folder)]
    with _running(command, None, "listening on") as (pid, port):
        yield _checked(Server("floor", (pid,), port, Ask("/token", FORM, _TOKEN)), scenario, "/introspect")


@contextmanager
def peer(scenario: Scenario) -> Iterator[Server]:
    """node-oidc-provider at its defaults. It introspects opaque tokens alone, so those are what is asked about."""
    modules = toolchain.peer_modules()
    script = modules / "server.mjs"
    script.write_bytes((Path(__file__).parent / "peer" / "server.mjs").read_bytes())  # imports resolve beside the file
    command = [toolchain.node(), str(script), str(scenario.folder), CLIENT_ID, SUBJECT, SCOPE, str(LIFETIME)]
    with _running(command, None, "listening on") as (pid, port):
        server = Server("peer", (pid,), port, Ask("/token", FORM, _TOKEN))
        opaque = urllib.parse.urlencode({"resource": "https://opaque.example"})
        yield _checked(server, scenario, "/token/introspection", extra=f"&{opaque}")


def _checked(server: Server, scenario: Scenario, introspection: str, extra: str = "") -> Server:
    """Before anything is timed: tokens are bound to the certificate that was presented, and introspection says so."""
    expected = {"x5t#S256": scenario.client_certificate.x5t_s256}
    with _client(scenario, server.port) as http:
        token = str(_post(http, server.token.path, FORM)["access_token"])
        claims = jwt.decode(token, options={"verify_signature": False})
        if claims["cnf"] != expected or claims["exp"] - claims["iat"] != LIFETIME:
            raise SystemExit(f"{server.name}: expected a token bound to {expected} for {LIFETIME} s, got {claims}")
        other = _post(http, server.token.path, FORM + extra)["access_token"] if extra else token
        form = urllib.parse.urlencode({"client_id": CLIENT_ID, "token": other})
        answer = _post(http, introspection, form)
        if answer.get("active") is not True or answer.get("cnf") != expected:
            raise SystemExit(f"{server.name}: expected an active token bound to {expected}, got {answer}")
    return replace(server, introspection=Ask(introspection, form, _ACTIVE))


def _client(scenario: Scenario, port: int) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(scenario.server("ca.crt")))
    context.load_cert_chain(scenario.client("tls.crt"), scenario.client("tls.key"))
    return httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, timeout=10)


def _post(http: httpx.Client, path: str, form: str) -> dict[str, object]:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = http.post(path, content=form, headers=headers)
    if answer.status_code != 200:
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:200]}")
    body: dict[str, object] = json.loads(answer.text)
    return body


@contextmanager
def _running(
    command: list[str], env: Mapping[str, str] | None, marker: str, pinned: bool = True, port: int | None = None
) -> Iterator[tuple[int, int]]:
    """(pid, port) once a line with `marker` was printed, which ends in the port unless it is known."""
    pin = ["taskset", "-c", str(cores()[0])] if pinned else []
    process = subprocess.Popen([*pin, *command], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = _line(process, marker)
        yield process.pid, port or int(line.rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(timeout=30)


def _line(process: "subprocess.Popen[str]", marker: str) -> str:
    """The first line that holds it; what comes after is read by nobody, so it goes to a thread that throws it away."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if marker in line:
            Thread(target=process.stdout.read, daemon=True).start()
            return line
    raise SystemExit("the server did not start:\n" + "".join(seen))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])
