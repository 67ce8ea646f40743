"""Real Envoy, nginx and HAProxy in front of a real server, each with the very file that docs/recipes offers.

A test's own paths, addresses and ports take the place of those in the file; every one of them has to be there, so that a
recipe cannot drift from what is tested. The server runs in a thread with an event loop of its own, so that tests may block.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvloop

from tests.authserver.running import RunningServer, running
from tests.controlplane.plane.ports import free_ports
from tests.core.x509.authority import Authority, Issued

T = TypeVar("T")
RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
SAN = "spiffe://cluster.local/ns/edge/sa/terminator"
TERMINATORS = ("envoy", "nginx", "haproxy")
_PATIENCE = 30  # seconds for a terminator to come up on a busy machine; it takes a tenth of one


def binary(name: str) -> Path:
    """The program. Skips the test, with the name of what is missing, unless everything has to be there."""
    beside = Path(sys.executable).parent / name  # Envoy is a package for Python
    found = str(beside) if beside.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is not None:
        return Path(found)
    if os.environ.get("HOLDFAST_REQUIRE_ALL"):
        raise AssertionError(f"{name} is not installed here")
    pytest.skip(f"{name} is not installed here")


class LoopThread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@dataclass
class Terminated:
    """A server behind a terminator. `url`: what clients reach."""

    name: str
    url: str
    server: RunningServer
    ca: Authority
    """What the terminator's own certificate leads to."""
    loop: LoopThread

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}/oauth2/token"

    def http(self, certificate: Issued | None = None) -> httpx.Client:
        """A client that shows `certificate`, or none."""
        return httpx.Client(verify=self.tls(certificate), timeout=20)

    def tls(self, certificate: Issued | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca.pem.decode())
        if certificate is not None:
            with tempfile.TemporaryDirectory() as folder:
                context.load_cert_chain(*certificate.write(Path(folder)))
        return context


@contextlib.contextmanager
def terminated(name: str, folder: Path) -> Iterator[Terminated]:
    """Start both. Skips where the terminator is missing."""
    program = binary(name)
    [port, inner] = free_ports(2)
    url = f"https://localhost:{port}"
    ca = Authority.root("CN=Edge Root")
    loop, stack = LoopThread(), AsyncExitStack()
    try:
        settings = {"mtls_url": url, **_settings(name, folder, inner)}
        server = loop.run(stack.enter_async_context(running(folder, **settings)))
        inner_port = server.server.addresses["forwarded"][1]
        _write_certificates(folder, ca)
        replaced = _replacements(name, folder, port, inner_port, server)
        with _process(name, program, _written(name, folder, replaced), folder, port):
            yield Terminated(name, url, server, ca, loop)
    finally:
        loop.run(stack.aclose())
        loop.close()


def _settings(name: str, folder: Path, port: int) -> dict[str, Any]:
    """Of the server, as the recipe's head says."""
    if name == "envoy":
        terminators = Authority.root("CN=Terminators Root")
        certificate, key = terminators.issue("CN=terminator", uris=[SAN]).write(folder / "client")
        certificate.rename(folder / "client.crt")
        key.rename(folder / "client.key")
        (folder / "terminators-ca.pem").write_bytes(terminators.pem)
        return {"forwarded_port": port, "forwarded_format": "XFCC", "forwarded_peer_san": SAN,
                "forwarded_peer_ca_file": folder / "terminators-ca.pem"}  # fmt: skip
    if name == "nginx":
        return {"forwarded_socket": folder / "forwarded.sock", "forwarded_format": "NginxEscapedPEM"}
    return {"forwarded_port": port, "forwarded_format": "RFC9440"}


def _write_certificates(folder: Path, ca: Authority) -> None:
    certificate, key = ca.issue("CN=localhost", dns=["localhost"], server=True).write(folder / "edge")
    (folder / "edge" / "tls.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    (folder / "any-ca.pem").write_bytes(Authority.root("CN=Any").pem)


def _replacements(name: str, folder: Path, port: int, inner: int, server: RunningServer) -> Mapping[str, str]:
    edge = {f"/etc/holdfast/terminator/tls.{end}": f"{folder}/edge/tls.{end}" for end in ("crt", "key")}
    if name == "envoy":
        (folder / "server-ca.pem").write_bytes(server.server_ca.pem)
        return edge | {
            "{address: 0.0.0.0, port_value: 9443}": f"{{address: 127.0.0.1, port_value: {port}}}",
            "{address: holdfast-authserver.holdfast.svc, port_value: 9444}": f"{{address: 127.0.0.1, port_value: {inner}}}",
            "holdfast-authserver.holdfast.svc": "localhost",
            "/etc/holdfast/terminator/client.": f"{folder}/client.",
            "/etc/holdfast/server-ca.pem": f"{folder}/server-ca.pem",
        }
    if name == "nginx":
        return edge | {
            "0.0.0.0:9443": f"127.0.0.1:{port}",
            "/run/holdfast/forwarded.sock": f"{folder}/forwarded.sock",
            "/run/nginx/": f"{folder}/",
            "/var/lib/nginx/": f"{folder}/",
        }
    return {
        "0.0.0.0:9443": f"127.0.0.1:{port}",
        "/etc/holdfast/terminator/tls.pem": f"{folder}/edge/tls.pem",
        "/etc/holdfast/any-ca.pem": f"{folder}/any-ca.pem",
        "/etc/haproxy/holdfast-chain.lua": str(RECIPES / "holdfast-chain.lua"),
        "127.0.0.1:9444": f"127.0.0.1:{inner}",
    }


_FILES = {"envoy": "envoy.yaml", "nginx": "nginx.conf", "haproxy": "haproxy.cfg"}


def _written(name: str, folder: Path, replaced: Mapping[str, str]) -> Path:
    text = (RECIPES / _FILES[name]).read_text()
    for old, new in replaced.items():
        assert old in text, f"{_FILES[name]} does not hold {old}"
        text = text.replace(old, new)
    path = folder / _FILES[name]
    path.write_text(text)
    return path


_AS_ROOT = " user root;" if os.geteuid() == 0 else ""  # else its workers could not open the socket, which is the server's


def _command(name: str, program: Path, file: Path) -> Sequence[str]:
    return {
        "envoy": [str(program), "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn"],
        "nginx": [str(program), "-c", str(file), "-g", f"daemon off;{_AS_ROOT}", "-e", "stderr"],
        "haproxy": [str(program), "-db", "-f", str(file)],
    }[name]


@contextlib.contextmanager
def _process(name: str, program: Path, file: Path, folder: Path, port: int) -> Iterator[None]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(_command(name, program, file), stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{name} did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
