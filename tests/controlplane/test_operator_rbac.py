"""The operator's role against what the operator really asked the API server, read from its audit log."""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.controlplane.cluster import OPERATOR, LocalCluster
from tests.controlplane.plane.audit import Request
from tests.controlplane.plane.plane import ControlPlane
from tools.generate_install import NAMESPACE

pytestmark = pytest.mark.controlplane

_USER = f"system:serviceaccount:{NAMESPACE}:{OPERATOR}"

_ASKED_BY_OTHERS = {
    # A SubjectAccessReview of cert-manager's webhook, when the operator sets Approved or Denied.
    ("approve", "cert-manager.io", "signers"),
    # Asked by the admission plugin OwnerReferencesPermissionEnforcement, which is on in OpenShift and off here.
    ("update", "holdfast.dev", "oauthclients/finalizers"),
}


class Permission(NamedTuple):
    """What RBAC grants and the audit log records."""

    verb: str
    group: str
    resource: str


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster whose operator has done everything that it can do. `plane` says whether one can be had at all."""
    with LocalCluster.start(tmp_path_factory.mktemp("rbac")) as running:
        _live_through_everything(running)
        yield running


def test_the_operator_was_refused_nothing(cluster: LocalCluster) -> None:
    refused = [request for request in cluster.plane.requests() if request.user == _USER and request.status == 403]

    assert refused == []


def test_the_operator_is_granted_nothing_that_it_does_not_ask_for(cluster: LocalCluster) -> None:
    deadline = time.monotonic() + 30  # the Lease is renewed every few seconds
    while unused := _granted(cluster) - _asked(cluster) - _ASKED_BY_OTHERS:
        assert time.monotonic() < deadline, f"never asked for: {sorted(unused)}"
        time.sleep(0.2)


def test_the_operator_never_read_a_secret(cluster: LocalCluster) -> None:
    asked = {permission for permission in _asked(cluster) if permission.resource.startswith("secrets")}

    assert asked == set()


def _asked(cluster: LocalCluster) -> set[Permission]:
    requests = [request for request in cluster.plane.requests() if request.user == _USER and request.resource]
    return {_permission(request, verb) for request in requests for verb in _verbs(request)}


def _verbs(request: Request) -> tuple[str, ...]:
    """A server-side apply that makes the object needs both verbs, and is recorded under one."""
    return ("patch", "create") if request.verb == "patch" and request.status == 201 else (request.verb,)


def _permission(request: Request, verb: str) -> Permission:
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    return Permission(verb, request.group, resource)


def _granted(cluster: LocalCluster) -> set[Permission]:
    roles = [
        json.loads(cluster.kubectl("get", "clusterrole", OPERATOR, "--output=json")),
        json.loads(cluster.kubectl("get", "role", OPERATOR, f"--namespace={NAMESPACE}", "--output=json")),
    ]
    return {
        Permission(verb, group, resource)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _live_through_everything(cluster: LocalCluster) -> None:
    """A policy, clients by ClusterIssuer and by Issuer, one that changes to anchors of its own, deletions."""
    cluster.kubectl("create", "namespace", "life")
    spec = {
        "certificate": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}},
        "grantTypes": ["client_credentials"],
    }
    cluster.plane.apply(
        [
            _own("MTLSPolicy", {"name": "baseline"}, {"tokens": {"maxLifetime": "15m"}}),
            _own("OAuthClient", {"name": "issued", "namespace": "life"}, spec),
        ]
    )
    _wait_ready(cluster, "issued")
    cluster.kubectl("delete", "oauthclients.holdfast.dev", "issued", "--namespace=life", "--timeout=30s")
    cluster.plane.apply([_own("OAuthClient", {"name": "issued", "namespace": "life"}, spec)])  # its Secret is still there
    _wait_ready(cluster, "issued")
    root = json.loads(cluster.kubectl("get", "secret", "plane-root", "--namespace=cert-manager", "--output=json"))
    cluster.plane.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "team-ca", "namespace": "life"},
                "type": root["type"],
                "data": root["data"],
            },
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Issuer",
                "metadata": {"name": "team", "namespace": "life"},
                "spec": {"ca": {"secretName": "team-ca"}},
            },
            _own("OAuthClient", {"name": "by-issuer", "namespace": "life"}, _by_issuer()),
        ]
    )
    _wait_ready(cluster, "by-issuer")
    _suspend(cluster, "by-issuer")
    _bring_own_anchors(cluster)
    cluster.kubectl("delete", "oauthclients.holdfast.dev", "--all", "--namespace=life", "--timeout=30s")


def _suspend(cluster: LocalCluster, name: str) -> None:
    """Of which an event tells."""
    client = f"oauthclients.holdfast.dev/{name}"
    cluster.kubectl("patch", client, "--namespace=life", "--type=merge", '--patch={"spec":{"suspend":true}}')
    reason = '--for=jsonpath={.status.conditions[?(@.type=="Ready")].reason}=Suspended'
    cluster.kubectl("wait", reason, client, "--namespace=life", "--timeout=30s")


def _by_issuer() -> dict[str, Any]:
    return {"certificate": {"issuerRef": {"name": "team", "kind": "Issuer"}}, "grantTypes": ["client_credentials"]}


def _bring_own_anchors(cluster: LocalCluster) -> None:
    """The client `issued` gives its certificate up, so its Certificate object goes."""
    published = cluster.kubectl(
        "get", "configmap", "kube-root-ca.crt", "--namespace=life", "--output=jsonpath={.data.ca\\.crt}"
    )
    spec = {
        "authentication": {
            "subject": {"dns": "orders.example.com"},
            "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}],
        },
        "grantTypes": ["client_credentials"],
    }
    cluster.plane.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "partner-ca", "namespace": "life"},
                "data": {"ca.crt": published},
            },
            _own("OAuthClient", {"name": "issued", "namespace": "life"}, spec),
        ]
    )
    cluster.kubectl("wait", "--for=delete", "certificate/issued", "--namespace=life", "--timeout=30s")
    _wait_ready(cluster, "issued")


def _own(kind: str, metadata: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _wait_ready(cluster: LocalCluster, name: str) -> None:
    client = f"oauthclients.holdfast.dev/{name}"
    cluster.kubectl("wait", "--for=condition=Ready", client, "--namespace=life", "--timeout=30s")
