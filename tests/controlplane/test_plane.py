"""The plane itself: that it is a real control plane, and that nothing of it outlives its stop."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.controlplane.plane import versions
from tests.controlplane.plane.plane import REPOSITORY, ControlPlane, KubectlError

pytestmark = pytest.mark.controlplane

_URI = "spiffe://cluster.local/ns/shop/sa/orders"


def test_the_plane_runs_the_pinned_kubernetes_version_and_is_ready(plane: ControlPlane) -> None:
    version = json.loads(plane.kubectl_run("version", "--output=json"))["serverVersion"]["gitVersion"]

    assert version == f"v{versions.KUBERNETES}"
    assert plane.kubectl_run("get", "--raw", "/readyz") == "ok"


def test_cert_manager_issues_a_certificate_with_a_spiffe_uri(plane: ControlPlane, namespace: str) -> None:
    plane.apply([_certificate(namespace)])
    plane.kubectl_run("wait", "--for=condition=Ready", "certificate/orders", "-n", namespace, "--timeout=30s")
    secret = json.loads(plane.kubectl_run("get", "secret", "orders-mtls", "-n", namespace, "--output=json"))
    leaf = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))

    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [_URI]


def test_cert_managers_webhook_refuses_a_certificate_that_lives_for_minutes(plane: ControlPlane, namespace: str) -> None:
    with pytest.raises(KubectlError, match=r"spec\.duration: Invalid value"):
        plane.apply([_certificate(namespace, duration="30m", renewBefore="10m")])


def test_the_audit_log_names_who_wrote_what(plane: ControlPlane, namespace: str) -> None:
    before = plane.audit_log.stat().st_size
    plane.kubectl_run("create", "configmap", "written", "-n", namespace)
    plane.kubectl_run("get", "configmap", "written", "-n", namespace)

    mine = [r for r in plane.requests(before) if r.user == "plane-admin" and r.name == "written"]
    assert [(r.verb, r.resource, r.namespace, r.is_write) for r in mine] == [
        ("create", "configmaps", namespace, True),
        ("get", "configmaps", namespace, False),
    ]


def test_a_service_account_may_do_only_what_rbac_grants_it(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl_run("create", "serviceaccount", "nobody", "-n", namespace)
    config = plane.service_account_kubeconfig(namespace, "nobody")

    with pytest.raises(KubectlError, match=f'"system:serviceaccount:{namespace}:nobody" cannot list resource "secrets"'):
        plane.kubectl_run("get", "secrets", "-n", namespace, kubeconfig=config)


def test_cert_manager_runs_under_its_own_rbac(plane: ControlPlane, namespace: str) -> None:
    plane.apply([_certificate(namespace)])
    plane.kubectl_run("wait", "--for=condition=Ready", "certificate/orders", "-n", namespace, "--timeout=30s")

    users = {r.user for r in plane.requests() if r.namespace == namespace and r.resource == "certificaterequests"}
    assert users == {"system:serviceaccount:cert-manager:cert-manager"}


def test_a_restarted_api_server_still_has_its_objects(plane: ControlPlane, namespace: str) -> None:
    before = plane.pids["kube-apiserver"]
    plane.restart_apiserver()

    assert plane.pids["kube-apiserver"] != before
    assert plane.kubectl_run("get", "namespace", namespace, "--output=name").strip() == f"namespace/{namespace}"


def test_stop_leaves_no_process(tmp_path: Path) -> None:
    plane = ControlPlane.start(tmp_path / "plane")
    pids = dict(plane.pids)
    plane.stop()

    assert set(pids) == {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "cert-manager",
        "cert-manager-webhook",
    }
    assert [name for name, pid in pids.items() if _alive(pid)] == []


def test_the_parts_die_with_a_killed_parent(tmp_path: Path) -> None:
    report = tmp_path / "pids.json"
    script = (
        "import json, pathlib, time\n"
        "from tests.controlplane.plane.plane import ControlPlane\n"
        f"plane = ControlPlane.start(pathlib.Path({str(tmp_path / 'plane')!r}))\n"
        f"pathlib.Path({str(report)!r}).write_text(json.dumps(plane.pids))\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY)
    try:
        _eventually(lambda: report.exists() and bool(report.read_text()), 60)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    pids = json.loads(report.read_text()).values()
    assert len(pids) == 6
    _eventually(lambda: not any(_alive(pid) for pid in pids), 10)


@pytest.mark.parametrize(
    ("required", "outcome"), [({}, "1 skipped"), ({"CI": "true"}, "1 error"), ({"HOLDFAST_REQUIRE_ALL": "1"}, "1 error")]
)
def test_where_nothing_can_be_built_a_run_skips_with_the_reason_unless_all_is_required(
    tmp_path: Path, required: dict[str, str], outcome: str
) -> None:
    blocked = tmp_path / "a file where the cache folder should be"
    blocked.touch()
    optional = {name: value for name, value in os.environ.items() if name not in ("CI", "HOLDFAST_REQUIRE_ALL")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"{__file__}::{_FIRST.__name__}"],
        cwd=REPOSITORY,
        env={**optional, **required, "HOLDFAST_CACHE": str(blocked)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"{outcome} in" in done.stdout
    assert f"the control plane cannot be built here: [Errno 17] File exists: '{blocked}'" in done.stdout


_FIRST = test_the_plane_runs_the_pinned_kubernetes_version_and_is_ready


def _certificate(namespace: str, **spec: Any) -> dict[str, Any]:
    text = f"""
    apiVersion: cert-manager.io/v1
    kind: Certificate
    metadata: {{name: orders, namespace: {namespace}}}
    spec:
      secretName: orders-mtls
      issuerRef: {{name: workloads, kind: ClusterIssuer, group: cert-manager.io}}
      uris: ["{_URI}"]
      usages: [client auth, digital signature]
      privateKey: {{algorithm: ECDSA, size: 256, rotationPolicy: Always}}
    """
    certificate: dict[str, Any] = yaml.safe_load(text)
    certificate["spec"] |= spec
    return certificate


def _alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet reaped does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _eventually(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)
