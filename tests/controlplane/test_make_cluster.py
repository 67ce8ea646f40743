"""`make cluster` as a process: what its ready file promises, and that nothing of it is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.controlplane.plane.plane import ControlPlane

pytestmark = pytest.mark.controlplane

MEMBERS = {
    "issuer", "mtls_issuer", "metadata_url", "token_endpoint", "mtls_token_endpoint", "introspection_endpoint",
    "ca_file", "pid", "policies", "kubeconfig", "kubectl", "pids",
}  # fmt: skip


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_ready_file_keeps_its_promise_and_nothing_is_left(plane: ControlPlane, tmp_path: Path) -> None:
    """`plane` says whether a control plane can be had here; this one is another."""
    ready_file, log = tmp_path / "ready.json", tmp_path / "log"
    command = [sys.executable, "-m", "tests.controlplane.cluster", "--ready-file", str(ready_file)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_for(lambda: ready_file.exists() or process.poll() is not None, 90, log.read_text())
        ready = json.loads(ready_file.read_text())
        assert set(ready) == MEMBERS
        issuer = [
            ready["kubectl"],
            f"--kubeconfig={ready['kubeconfig']}",
            "get",
            "clusterissuer",
            "workloads",
            "--output=json",
        ]
        found = json.loads(subprocess.run(issuer, capture_output=True, check=True).stdout)
        assert [c["status"] for c in found["status"]["conditions"] if c["type"] == "Ready"] == ["True"]

        os.kill(ready["pids"]["authserver"], signal.SIGKILL)
        wait_for(
            lambda: json.loads(ready_file.read_text())["pids"]["authserver"] != ready["pids"]["authserver"], 20, "a new pid"
        )
        pids = json.loads(ready_file.read_text())["pids"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0, log.read_text()
    finally:
        process.kill()
    assert [name for name, pid in pids.items() if alive(pid)] == []
    assert not ready_file.exists()
    assert not Path(ready["kubeconfig"]).exists()
