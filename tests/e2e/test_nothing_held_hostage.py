"""Namespaces are pruned whatever is down, and an uninstallation leaves no object that waits for the operator.

On a cluster of its own: what these tests take away does not come back.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import OPERATOR, LocalCluster
from tests.controlplane.plane.plane import ControlPlane
from tests.core.x509.authority import Authority
from tests.denying import DNS, partner
from tests.e2e.tenant import OAUTH_CLIENT, TEN_LINES, Pair, Tenant, eventually
from tools.generate_install import NAMESPACE

pytestmark = pytest.mark.controlplane

CERT_MANAGER_KINDS = ("certificates", "certificaterequests", "issuers", "clusterissuers")


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster.start(tmp_path_factory.mktemp("hostage"), values={"operator.releaseAfter": "3"}) as running:
        yield running


@pytest.fixture
def tenant(cluster: LocalCluster, tmp_path: Path) -> Tenant:
    name = f"team-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    return Tenant(cluster, name, tmp_path)


def _finalizers(cluster: LocalCluster) -> list[str]:
    listed = json.loads(cluster.kubectl("get", OAUTH_CLIENT, "--all-namespaces", "--output=json"))["items"]
    return [finalizer for client in listed for finalizer in client["metadata"].get("finalizers", ())]


def test_a_namespace_goes_while_the_server_is_down_and_its_client_never_gets_a_token_again(tenant: Tenant) -> None:
    orders, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"
    tenant.cluster.authserver.stop()
    try:
        tenant.cluster.kubectl("delete", "namespace", tenant.namespace, "--timeout=40s")
    finally:
        tenant.cluster.authserver.start()
    answers: list[int] = []

    def refused() -> bool:
        answers.append(tenant.token(client_id, orders).status)
        return answers[-1] == 401

    eventually(lambda: tenant.token(client_id, orders).status != 0, 15, "the server is back")
    took = eventually(refused, 10, "the released client is refused")

    assert 200 not in answers
    assert took < 5, f"swept {took:.1f} s after the server's return"


def test_a_namespace_goes_while_cert_manager_is_dead_and_its_kinds_are_gone(tenant: Tenant) -> None:
    cluster, client_id = tenant.cluster, f"{tenant.namespace}.orders"
    orders = tenant.client("orders")
    cluster.plane.take_cert_manager_away(*CERT_MANAGER_KINDS)

    cluster.kubectl("delete", "namespace", tenant.namespace, "--timeout=30s")

    assert tenant.token(client_id, orders).error == "invalid_client"


def test_the_operator_works_on_without_cert_manager_for_who_brings_a_certificate(tenant: Tenant) -> None:
    """After the test above: clients and ConfigMaps need nothing of cert-manager, also in an operator that starts now."""
    root = Authority.root("CN=Partner")
    tenant.cluster.operator.kill()
    tenant.apply(partner("partner", tenant.namespace, root))
    tenant.wait_ready("partner", 30)
    issued = root.issue(dns=[DNS])
    folder = tenant.folder / "own"
    issued.write(folder)
    assert tenant.token(f"{tenant.namespace}.partner", Pair(folder)).status == 200
    tenant.delete("partner")


def test_a_cert_manager_that_comes_back_is_taken_up_by_the_operator_that_runs(tenant: Tenant) -> None:
    """After the tests above: a client that waits for an issuer, then for its certificate, goes on by itself."""
    tenant.apply(TEN_LINES.format(name="orders", namespace=tenant.namespace))
    eventually(lambda: _reason(tenant) == "IssuerNotFound", 15, "there is no issuer, whatever the reason")

    tenant.cluster.plane.bring_cert_manager_back()

    tenant.wait_ready("orders", 40)
    assert tenant.token(f"{tenant.namespace}.orders", tenant.pair("orders")).status == 200
    tenant.delete("orders")


def _reason(tenant: Tenant) -> object:
    return tenant.condition("orders", "CertificateReady").get("reason")


def test_before_an_uninstallation_every_object_is_let_go_for_good(tenant: Tenant) -> None:
    root = Authority.root("CN=Partner")
    tenant.apply(partner("partner", tenant.namespace, root))
    tenant.wait_ready("partner", 30)
    assert _finalizers(tenant.cluster) == ["holdfast.dev/registry"]

    said = _release(tenant.cluster)

    assert said.splitlines()[-1] == "1 OAuthClients were let go: they can be deleted without the operator"
    tenant.cluster.kubectl("annotate", OAUTH_CLIENT, "partner", f"--namespace={tenant.namespace}", "touched=yes")
    tenant.cluster.kubectl("wait", "--for=jsonpath={.spec.holderIdentity}", "lease", OPERATOR, f"--namespace={NAMESPACE}")
    assert _finalizers(tenant.cluster) == [], "a running operator puts none on again"
    tenant.cluster.operator.stop()
    tenant.cluster.kubectl("delete", "namespace", tenant.namespace, "--timeout=30s")


def _release(cluster: LocalCluster) -> str:
    """What the chart's hook runs, with the operator's own account."""
    account = cluster.plane.service_account_kubeconfig(NAMESPACE, OPERATOR, "release")
    command = [str(Path(sys.executable).with_name("holdfast")), "operator", "release"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    env = {**inherited, "KUBECONFIG": str(account), "HOLDFAST_LEASE_NAMESPACE": NAMESPACE, "HOLDFAST_LEASE_NAME": OPERATOR}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
