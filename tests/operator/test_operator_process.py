"""`holdfast operator` as a process: how it starts, who of two works, and how it stops."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.controlplane.plane.plane import ControlPlane
from tests.controlplane.plane.ports import free_ports

COMMAND = [str(Path(sys.executable).with_name("holdfast")), "operator"]


class Replica:
    """One process; its registry cannot be reached, which must not keep it from leading."""

    def __init__(self, plane: ControlPlane, namespace: str, log: Path) -> None:
        (port,) = free_ports(1)
        self.url, self.log = f"http://127.0.0.1:{port}", log
        files = {f"HOLDFAST_ADMIN_{n}_FILE": str(log.with_suffix(f".{n}")) for n in ("CA", "CERT", "KEY")}
        env = os.environ | files
        env |= {
            "KUBECONFIG": str(plane.kubeconfig),
            "HOLDFAST_ADMIN_URL": "https://127.0.0.1:1",
            "HOLDFAST_LEASE_NAMESPACE": namespace,
            "HOLDFAST_IDENTITY": log.stem,
            "HOLDFAST_OPS_PORT": str(port),
            "HOLDFAST_RELEASE_AFTER": "1",
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(COMMAND, env=env, stdout=output, stderr=subprocess.STDOUT)

    def answers(self, path: str) -> str:
        """The body, empty while there is no good answer."""
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.url}{path}", timeout=2) as got:
                return str(got.read().decode())
        except OSError:
            return ""

    @property
    def leading(self) -> bool:
        return "holdfast_operator_leading 1.0" in self.answers("/metrics")

    def terminate(self) -> float:
        """SIGTERM; seconds until it has ended with code 0."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.log.read_text()
        return time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def eventually(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


Starter = Callable[[str], Replica]


@pytest.fixture
def start(plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Starter]:
    started: list[Replica] = []

    def begin(name: str) -> Replica:
        started.append(Replica(plane, namespace, tmp_path / f"{name}.log"))
        return started[-1]

    yield begin
    for replica in started:
        replica.kill()


def holder(plane: ControlPlane, namespace: str) -> str:
    lease = json.loads(plane.kubectl_run("get", "lease", "holdfast-operator", f"--namespace={namespace}", "--output=json"))
    return str(lease["spec"].get("holderIdentity") or "")


@pytest.mark.controlplane
def test_it_becomes_ready_leads_and_gives_its_lease_back_on_sigterm(
    plane: ControlPlane, namespace: str, start: Starter
) -> None:
    first = start("first")
    eventually(lambda: first.answers("/readyz") == "ok" and first.leading, 20, "ready and leading")
    assert first.answers("/healthz") == "ok"
    assert holder(plane, namespace) == "first"

    assert first.terminate() < 5
    assert holder(plane, namespace) == ""


@pytest.mark.controlplane
def test_of_two_replicas_one_works_and_the_other_takes_over_at_once(start: Starter) -> None:
    first = start("first")
    eventually(lambda: first.leading, 20, "the first leads")
    second = start("second")
    eventually(lambda: second.answers("/readyz") == "ok", 20, "the second stands by, ready")
    assert not second.leading

    first.terminate()
    eventually(lambda: second.leading, 5, "the second has taken over")


@pytest.mark.controlplane
def test_a_client_says_that_the_registry_is_away_and_its_namespace_can_go(
    plane: ControlPlane, namespace: str, start: Starter
) -> None:
    start("first")
    spec = {"certificate": {"issuerRef": {"name": "workloads"}}}
    metadata = {"name": "orders", "namespace": namespace}
    obj = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": metadata, "spec": spec}
    plane.kubectl_run("apply", "--filename=-", input=json.dumps(obj))
    condition = "jsonpath={.status.conditions[?(@.type=='Registered')].reason}=RegistryUnavailable"
    resource = "oauthclients.holdfast.dev/orders"
    plane.kubectl_run("wait", resource, f"--namespace={namespace}", f"--for={condition}", "--timeout=20s")

    plane.kubectl_run("delete", resource, f"--namespace={namespace}", "--timeout=15s")


def run_with(tmp_path: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    bare = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_") and k != "KUBECONFIG"}
    env = bare | {"HOME": str(tmp_path)} | env
    return subprocess.run(COMMAND, env=env, capture_output=True, text=True, timeout=30, check=False)


def test_a_missing_setting_is_named_by_its_variable(tmp_path: Path) -> None:
    done = run_with(tmp_path)

    assert done.returncode == 2
    assert "HOLDFAST_ADMIN_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_admin_url_without_tls_is_refused(tmp_path: Path) -> None:
    files = {f"HOLDFAST_ADMIN_{n}_FILE": "x" for n in ("CA", "CERT", "KEY")}

    done = run_with(tmp_path, HOLDFAST_ADMIN_URL="http://127.0.0.1:1", **files)

    assert done.returncode == 2
    assert "expected an https URL" in done.stderr


def test_a_cluster_that_cannot_be_found_is_said_in_one_line(tmp_path: Path) -> None:
    files = {f"HOLDFAST_ADMIN_{n}_FILE": "x" for n in ("CA", "CERT", "KEY")}

    done = run_with(tmp_path, HOLDFAST_ADMIN_URL="https://127.0.0.1:1", **files)

    assert done.returncode == 2
    assert done.stderr.startswith("holdfast operator: no API server: set KUBECONFIG")
    assert "Traceback" not in done.stderr
