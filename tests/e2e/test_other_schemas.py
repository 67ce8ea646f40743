"""What was stored under other definitions says so itself, can be mended and deleted, and is in nobody's way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.controlplane.cluster import LocalCluster
from tests.controlplane.plane.plane import KubectlError
from tests.e2e.tenant import OAUTH_CLIENT, TEN_LINES, Tenant, eventually

pytestmark = pytest.mark.controlplane

CRD = "customresourcedefinitions.apiextensions.k8s.io/oauthclients.holdfast.dev"
METHOD = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/authentication/properties/method/enum"


@contextmanager
def a_newer_schema(cluster: LocalCluster) -> Iterator[None]:
    """With a method that this operator does not know."""
    known = json.loads(cluster.kubectl("get", CRD, "--output=json"))
    methods = _node(known, METHOD)
    _patch(cluster, [*methods, "attest_client_auth"])
    try:
        yield
    finally:
        _patch(cluster, methods)


def _patch(cluster: LocalCluster, methods: list[str]) -> None:
    change = [{"op": "replace", "path": METHOD, "value": methods}]
    cluster.kubectl("patch", CRD, "--type=json", f"--patch={json.dumps(change)}")


def _node(obj: Any, path: str) -> Any:
    for step in path.strip("/").split("/"):
        obj = obj[int(step)] if step.isdigit() else obj[step]
    return obj


def _of_a_newer_schema(tenant: Tenant, name: str) -> str:
    lines = TEN_LINES.format(name=name, namespace=tenant.namespace)
    return f"{lines}  authentication: {{method: attest_client_auth}}\n"


def _takes(tenant: Tenant, text: str) -> bool:
    try:
        tenant.apply(text)
    except KubectlError as error:
        if "Unsupported value" not in str(error):
            raise
        return False
    return True


def test_an_unknown_method_is_told_at_the_object_and_nobody_waits_for_it(cluster: LocalCluster, tenant: Tenant) -> None:
    with cluster.webhooks_off(), a_newer_schema(cluster):
        eventually(lambda: _takes(tenant, _of_a_newer_schema(tenant, "newer")), 20, "the API server knows the newer schema")

    condition = "jsonpath={.status.conditions[?(@.type=='Accepted')].reason}=InvalidSpec"
    where = (f"{OAUTH_CLIENT}/newer", f"--namespace={tenant.namespace}")
    cluster.kubectl("wait", *where, f"--for={condition}", "--timeout=20s")
    accepted = tenant.condition("newer", "Accepted")
    assert accepted["status"] == "False"
    assert "spec.authentication.method" in accepted["message"]

    tenant.client("good")

    tenant.patch("newer", {"authentication": {"method": "tls_client_auth"}})
    tenant.wait_ready("newer", 20)
    tenant.delete("newer")
