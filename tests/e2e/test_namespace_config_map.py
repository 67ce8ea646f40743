"""What an application finds in its own namespace, on a real API server: enough to get a token, and as it should be."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.controlplane.cluster import OPERATOR
from tests.core.x509.authority import Authority
from tests.denying import partner
from tests.e2e.tenant import Tenant, eventually
from tests.e2e.test_loss import exists
from tools.generate_install import NAMESPACE

pytestmark = pytest.mark.controlplane

AT_ONCE = 5.0  # seconds, on a machine that builds something else beside
NAME = "holdfast"


def _data(tenant: Tenant) -> dict[str, str]:
    if not exists(tenant, "configmap", NAME):
        return {}
    found: dict[str, str] = tenant.get(NAME, "configmap").get("data", {})
    return found


def _is_labelled(tenant: Tenant) -> bool:
    return "holdfast.dev/config" in tenant.get(NAME, "configmap")["metadata"].get("labels", {})


def _partners(tenant: Tenant, *names: str) -> None:
    """Clients that need nothing of cert-manager."""
    root = Authority.root("CN=Partner")
    for name in names:
        tenant.apply(partner(name, tenant.namespace, root))


def _kubectl(tenant: Tenant, *arguments: str) -> str:
    return tenant.cluster.kubectl(*arguments, f"--namespace={tenant.namespace}")


def test_an_application_gets_a_token_with_what_lies_in_its_namespace_alone(tenant: Tenant) -> None:
    pair = tenant.client("orders")
    config = _data(tenant)
    trust = ssl.create_default_context(cadata=config["ca.crt"])
    trust.load_cert_chain(pair.cert, pair.key)

    with httpx.Client(verify=trust, trust_env=False) as http:
        form = {"grant_type": "client_credentials", "client_id": f"{tenant.namespace}.orders"}
        answer = http.post(config["token_endpoint"], data=form)
        keys = http.get(config["jwks_uri"])

    assert (answer.status_code, keys.status_code) == (200, 200)
    assert config["issuer"] == tenant.cluster.issuer
    assert "PRIVATE KEY" not in json.dumps(config)


def test_drift_is_put_right_at_once(tenant: Tenant) -> None:
    _partners(tenant, "partner")
    eventually(lambda: exists(tenant, "configmap", NAME), 15, "the ConfigMap comes with the client")
    wanted = _data(tenant)

    _kubectl(
        tenant,
        "patch",
        "configmap",
        NAME,
        "--type=merge",
        '--patch={"data": {"issuer": "https://evil.test", "ca.crt": null}}',
    )
    eventually(lambda: _data(tenant) == wanted, AT_ONCE, "what somebody changed is put right")
    _kubectl(tenant, "label", "configmap", NAME, "holdfast.dev/config-", "app.kubernetes.io/managed-by-")
    eventually(lambda: _is_labelled(tenant), AT_ONCE, "it is ours without its label, too")
    _kubectl(tenant, "delete", "configmap", NAME)
    eventually(lambda: exists(tenant, "configmap", NAME), AT_ONCE, "what somebody deleted comes back")
    assert _data(tenant) == wanted


def test_it_is_written_once_for_all_clients_and_goes_with_the_last(tenant: Tenant) -> None:
    offset = tenant.cluster.plane.audit_log.stat().st_size
    _partners(tenant, "a", "b", "c")
    for name in ("a", "b", "c"):
        tenant.wait_ready(name, 30)
    tenant.delete("a")
    tenant.delete("b")
    assert exists(tenant, "configmap", NAME)
    tenant.delete("c")
    eventually(lambda: not exists(tenant, "configmap", NAME), 15, "it goes with the last client")

    user = f"system:serviceaccount:{NAMESPACE}:{OPERATOR}"
    own = [r for r in tenant.cluster.plane.requests(offset) if r.user == user and r.namespace == tenant.namespace]
    assert [r.verb for r in own if r.resource == "configmaps" and r.verb != "get"] == ["patch", "delete"]


def test_somebody_elses_config_map_is_left_alone_and_told_of(tenant: Tenant) -> None:
    _kubectl(tenant, "create", "configmap", NAME, "--from-literal=issuer=theirs")
    _partners(tenant, "partner")
    tenant.wait_ready("partner", 30)

    def told() -> bool:
        listed = json.loads(_kubectl(tenant, "get", "events.events.k8s.io", "--output=json"))["items"]
        return any((e["reason"], e["regarding"]["kind"]) == ("ConfigMapTaken", "ConfigMap") for e in listed)

    eventually(told, 15, "an event says so")
    assert _data(tenant) == {"issuer": "theirs"}
    _kubectl(tenant, "delete", "configmap", NAME)
    eventually(lambda: _data(tenant).get("issuer") == tenant.cluster.issuer, AT_ONCE, "out of the way, ours comes")


def test_a_new_ca_of_the_server_reaches_every_namespace(tenant: Tenant) -> None:
    _partners(tenant, "partner")
    eventually(lambda: exists(tenant, "configmap", NAME), 15, "the ConfigMap comes with the client")
    following = Authority.root("CN=The next CA of the listeners").pem.decode()

    with _ca_beside(tenant, following):
        eventually(lambda: _data(tenant)["ca.crt"].endswith(following), AT_ONCE, "both, old and new")
    eventually(lambda: following not in _data(tenant)["ca.crt"], AT_ONCE, "and the old one alone")


@contextmanager
def _ca_beside(tenant: Tenant, pem: str) -> Iterator[None]:
    """As while a CA is renewed: the mounted file has both."""
    file = tenant.cluster.operator.path("/etc/holdfast/server-ca/ca.crt")
    began, before = time.monotonic(), file.read_bytes()
    file.with_name("both").write_bytes(before + pem.encode())
    file.with_name("both").replace(file)
    try:
        yield
    finally:
        file.with_name("one").write_bytes(before)
        file.with_name("one").replace(file)
        assert time.monotonic() - began < 20, "the pod's volumes are laid again every 20 s"
