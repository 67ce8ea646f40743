"""What the cluster's own roles let people do with OAuthClients, asked of a real API server."""

import time
from collections.abc import Iterator

import pytest
import yaml

from tests.controlplane.plane.plane import ControlPlane, KubectlError
from tools import generate_install

pytestmark = pytest.mark.controlplane

_CLIENTS, _POLICIES = "oauthclients.holdfast.dev", "mtlspolicies.holdfast.dev"


@pytest.fixture(scope="module")
def roles(plane: ControlPlane) -> Iterator[None]:
    """The chart's roles for people, as the aggregation controller has taken them in."""
    rendered = generate_install.render(release="holdfast-roles", namespace="default")
    documents = [d for d in yaml.safe_load_all(rendered) if d and d["kind"] == "ClusterRole"]
    plane.apply(d for d in documents if d["metadata"]["labels"]["app.kubernetes.io/component"] == "users")
    deadline = time.monotonic() + 20
    while "oauthclients" not in plane.kubectl_run("get", "clusterrole", "view", "--output=yaml"):
        assert time.monotonic() < deadline, "the view role was not aggregated"
        time.sleep(0.1)
    yield
    plane.kubectl_run("delete", "clusterrole", *(f"holdfast-roles-{r}" for r in ("view", "edit", "admin", "policies")))


def _bound(plane: ControlPlane, namespace: str, role: str) -> str:
    """Somebody who has the role in the namespace."""
    plane.kubectl_run("create", "serviceaccount", role, f"--namespace={namespace}")
    plane.kubectl_run(
        "create",
        "rolebinding",
        role,
        f"--clusterrole={role}",
        f"--serviceaccount={namespace}:{role}",
        f"--namespace={namespace}",
    )
    return f"--as=system:serviceaccount:{namespace}:{role}"


def _may(plane: ControlPlane, who: str, verb: str, resource: str, *where: str) -> bool:
    try:
        return plane.kubectl_run("auth", "can-i", verb, resource, who, *where).strip() == "yes"
    except KubectlError:  # "no" is exit code 1
        return False


@pytest.mark.parametrize(("role", "writes"), [("view", False), ("edit", True), ("admin", True)])
def test_a_role_of_the_cluster_covers_clients_where_it_is_bound(
    plane: ControlPlane, namespace: str, roles: None, role: str, writes: bool
) -> None:
    who, here = _bound(plane, namespace, role), f"--namespace={namespace}"

    reads = [_may(plane, who, verb, _CLIENTS, here) for verb in ("get", "list", "watch")]
    changes = [_may(plane, who, v, _CLIENTS, here) for v in ("create", "update", "patch", "delete", "deletecollection")]

    assert reads == [True] * 3
    assert changes == [writes] * 5
    assert not _may(plane, who, "get", _CLIENTS, "--namespace=default")


def test_nobody_writes_policies_or_statuses_by_a_role_of_a_namespace(
    plane: ControlPlane, namespace: str, roles: None
) -> None:
    who = _bound(plane, namespace, "admin")

    assert not _may(plane, who, "create", _POLICIES)
    assert not _may(plane, who, "patch", _CLIENTS, "--subresource=status", f"--namespace={namespace}")


def test_policies_are_written_by_whom_the_role_for_them_is_bound_to(
    plane: ControlPlane, namespace: str, roles: None
) -> None:
    plane.kubectl_run("create", "serviceaccount", "platform", f"--namespace={namespace}")
    account = f"--serviceaccount={namespace}:platform"
    plane.kubectl_run("create", "clusterrolebinding", namespace, "--clusterrole=holdfast-roles-policies", account)
    who = f"--as=system:serviceaccount:{namespace}:platform"

    may = [_may(plane, who, verb, _POLICIES) for verb in ("create", "delete", "list")]

    plane.kubectl_run("delete", "clusterrolebinding", namespace)
    assert may == [True] * 3
