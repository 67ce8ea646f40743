"""Refused where people look first: kubectl against a real API server that asks the injector."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.controlplane.cluster import INJECTOR, LocalCluster
from tests.core.x509.authority import Authority
from tests.e2e.tenant import OAUTH_CLIENT, Tenant, eventually
from tests.operator.admission.reviewed import manifest, policy
from tools.generate_install import NAMESPACE

pytestmark = pytest.mark.controlplane

REHEARSAL = "--dry-run=server"
BY_WEBHOOK = 'admission webhook "oauthclients.validate.holdfast.dev" denied the request: '


class Said(NamedTuple):
    """What kubectl answered."""

    done: bool
    error: str


def kubectl(cluster: LocalCluster, *arguments: str, obj: object = None) -> Said:
    command = [str(cluster.plane.kubectl), f"--kubeconfig={cluster.plane.kubeconfig}", *arguments]
    env = os.environ | {"KUBECACHEDIR": str(cluster.plane.root / "kubectl-cache")}
    done = subprocess.run(command, input=json.dumps(obj), env=env, capture_output=True, text=True, check=False)
    return Said(done.returncode == 0, done.stderr)


def apply(tenant: Tenant, obj: object, *arguments: str) -> Said:
    return kubectl(tenant.cluster, "apply", "--filename=-", *arguments, obj=obj)


def refused_soon(tenant: Tenant, obj: object) -> str:
    """What a rehearsal says once the injector has heard of what was done just before."""
    said = Said(True, "")

    def refused() -> bool:
        nonlocal said
        said = apply(tenant, obj, REHEARSAL)
        return not said.done

    eventually(refused, 5, "a refusal")
    return said.error


@contextmanager
def ruled(tenant: Tenant, **spec: Any) -> Iterator[str]:
    """An MTLSPolicy for this tenant's namespace alone, while it lasts."""
    name = f"rule-{tenant.namespace}"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": tenant.namespace}}
    tenant.cluster.plane.apply([policy(name, namespaceSelector=selector, **spec)])
    try:
        yield name
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", name)


@pytest.fixture
def neighbour(tenant: Tenant) -> Iterator[Tenant]:
    """Another team."""
    name = f"other-{secrets.token_hex(4)}"
    tenant.cluster.kubectl("create", "namespace", name)
    yield replace(tenant, namespace=name)
    tenant.cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_a_client_id_that_is_taken_is_refused_and_a_rehearsal_says_the_same(tenant: Tenant) -> None:
    tenant.client("orders")
    second = manifest("second", tenant.namespace, clientId=f"{tenant.namespace}.orders")

    rehearsed, real = refused_soon(tenant, second), apply(tenant, second)

    says = f"{tenant.namespace}.orders is held by OAuthClient {tenant.namespace}/orders: choose another, in a new object"
    assert f"{BY_WEBHOOK}spec.clientId: {says}" in rehearsed
    assert real == Said(False, rehearsed)


def test_an_audience_that_is_taken_is_refused(tenant: Tenant) -> None:
    audience = f"https://billing.{tenant.namespace}.svc"
    assert apply(tenant, manifest("billing", tenant.namespace, resourceServer={"audiences": [audience]})).done
    tenant.wait_ready("billing")

    said = refused_soon(tenant, manifest("second", tenant.namespace, resourceServer={"audiences": [audience]}))

    assert f"spec.resourceServer.audiences: {audience} is owned by OAuthClient {tenant.namespace}/billing" in said


def test_a_subject_of_another_namespace_under_the_same_ca_is_refused(tenant: Tenant, neighbour: Tenant) -> None:
    pem = Authority.root("CN=partner", not_after=datetime.now(UTC) + timedelta(days=30)).pem.decode()
    for team in (tenant, neighbour):
        team.cluster.plane.apply([_config_map(team.namespace, pem)])
    anchors = [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]
    authentication = {"subject": {"dns": "api.partner.example"}, "trustAnchors": anchors}
    first, second = (
        {**manifest("api", team.namespace), "spec": {"authentication": authentication}} for team in (tenant, neighbour)
    )
    assert apply(tenant, first).done
    tenant.wait_ready("api")

    said = refused_soon(neighbour, second)

    assert "spec.authentication.subject.dns: api.partner.example is held by OAuthClient" in said
    assert f"{tenant.namespace}/api under the same CA: name another subject, or use a CA of your own" in said


def test_a_spiffe_id_of_another_namespace_is_refused_by_the_api_server_itself(tenant: Tenant) -> None:
    stolen = {"subject": {"uri": "spiffe://cluster.local/ns/kube-system/sa/admin"}}
    with tenant.cluster.webhooks_off():
        said = apply(tenant, manifest("thief", tenant.namespace, authentication=stolen))

    assert not said.done
    assert f"expected spiffe://cluster.local/ns/{tenant.namespace}/sa/" in said.error


def test_a_spiffe_id_of_its_own_passes(tenant: Tenant) -> None:
    own = {"subject": {"uri": f"spiffe://cluster.local/ns/{tenant.namespace}/sa/orders"}}

    assert apply(tenant, manifest("orders", tenant.namespace, authentication=own), REHEARSAL).done


def test_an_id_can_neither_be_changed_nor_removed_later(tenant: Tenant) -> None:
    chosen = manifest("orders", tenant.namespace, clientId=f"{tenant.namespace}.pay")
    assert apply(tenant, chosen).done

    said = apply(tenant, manifest("orders", tenant.namespace, clientId=f"{tenant.namespace}.other"))

    assert "clientId is immutable" in said.error


def test_a_policy_in_warn_makes_kubectl_print_a_warning_and_nothing_else(tenant: Tenant) -> None:
    with ruled(tenant, mode="Warn", tokens={"maxLifetime": "15m"}) as name:
        asked = manifest("orders", tenant.namespace, tokens={"lifetime": "30m"})
        warning = f"Warning: MTLSPolicy {name} (Warn): spec.tokens.lifetime: expected at most 900s, found 1800s"

        eventually(lambda: warning in apply(tenant, asked, REHEARSAL).error, 5, "a warning")
        said = apply(tenant, asked)

    assert said.done
    assert warning in said.error


def test_a_client_that_a_policy_has_come_to_refuse_is_left_alone_until_its_spec_gets_worse(tenant: Tenant) -> None:
    tenant.client("orders")
    tenant.patch("orders", {"tokens": {"lifetime": "30m"}})
    with ruled(tenant, tokens={"maxLifetime": "15m"}):
        refused_soon(tenant, manifest("second", tenant.namespace, tokens={"lifetime": "30m"}))
        where = (OAUTH_CLIENT, "orders", f"--namespace={tenant.namespace}")
        suspend = ("--type=merge", '--patch={"spec": {"suspend": true}}')
        worse = ("--type=merge", '--patch={"spec": {"tokens": {"lifetime": "1h"}}}')

        assert kubectl(tenant.cluster, "label", *where, "team=a") == Said(True, "")
        suspended = kubectl(tenant.cluster, "patch", *where, *suspend)
        assert suspended.done
        assert "Warning: LifetimeTooLong: MTLSPolicy" in suspended.error
        assert "expected at most 900s, found 3600s" in kubectl(tenant.cluster, "patch", *where, *worse).error
        eventually(
            lambda: tenant.condition("orders", "Ready").get("reason") == "LifetimeTooLong", 10, "its status is written"
        )
        tenant.delete("orders")


def test_a_policy_that_cannot_be_used_is_refused(tenant: Tenant) -> None:
    broken = policy("broken", certificates={"allowedSubjects": {"ipAddresses": ["10.0.0.0/33"]}})

    said = apply(tenant, broken)

    assert 'admission webhook "mtlspolicies.validate.holdfast.dev" denied the request: ' in said.error
    assert "spec.certificates.allowedSubjects: '10.0.0.0/33'" in said.error


def test_a_policy_that_names_an_absent_configmap_is_refused_and_its_rehearsal_only_warned_of(tenant: Tenant) -> None:
    """A pipeline rehearses the policy together with its ConfigMap, of which the API server knows nothing yet."""
    pins = policy("pins", certificates={"trustAnchors": [_absent(tenant)]})

    real, rehearsed = apply(tenant, pins), apply(tenant, pins, REHEARSAL)

    says = f"ConfigMap {tenant.namespace}/roots, which does not exist: create it"
    assert (real.done, says in real.error) == (False, True)
    assert (rehearsed.done, says in rehearsed.error) == (True, True)


def test_with_the_injector_down_only_new_specs_of_our_kinds_wait(tenant: Tenant) -> None:
    tenant.client("orders")
    where = (OAUTH_CLIENT, "orders", f"--namespace={tenant.namespace}")
    tenant.cluster.injector.stop()
    try:
        refused = apply(tenant, manifest("second", tenant.namespace))
        assert 'failed calling webhook "oauthclients.validate.holdfast.dev"' in refused.error
        assert apply(tenant, _config_map(tenant.namespace, "anything")).done
        assert kubectl(tenant.cluster, "label", *where, "team=a").done
        tenant.delete("orders")  # its finalizer is removed by an update
    finally:
        tenant.cluster.injector.start()
    eventually(lambda: apply(tenant, manifest("second", tenant.namespace)).done, 20, "the injector is back")


def test_the_injector_is_granted_what_it_asks_for_and_nothing_else(tenant: Tenant) -> None:
    """Every verb is used: its watches and listings at the start, the rest by a refusal that is looked at again."""
    tenant.client("orders")
    refused_soon(tenant, manifest("second", tenant.namespace, clientId=f"{tenant.namespace}.orders"))
    refused_soon(tenant, manifest("third", tenant.namespace, tokens={"certificateBound": False}))
    apply(tenant, policy("pins", certificates={"trustAnchors": [_absent(tenant)]}), REHEARSAL)
    user = f"system:serviceaccount:{NAMESPACE}:{INJECTOR}"
    own = [request for request in tenant.cluster.plane.requests() if request.user == user and request.resource]
    role = json.loads(tenant.cluster.kubectl("get", "clusterrole", INJECTOR, "--output=json"))

    granted = {
        (g, r, v) for rule in role["rules"] for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]
    }
    assert [request for request in own if request.status == 403] == []
    assert {(request.group, request.resource, request.verb) for request in own} == granted


def _absent(tenant: Tenant) -> dict[str, Any]:
    return {"configMapKeyRef": {"namespace": tenant.namespace, "name": "roots", "key": "ca.crt"}}


def _config_map(namespace: str, pem: str) -> dict[str, Any]:
    metadata = {"name": "partner-ca", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": pem}}
