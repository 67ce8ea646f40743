"""One policy through its modes on a real cluster: Audit says who would break it, Warn tells the client, Enforce refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from holdfast_cli.main import main
from tests.core.x509.authority import Authority
from tests.e2e.tenant import TEN_LINES, Tenant, eventually

pytestmark = pytest.mark.controlplane

POLICY = "mtlspolicies.holdfast.dev"
TOLD = 5.0  # seconds from `kubectl` to the status on a machine that builds something else beside


@pytest.fixture
def policy(tenant: Tenant) -> Iterator[str]:
    """The name of a policy, which is the whole cluster's, and goes with the test."""
    name = f"short-{tenant.namespace}"
    yield name
    tenant.cluster.kubectl("delete", POLICY, name, "--ignore-not-found")


def text(name: str, namespace: str, mode: str) -> str:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    spec = {"mode": mode, "namespaceSelector": selector, "tokens": {"maxLifetime": "1m"}}
    return json.dumps(
        {"apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy", "metadata": {"name": name}, "spec": spec}
    )


def status_of(tenant: Tenant, policy: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(tenant.cluster.kubectl("get", POLICY, policy, "--output=json"))
    found: dict[str, Any] = said.get("status", {})
    return found


def preview(tenant: Tenant, path: Path) -> Any:
    arguments = ["policy", "preview", str(path), "--kubeconfig", str(tenant.cluster.plane.kubeconfig), "--format", "json"]
    return CliRunner().invoke(main, arguments)


def test_a_policy_tells_in_audit_warns_in_warn_and_refuses_within_a_second_of_enforce(tenant: Tenant, policy: str) -> None:
    namespace, client_id = tenant.namespace, f"{tenant.namespace}.slow"
    tenant.apply(TEN_LINES.format(name="slow", namespace=namespace) + "  tokens: {lifetime: 10m}\n")
    tenant.apply(TEN_LINES.format(name="plain", namespace=namespace))
    tenant.wait_ready("slow")
    tenant.wait_ready("plain")
    slow, plain = tenant.pair("slow"), tenant.pair("plain")
    expected = "spec.tokens.lifetime: expected at most 60s, found 600s"
    violations = {"count": 1, "first": [{"namespace": namespace, "name": "slow", "message": expected}]}

    asked = tenant.folder / "policy.yaml"
    asked.write_text(text(policy, namespace, "Audit"))
    foreseen = preview(tenant, asked)
    assert foreseen.exit_code == 1, foreseen.output
    (told,) = json.loads(foreseen.stdout)["policies"]
    assert (told["matchedClients"], told["violations"]["count"]) == (2, 1)
    assert told["violations"]["clients"][0]["breaches"] == [{"reason": "LifetimeTooLong", "message": expected}]

    tenant.apply(text(policy, namespace, "Audit"))
    eventually(lambda: status_of(tenant, policy).get("violations") == violations, TOLD, "Audit counts who would break it")
    assert status_of(tenant, policy)["matchedClients"] == 2
    before = tenant.get("slow")
    assert tenant.condition("slow", "Accepted")["reason"] == "Accepted"
    assert before["status"]["effectivePolicy"]["names"] == []
    assert tenant.token(client_id, slow).status == 200

    tenant.apply(text(policy, namespace, "Warn"))
    eventually(lambda: tenant.condition("slow", "Accepted")["reason"] == "PolicyWarning", TOLD, "Warn shows on the client")
    warned = tenant.condition("slow", "Accepted")
    assert (warned["status"], tenant.condition("slow", "Ready")["status"]) == ("True", "True")
    assert f"MTLSPolicy {policy}: {expected}" in warned["message"]
    assert tenant.condition("plain", "Accepted")["reason"] == "Accepted"
    assert tenant.get("slow")["status"]["registration"] == before["status"]["registration"], "nothing was registered anew"
    assert tenant.token(client_id, slow).status == 200

    tenant.apply(text(policy, namespace, "Enforce"))
    took = eventually(lambda: tenant.token(client_id, slow).error == "invalid_client", TOLD, "Enforce refuses the client")
    assert took < 1, f"{took:.2f} s"
    eventually(lambda: tenant.condition("slow", "Accepted")["reason"] == "LifetimeTooLong", TOLD, "and says so")
    assert tenant.condition("slow", "Accepted")["message"] == f"MTLSPolicy {policy}: {expected}"
    eventually(lambda: status_of(tenant, policy).get("violations") == violations, TOLD, "the count is the same")
    assert tenant.token(f"{namespace}.plain", plain).body["expires_in"] == 60, "a default gives way"
    shown = tenant.get("plain")["status"]["effectivePolicy"]
    assert (shown["names"], shown["maxLifetime"]) == ([policy], "60s")

    tenant.apply(text(policy, namespace, "Audit"))
    eventually(lambda: tenant.token(client_id, slow).status == 200, TOLD, "back in Audit it gets tokens again")


def test_a_preview_knows_under_which_ca_the_clients_of_a_cluster_are(tenant: Tenant) -> None:
    namespace, name = tenant.namespace, f"pins-{tenant.namespace}"
    tenant.client("orders")
    policy = json.loads(text(name, namespace, "Enforce"))
    pins = [{"configMapKeyRef": {"namespace": namespace, "name": "roots"}}]
    policy["spec"] = {**policy["spec"], "tokens": {}, "certificates": {"trustAnchors": pins}}
    asked = tenant.folder / "policy.yaml"

    def foreseen(ca: bytes) -> tuple[list[str], list[Any]]:
        metadata = {"namespace": namespace, "name": "roots"}
        roots = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": ca.decode()}}
        asked.write_text("---\n".join(json.dumps(obj) + "\n" for obj in (policy, roots)))
        done = preview(tenant, asked)
        assert done.exit_code in (0, 1), done.output
        (told,) = json.loads(done.stdout)["policies"]
        return [b["reason"] for c in told["violations"]["clients"] for b in c["breaches"]], told["unjudged"]

    assert foreseen(Authority.root("CN=foreign").pem) == (["TrustAnchorNotAllowed"], [])
    assert foreseen((tenant.folder / "orders" / "ca.crt").read_bytes()) == ([], [])
