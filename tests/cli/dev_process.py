"""`holdfast dev` as its users run it: a real process, known by its ready file and its exit.

Owns start, waiting and end of the process. Holds no expectation: tests do.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.cli.tls import client_context

START_LIMIT = 30.0  # seconds on a machine that builds something else beside
STOP_LIMIT = 5.0  # seconds; the contract

CLIENT = """\
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  certificate: {{issuerRef: {{name: workloads}}}}
  scopes: [{scope}]
  resources: ["https://{name}.{namespace}.svc"]
  resourceServer: {{audiences: ["https://{name}.{namespace}.svc"]}}
  suspend: {suspend}
"""


def client(name: str = "orders", *, namespace: str = "shop", scope: str = "orders.read", suspend: bool = False) -> str:
    """The YAML of a client that has a certificate issued, and is the API it asks tokens for."""
    return CLIENT.format(name=name, namespace=namespace, scope=scope, suspend=str(suspend).lower())


def policy(name: str, *, max_lifetime: str) -> str:
    """The YAML of a policy that matches every client."""
    head = f"apiVersion: holdfast.dev/v1alpha1\nkind: MTLSPolicy\nmetadata: {{name: {name}}}\n"
    return f"{head}spec: {{tokens: {{maxLifetime: {max_lifetime}}}}}\n"


class DevProcess:
    """One run of `holdfast dev` over `folder/manifests`, its data in `folder/data`."""

    def __init__(self, folder: Path, *extra: str, data: Path | None = None, ports: tuple[int, int] = (0, 0)) -> None:
        self.folder = folder
        self.manifests = folder / "manifests"
        self.manifests.mkdir(exist_ok=True)
        self.data = data or folder / "data"
        self.ready_file = folder / "ready.json"
        self._log = folder / "dev.log"
        arguments = [str(self.manifests), "--data", str(self.data), "--ready-file", str(self.ready_file)]
        arguments += ["--public-port", str(ports[0]), "--mtls-port", str(ports[1]), *extra]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "holdfast_cli.main", "dev", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self.wait_for(self.ready_file.exists, START_LIMIT)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.stop()

    def wait_for(self, condition: Callable[[], bool], limit: float = 10.0) -> float:
        """Seconds until `condition` held. Fails with what the process said."""
        began = time.monotonic()
        while not condition():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said}"
            assert time.monotonic() - began < limit, f"not within {limit} s: {self.said}"
            time.sleep(0.01)
        return time.monotonic() - began

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Exit code and seconds it took. The process is gone afterwards in any case."""
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_LIMIT + 5), time.monotonic() - began
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process and all it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def said(self) -> str:
        """All it printed."""
        return self._log.read_text()

    @property
    def ready(self) -> dict[str, Any]:
        """The ready file as it is now."""
        value: dict[str, Any] = json.loads(self.ready_file.read_bytes())
        return value

    def client(self, name: str = "orders") -> dict[str, Any] | None:
        """A client of the ready file, or None."""
        return next((c for c in self.ready["clients"] if c["name"] == name), None)

    def is_ready(self, name: str = "orders") -> bool:
        found = self.client(name)
        return found is not None and bool(found["ready"])

    def write(self, name: str, text: str) -> None:
        """Replace a manifest as careful editors do."""
        temporary = self.folder / f"{name}.new"
        temporary.write_text(text)
        temporary.replace(self.manifests / name)

    def post(self, url: str, form: dict[str, str], files: dict[str, Any]) -> httpx.Response:
        """A request with the certificate of a client of the ready file."""
        context = client_context(self.ready["ca_file"], files["cert_file"], files["key_file"])
        return httpx.post(url, data=form, verify=context, trust_env=False)

    def token(self, name: str = "orders", *, files: dict[str, Any] | None = None, **form: str) -> httpx.Response:
        """A token request of a client."""
        found = self.client(name)
        assert found is not None
        form = {"grant_type": "client_credentials", "client_id": found["client_id"], **form}
        return self.post(self.ready["mtls_token_endpoint"], form, files or found)

    def introspect(self, token: str, name: str = "orders") -> dict[str, Any]:
        """What a client is told about a token."""
        found = self.client(name)
        assert found is not None
        form = {"token": token, "client_id": found["client_id"]}
        value: dict[str, Any] = self.post(self.ready["introspection_endpoint"], form, found).json()
        return value


def run_to_end(folder: Path, *arguments: str, limit: float = START_LIMIT) -> subprocess.CompletedProcess[str]:
    """Run `holdfast` with arguments that make it end by itself."""
    command = [sys.executable, "-m", "holdfast_cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)


@contextmanager
def dev(folder: Path, **manifests: str) -> Iterator[DevProcess]:
    """A running process with these manifests, all its clients looked at once."""
    (folder / "manifests").mkdir(exist_ok=True)
    for name, text in manifests.items():
        (folder / "manifests" / f"{name}.yaml").write_text(text)
    with DevProcess(folder) as process:
        yield process
