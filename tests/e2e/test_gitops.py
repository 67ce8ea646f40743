"""What pipelines see of our objects: no difference after a reconcile, and one word on health from every tool."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.tenant import OAUTH_CLIENT, TEN_LINES, Tenant, eventually
from tests.gitops.verdicts import GITOPS, argo_as_kstatus, flux, kstatus

pytestmark = pytest.mark.controlplane

POLICY = """\
apiVersion: holdfast.dev/v1alpha1
kind: MTLSPolicy
metadata: {{name: "{namespace}"}}
spec:
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: "{namespace}"}}}}
  tokens: {{maxLifetime: 15m}}
"""


def words(obj: dict[str, Any]) -> tuple[str, str, str]:
    return kstatus(obj), argo_as_kstatus(obj), flux(obj)


def comes_to(tenant: Tenant, name: str, word: str, resource: str = OAUTH_CLIENT) -> None:
    """All three tools, within the time that a rollout would wait."""
    eventually(lambda: words(tenant.get(name, resource)) == (word,) * 3, 15, f"{name} is {word} to every tool")


def ten_lines(tenant: Tenant, name: str, **spec: Any) -> str:
    obj = yaml.safe_load(TEN_LINES.format(name=name, namespace=tenant.namespace))
    obj["spec"] |= spec
    return yaml.safe_dump(obj)


def test_kstatus_argo_and_flux_agree_on_every_state_of_a_client(tenant: Tenant) -> None:
    tenant.apply(POLICY.format(namespace=tenant.namespace))
    try:
        comes_to(tenant, tenant.namespace, "Current", "mtlspolicies.holdfast.dev")
        tenant.apply(ten_lines(tenant, "orders"))
        comes_to(tenant, "orders", "Current")
        tenant.patch("orders", {"suspend": True})
        eventually(lambda: tenant.condition("orders", "Ready").get("reason") == "Suspended", 10, "suspended")
        comes_to(tenant, "orders", "Current")
        tenant.apply(ten_lines(tenant, "waiting", certificate={"issuerRef": {"name": "later", "kind": "Issuer"}}))
        eventually(lambda: tenant.condition("waiting", "Ready").get("reason") == "IssuerNotFound", 10, "it waits")
        comes_to(tenant, "waiting", "InProgress")
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", tenant.namespace, "--ignore-not-found")


def test_what_a_person_has_to_mend_fails_a_rollout_at_once(tenant: Tenant) -> None:
    """Found out after it was applied, so admission could not say it: a policy comes that forbids what a client has."""
    tenant.apply(ten_lines(tenant, "long", tokens={"lifetime": "30m"}))
    tenant.wait_ready("long")
    tenant.apply(POLICY.format(namespace=tenant.namespace))
    try:
        comes_to(tenant, "long", "Failed")
        assert tenant.condition("long", "Stalled")["reason"] == "LifetimeTooLong"
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", tenant.namespace, "--ignore-not-found")


def test_nothing_differs_from_what_was_applied_after_a_reconcile(tenant: Tenant) -> None:
    """Neither for a pipeline's server-side apply under its own name, nor for kubectl's own apply."""
    text = ten_lines(tenant, "orders")
    by_flux = ("--server-side", "--field-manager=kustomize-controller", "--filename=-")
    tenant.cluster.kubectl("apply", *by_flux, input=text)
    tenant.wait_ready("orders")
    assert tenant.cluster.kubectl("diff", *by_flux, input=text) == ""
    by_hand = ten_lines(tenant, "cart")
    tenant.apply(by_hand)
    tenant.wait_ready("cart")
    assert tenant.cluster.kubectl("diff", "--filename=-", input=by_hand) == ""


def test_the_operator_owns_status_and_its_finalizer_and_nothing_else(tenant: Tenant) -> None:
    """No default is written back, so whoever applies a spec owns all of it."""
    tenant.apply(ten_lines(tenant, "orders"))
    tenant.wait_ready("orders")
    said = tenant.cluster.kubectl(
        "get", OAUTH_CLIENT, "orders", f"--namespace={tenant.namespace}", "--show-managed-fields", "--output=json"
    )
    owned = [e for e in json.loads(said)["metadata"]["managedFields"] if not e["manager"].startswith("kubectl")]
    fields = {member for entry in owned for member in entry["fieldsV1"]}
    assert fields <= {"f:status", "f:metadata"}
    metadata = {member for entry in owned for member in entry["fieldsV1"].get("f:metadata", {})}
    assert metadata <= {"f:finalizers"}


def test_helm_waits_for_a_client(tenant: Tenant, tmp_path: Path) -> None:
    """Helm 4 waits by kstatus."""
    chart = tmp_path / "orders"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: orders\nversion: 1.0.0\n")
    (chart / "templates" / "client.yaml").write_text(ten_lines(tenant, "orders"))
    plane = tenant.cluster.plane
    done = subprocess.run(
        [str(plane.helm), "install", "orders", str(chart), "--wait", "--timeout=30s", f"--namespace={tenant.namespace}"],
        env=os.environ | {"KUBECONFIG": str(plane.kubeconfig), "HELM_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert tenant.condition("orders", "Ready")["status"] == "True"


def test_kustomize_carries_names_over_into_our_references(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text((GITOPS / "kustomize-name-references.yaml").read_text())
    (tmp_path / "kustomization.yaml").write_text(
        "namePrefix: eu-\nresources: [all.yaml]\nconfigurations: [names.yaml]\n"
        "configMapGenerator: [{name: partner-ca, namespace: shop, literals: [ca.crt=none]}]\n"
    )
    (tmp_path / "all.yaml").write_text(KUSTOMIZED)
    built = {
        (o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(tenant.cluster.kubectl("kustomize", str(tmp_path)))
    }
    client = built["OAuthClient", "eu-orders"]["spec"]
    generated = next(name for kind, name in built if kind == "ConfigMap")
    assert generated.startswith("eu-partner-ca-")
    assert client["authentication"]["trustAnchors"][0]["configMapKeyRef"]["name"] == generated
    assert client["serviceAccountName"] == "eu-orders"
    assert client["certificate"]["issuerRef"]["name"] == "eu-workloads"
    assert client["resourceServer"]["allowFrom"][0]["client"] == "eu-cart"
    policy = built["MTLSPolicy", "eu-baseline"]["spec"]["certificates"]
    assert policy["allowedIssuers"][0]["name"] == "eu-shared"


KUSTOMIZED = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: orders, namespace: shop}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: workloads, namespace: shop}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: shared}
spec: {selfSigned: {}}
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: cart, namespace: shop}
spec: {grantTypes: [client_credentials], certificate: {issuerRef: {name: workloads, kind: Issuer}}}
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: orders, namespace: shop}
spec:
  serviceAccountName: orders
  grantTypes: [client_credentials]
  certificate: {issuerRef: {name: workloads, kind: Issuer}}
  authentication: {trustAnchors: [{configMapKeyRef: {name: partner-ca, key: ca.crt}}]}
  resourceServer:
    audiences: ["https://orders.shop.svc"]
    allowFrom: [{namespace: shop, client: cart, scopes: [orders.read]}]
---
apiVersion: holdfast.dev/v1alpha1
kind: MTLSPolicy
metadata: {name: baseline}
spec:
  certificates:
    allowedIssuers: [{name: shared, kind: ClusterIssuer}]
"""
