"""A pipeline plans against a real cluster with the rights of docs/pipelines.md, and exports what is there and registered."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.dev_process import run_to_end
from tests.controlplane.cluster import LocalCluster
from tests.e2e.tenant import TEN_LINES, Tenant

pytestmark = pytest.mark.controlplane

PAGE = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text("utf-8")
POLICY = """\
apiVersion: holdfast.dev/v1alpha1
kind: MTLSPolicy
metadata: {{name: {namespace}}}
spec:
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
  tokens: {{maxLifetime: 1m}}
"""


@pytest.fixture
def pipeline(tenant: Tenant) -> Path:
    """The kubeconfig of a ServiceAccount of the tenant's namespace with the rights of the page."""
    block = next(text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "kind: ClusterRole\n" in text)
    role, binding = yaml.safe_load_all(block)
    binding["metadata"]["name"] = tenant.namespace
    binding["subjects"] = [{"kind": "ServiceAccount", "name": "pipeline", "namespace": tenant.namespace}]
    tenant.cluster.kubectl("create", "serviceaccount", "pipeline", f"--namespace={tenant.namespace}")
    for obj in (role, binding):
        tenant.apply(json.dumps(obj))
    return tenant.cluster.plane.service_account_kubeconfig(tenant.namespace, "pipeline")


def plan(tenant: Tenant, kubeconfig: Path, text: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and what was said as JSON."""
    (tenant.folder / "declared.yaml").write_text(text)
    arguments = ("plan", "declared.yaml", "--kubeconfig", str(kubeconfig), "--format", "json")
    done = run_to_end(tenant.folder, *arguments)
    assert done.returncode in (0, 1), done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, said


def test_a_plan_foretells_what_happens_and_only_reads(tenant: Tenant, pipeline: Path) -> None:
    orders = TEN_LINES.format(name="orders", namespace=tenant.namespace)
    offset = tenant.cluster.plane.audit_log.stat().st_size

    new = plan(tenant, pipeline, orders)
    tenant.client("orders")
    there = plan(tenant, pipeline, orders)
    nowhere = plan(tenant, pipeline, orders.replace(tenant.namespace, f"{tenant.namespace}-else"))
    changed = plan(tenant, pipeline, orders.replace("orders.read", "orders.write"))
    ruled = plan(tenant, pipeline, f"{orders}  tokens: {{lifetime: 5m}}\n---\n{POLICY.format(namespace=tenant.namespace)}")

    assert (new[0], new[1]["changes"][0]["effects"]) == (
        0,
        [
            "Certificate orders: have ClusterIssuer workloads issue it",
            f"registration {tenant.namespace}.orders: make once its certificate is issued",
        ],
    )
    assert (there[0], there[1]["changes"], there[1]["summary"]["unchanged"]) == (0, [], 1)
    assert (nowhere[0], nowhere[1]["changes"][0]["refusals"][0]["rule"]) == (1, "InvalidObject")
    assert changed[1]["changes"][0]["effects"] == [
        f"registration {tenant.namespace}.orders: change scope orders.read -> orders.write"
    ]
    assert (ruled[0], [r["rule"] for c in ruled[1]["changes"] for r in c["refusals"]]) == (1, ["LifetimeTooLong"])
    who = f"system:serviceaccount:{tenant.namespace}:pipeline"
    asked = [request for request in tenant.cluster.plane.requests(offset) if request.user == who]
    assert {request.verb for request in asked} == {"get", "list"}
    assert {request.status for request in asked} <= {200, 404}


def test_a_client_that_nobody_declares_follows_a_policy(tenant: Tenant, pipeline: Path) -> None:
    tenant.client("orders")

    code, said = plan(tenant, pipeline, POLICY.format(namespace=tenant.namespace))

    assert code == 0
    assert [(c["action"], c["name"]) for c in said["changes"]] == [("create", tenant.namespace), ("follow", "orders")]


def test_what_is_exported_of_objects_and_of_the_registry_lints_clean_and_changes_nothing(
    tenant: Tenant, pipeline: Path
) -> None:
    tenant.client("orders")

    of_objects = ("export", "--kubeconfig", str(pipeline), "-n", tenant.namespace, "--output", "objects.yaml")
    of_registry = ("export", "--registry", *_admin(tenant.cluster), "-n", tenant.namespace, "--output", "registry.yaml")
    for arguments in (of_objects, of_registry):
        done = run_to_end(tenant.folder, *arguments)
        assert (done.returncode, done.stderr) == (0, "")

    for file in ("objects.yaml", "registry.yaml"):
        linted = run_to_end(tenant.folder, "lint", file)
        assert linted.returncode == 0, linted.stdout
        code, said = plan(tenant, pipeline, (tenant.folder / file).read_text())
        mine = [change for change in said["changes"] if change["namespace"] == tenant.namespace]
        assert (code, mine) == (0, [])


def _admin(cluster: LocalCluster) -> tuple[str, ...]:
    """What is environment in the operator's pod, as options."""
    pod = cluster.operator
    files = {
        option: pod.path(pod.container.env[f"HOLDFAST_ADMIN_{name}"])
        for option, name in (("ca", "CA_FILE"), ("cert", "CERT_FILE"), ("key", "KEY_FILE"))
    }
    options = [word for option, file in files.items() for word in (f"--admin-{option}-file", str(file))]
    return ("--admin-url", f"https://127.0.0.1:{cluster.ports.admin}", *options, "--issuer", "workloads")
