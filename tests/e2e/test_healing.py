"""What others change, delete, kill or put back, on a real control plane: it is put right and told, and nobody gets in."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.controlplane.cluster import OPERATOR, LocalCluster
from tests.controlplane.plane.audit import Request
from tests.e2e.registry_writer import RegistryWriter
from tests.e2e.tenant import OAUTH_CLIENT, TEN_LINES, Tenant, eventually
from tools.generate_install import NAMESPACE

pytestmark = pytest.mark.controlplane

USER = f"system:serviceaccount:{NAMESPACE}:{OPERATOR}"


def told(tenant: Tenant) -> list[str]:
    """The notes of the events `DriftCorrected` in the namespace."""
    listed = tenant.cluster.kubectl("get", "events.events.k8s.io", f"--namespace={tenant.namespace}", "--output=json")
    return [e["note"] for e in json.loads(listed)["items"] if e["reason"] == "DriftCorrected"]


def corrected(tenant: Tenant, kind: str) -> float:
    """The operator's count."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{tenant.cluster.ports.operator_ops}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(rf'^holdfast_operator_drift_corrected_total{{kind="{kind}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_registration_that_is_changed_by_the_admin_api_is_put_right_within_seconds(tenant: Tenant) -> None:
    orders, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"
    writer, before = RegistryWriter(tenant.cluster), corrected(tenant, "Registration")
    digest = writer.digest(client_id)

    writer.change(client_id, lambda client: replace(client, scopes=("everything",), suspended=True))

    eventually(lambda: writer.digest(client_id) == digest, 20, "the client is as its object asks")
    eventually(lambda: tenant.token(client_id, orders).status == 200, 5, "it is served so")
    eventually(lambda: any("scopes, suspended" in note for note in told(tenant)), 5, "an event tells what was changed")
    assert corrected(tenant, "Registration") > before


def test_a_registration_that_is_deleted_by_the_admin_api_is_made_again(tenant: Tenant) -> None:
    orders, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"

    writer = RegistryWriter(tenant.cluster)
    writer.delete(client_id)

    eventually(lambda: writer.digest(client_id) != "", 20, "it is registered again")
    eventually(lambda: tenant.token(client_id, orders).status == 200, 5, "it is served again")
    eventually(lambda: any("registered again" in note for note in told(tenant)), 5, "an event tells")


Tampering = tuple[str, Callable[[Tenant], object], Callable[[Tenant], bool]]


def _patch(tenant: Tenant, resource: str, name: str, body: object, *more: str) -> object:
    patch = f"--patch={json.dumps(body)}"
    return tenant.cluster.kubectl("patch", resource, name, f"--namespace={tenant.namespace}", "--type=merge", patch, *more)


TAMPERING: dict[str, Tampering] = {
    "Certificate": (
        "changed (uris)",
        lambda t: _patch(t, "certificate", "orders", {"spec": {"uris": ["spiffe://cluster.local/ns/bank/sa/vault"]}}),
        lambda t: t.get("orders", "certificate")["spec"]["uris"] == [f"spiffe://cluster.local/ns/{t.namespace}/sa/orders"],
    ),
    "ConfigMap": (
        "the ConfigMap holdfast had been changed",
        lambda t: _patch(t, "configmap", "holdfast", {"data": {"issuer": "https://thief.test"}}),
        lambda t: t.get("holdfast", "configmap")["data"]["issuer"] == t.cluster.issuer,
    ),
    "Status": (
        "the status had been changed",
        lambda t: _patch(t, OAUTH_CLIENT, "orders", {"status": {"conditions": []}}, "--subresource=status"),
        lambda t: t.condition("orders", "Ready").get("status") == "True",
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_what_is_changed_in_the_cluster_is_put_right_at_once_and_told(tenant: Tenant, kind: str) -> None:
    note, tamper, is_right = TAMPERING[kind]
    tenant.client("orders")
    eventually(lambda: bool(tenant.get("holdfast", "configmap")), 10, "the namespace has its ConfigMap")
    before = corrected(tenant, kind)

    tamper(tenant)

    eventually(lambda: is_right(tenant), 5, "it is as it was")
    eventually(lambda: any(note in each for each in told(tenant)), 5, "an event tells")
    assert corrected(tenant, kind) > before
    tenant.wait_ready("orders", 20)


def test_a_deleted_secret_is_cert_managers_to_mend_and_the_client_goes_on_with_the_new_one(tenant: Tenant) -> None:
    orders, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"
    before = orders.cert.read_bytes()
    tenant.cluster.kubectl("delete", "secret", "orders-mtls", f"--namespace={tenant.namespace}")

    def is_new() -> bool:
        listed = tenant.cluster.kubectl("get", "secret", f"--namespace={tenant.namespace}", "--output=name")
        return "secret/orders-mtls" in listed and tenant.pair("orders").cert.read_bytes() != before

    eventually(is_new, 20, "cert-manager issues anew")
    tenant.wait_ready("orders", 20)
    assert tenant.token(client_id, tenant.pair("orders")).status == 200
    assert told(tenant) == [], "nobody but cert-manager had anything to do"


def test_an_old_backup_of_the_registry_is_brought_up_to_date_before_anybody_gets_in(tenant: Tenant) -> None:
    gone, edited = tenant.client("gone"), tenant.client("edited")
    backup = tenant.folder / "registry-backup.db"
    _registry(tenant.cluster, "backup", backup)
    tenant.delete("gone")
    tenant.patch("edited", {"scopes": ["orders.write"]})
    later = tenant.client("later")
    answers: list[int] = []

    _registry(tenant.cluster, "restore", backup)

    def served() -> bool:
        answers.append(tenant.token(f"{tenant.namespace}.gone", gone).status)
        answer = tenant.token(f"{tenant.namespace}.edited", edited, scope="orders.write")
        return answer.status == 200 and tenant.token(f"{tenant.namespace}.later", later).status == 200

    eventually(served, 20, "what was edited and made since is there")
    answers.append(tenant.token(f"{tenant.namespace}.gone", gone).status)
    assert 200 not in answers


def _registry(cluster: LocalCluster, command: str, file: Path) -> None:
    environment = os.environ | {"HOLDFAST_DATABASE_URL": f"sqlite+aiosqlite:///{cluster.registry_file}"}
    holdfast = str(Path(sys.executable).with_name("holdfast"))
    done = subprocess.run(
        [holdfast, "registry", command, str(file)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_old_backup_of_etcd_converges_to_what_it_says(tenant: Tenant) -> None:
    """Clients made since are gone and refused, the deleted one is back, an edit is undone: the objects rule."""
    cluster, ns = tenant.cluster, tenant.namespace
    back, edited = tenant.client("back"), tenant.client("edited")
    cluster.plane.back_up(tenant.folder / "etcd")
    tenant.delete("back")
    for scope in ("one", "two", "three"):
        tenant.patch("edited", {"scopes": [scope]})
    later = tenant.client("later")
    eventually(lambda: tenant.token(f"{ns}.edited", edited, scope="three").status == 200, 10, "the edit is live")

    cluster.plane.restore(tenant.folder / "etcd")
    cluster.injector.kill()

    eventually(lambda: tenant.token(f"{ns}.edited", edited, scope="orders.read").status == 200, 45, "the edit is undone")
    eventually(lambda: tenant.token(f"{ns}.later", later).status == 401, 20, "what was made since is refused")
    eventually(lambda: tenant.token(f"{ns}.back", back).status == 200, 20, "what was deleted since is back")
    assert tenant.token(f"{ns}.edited", edited, scope="three").status == 400
    assert "a backup of the cluster was restored" in cluster.operator.log
    for name in ("back", "edited"):
        tenant.wait_ready(name, 20)
    assert tenant.token(f"{ns}.new", tenant.client("new", 30)).status == 200


POINTS: dict[str, Callable[[Request], bool]] = {
    "its Certificate": lambda r: r.resource == "certificates" and not r.subresource,
    "its finalizer": lambda r: r.resource == "oauthclients" and not r.subresource,
}


def test_an_operator_that_is_killed_right_after_a_write_leaves_nothing_half_done(tenant: Tenant) -> None:
    """From outside, on seeing the write in the API server's audit log; every point in between: test_crash_points."""
    plane = tenant.cluster.plane
    for number, (what, is_it) in enumerate(POINTS.items()):
        name, offset = f"orders-{number}", plane.audit_log.stat().st_size
        tenant.apply(TEN_LINES.format(name=name, namespace=tenant.namespace))

        def written(offset: int = offset, name: str = name, is_it: Callable[[Request], bool] = is_it) -> bool:
            seen = (r for r in plane.requests(offset) if (r.user, r.name) == (USER, name) and r.is_write)
            return any(map(is_it, seen))

        eventually(written, 15, f"the operator has written {what}")
        tenant.cluster.operator.kill()
        tenant.wait_ready(name, 45)
        pair, client_id = tenant.pair(name), f"{tenant.namespace}.{name}"
        assert tenant.token(client_id, pair).status == 200
        tenant.delete(name)
        assert tenant.token(client_id, pair).error == "invalid_client"
