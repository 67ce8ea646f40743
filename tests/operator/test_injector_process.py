"""`holdfast injector` as a process: how it starts, what it says of itself, and how it stops."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import answers
from tests.controlplane.plane.plane import ControlPlane
from tests.controlplane.plane.ports import free_ports
from tests.controlplane.plane.process import Process
from tests.operator.admission.serving import server_certificate

COMMAND = [str(Path(sys.executable).with_name("holdfast")), "injector"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """With a certificate, and ports that are free."""
    certificate, key = server_certificate(10).write(folder / "tls")
    webhook, ops = free_ports(2)
    own = {
        "HOLDFAST_TLS_CERT_FILE": str(certificate),
        "HOLDFAST_TLS_KEY_FILE": str(key),
        "HOLDFAST_WEBHOOK_PORT": str(webhook),
        "HOLDFAST_OPS_PORT": str(ops),
    }
    return own | more


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.stop()


@pytest.mark.controlplane
def test_it_is_ready_once_it_has_listed_everything_and_ends_on_sigterm_with_code_0(
    plane: ControlPlane, tmp_path: Path, kept: list[Process]
) -> None:
    env = environment(tmp_path, KUBECONFIG=str(plane.kubeconfig))
    url = f"http://127.0.0.1:{env['HOLDFAST_OPS_PORT']}"
    process = Process.start("injector", COMMAND, tmp_path, env)
    kept.append(process)
    process.wait_until(lambda: answers(f"{url}/readyz"), 20)

    metrics = _metrics(url)
    assert "holdfast_injector_policies 0.0" in metrics
    assert "holdfast_injector_certificate_days_left 9.9" in metrics
    process.signal(signal.SIGTERM)
    assert process.child.wait(15) == 0


def test_without_an_api_server_it_is_alive_and_not_ready(tmp_path: Path, kept: list[Process]) -> None:
    nowhere = tmp_path / "nowhere.kubeconfig"
    nowhere.write_text(_kubeconfig("https://127.0.0.1:1"))
    env = environment(tmp_path, KUBECONFIG=str(nowhere))
    url = f"http://127.0.0.1:{env['HOLDFAST_OPS_PORT']}"
    process = Process.start("injector", COMMAND, tmp_path, env)
    kept.append(process)

    process.wait_until(lambda: "could not be listed" in process.tail(), 20)

    assert answers(f"{url}/healthz")
    assert not answers(f"{url}/readyz")
    process.signal(signal.SIGKILL)  # the watches would try for some seconds more


def run_with(tmp_path: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    bare = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_") and k != "KUBECONFIG"}
    return subprocess.run(
        COMMAND, env=bare | {"HOME": str(tmp_path)} | env, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_missing_setting_of_the_injector_is_named_by_its_variable(tmp_path: Path) -> None:
    done = run_with(tmp_path)

    assert done.returncode == 2
    assert "HOLDFAST_TLS_CERT_FILE: Field required" in done.stderr


def test_a_certificate_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    done = run_with(tmp_path, **environment(tmp_path, HOLDFAST_TLS_CERT_FILE=str(tmp_path / "absent.crt")))

    assert done.returncode == 2
    assert done.stderr == f"holdfast injector: {tmp_path}/absent.crt: No such file or directory\n"


def test_an_injector_without_a_cluster_says_so_in_one_line(tmp_path: Path) -> None:
    done = run_with(tmp_path, **environment(tmp_path))

    assert done.returncode == 2
    assert done.stderr.startswith("holdfast injector: no API server: set KUBECONFIG")
    assert "Traceback" not in done.stderr


def _metrics(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def _kubeconfig(server: str) -> str:
    return f"""\
apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: none}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
"""
