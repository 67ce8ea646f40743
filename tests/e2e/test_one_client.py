"""One client all the way: ten lines applied, a bound token held, thieves refused."""

import json
import shutil
import time

import pytest
import yaml

from holdfast.x509.certificate import Certificate
from tests.core.x509.authority import Authority
from tests.e2e.tenant import OAUTH_CLIENT, TEN_LINES, Pair, Tenant, claims, eventually

pytestmark = pytest.mark.controlplane


def test_ten_lines_become_a_bound_token_that_another_certificate_cannot_get(tenant: Tenant) -> None:
    assert TEN_LINES.count("\n") == 10
    orders, rogue = tenant.client("orders"), tenant.client("rogue")
    answer = tenant.token(f"{tenant.namespace}.orders", orders)
    assert answer.status == 200, answer
    token = claims(answer.body["access_token"])
    assert token["cnf"] == {"x5t#S256": Certificate.from_pem(orders.cert.read_bytes()).x5t_s256}
    assert token["client_id"] == f"{tenant.namespace}.orders"
    assert token["scope"] == "orders.read"
    assert (answer.body["token_type"], token["iss"]) == ("Bearer", tenant.cluster.issuer)
    refused = tenant.token(f"{tenant.namespace}.orders", rogue)
    assert (refused.status, refused.error) == (401, "invalid_client")
    assert tenant.token(f"{tenant.namespace}.orders", None).status == 401


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
def test_curl_and_the_files_of_the_secret_are_all_that_it_takes(tenant: Tenant) -> None:
    orders, rogue, client_id = tenant.client("orders"), tenant.client("rogue"), f"{tenant.namespace}.orders"
    issued, refused = tenant.curl_token(client_id, orders), tenant.curl_token(client_id, rogue)
    thumbprint = Certificate.from_pem(orders.cert.read_bytes()).x5t_s256
    assert claims(issued.body["access_token"])["cnf"]["x5t#S256"] == thumbprint
    assert (refused.status, refused.error) == (401, "invalid_client")


def test_a_foreign_ca_with_the_same_subject_gets_nowhere(tenant: Tenant) -> None:
    tenant.client("orders")
    subject = f"spiffe://cluster.local/ns/{tenant.namespace}/sa/orders"
    foreign = Authority.root("CN=Foreign").issue("CN=orders", uris=[subject])
    foreign.write(tenant.folder / "foreign")
    refused = tenant.token(f"{tenant.namespace}.orders", Pair(tenant.folder / "foreign"))
    assert (refused.status, refused.error) == (401, "invalid_client")


def test_status_tells_all_that_the_workload_needs(tenant: Tenant) -> None:
    pair = tenant.client("orders")
    status = tenant.get("orders")["status"]
    leaf = Certificate.from_pem(pair.cert.read_bytes())
    assert status["clientId"] == f"{tenant.namespace}.orders"
    assert status["certificate"]["secretName"] == "orders-mtls"
    assert status["certificate"]["thumbprint"] == leaf.x5t_s256
    assert status["certificate"]["subject"].endswith(f"spiffe://cluster.local/ns/{tenant.namespace}/sa/orders")
    assert status["registration"]["revision"] > 0
    assert status["endpoints"]["tokenEndpoint"] == f"{tenant.cluster.mtls_issuer}/oauth2/token"
    assert status["observedGeneration"] == 1
    types = {c["type"]: c["status"] for c in status["conditions"]}
    assert {t: types[t] for t in ("Ready", "Accepted", "CertificateReady", "Registered")} == dict.fromkeys(
        ("Ready", "Accepted", "CertificateReady", "Registered"), "True"
    )
    assert "Stalled" not in types
    assert "Reconciling" not in types


def test_the_certificate_asks_for_what_a_bound_token_needs(tenant: Tenant) -> None:
    tenant.client("orders")
    spec = tenant.get("orders", "certificate")["spec"]
    assert spec["uris"] == [f"spiffe://cluster.local/ns/{tenant.namespace}/sa/orders"]
    assert sorted(spec["usages"]) == ["client auth", "digital signature"]
    assert spec["privateKey"] == {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"}


def test_a_change_is_live_in_under_two_seconds(tenant: Tenant) -> None:
    pair = tenant.client("orders")
    client_id = f"{tenant.namespace}.orders"
    token = tenant.token(client_id, pair).body["access_token"]
    tenant.patch("orders", {"suspend": True})
    took = eventually(lambda: tenant.token(client_id, pair).status == 401, 10, "a suspended client is refused")
    assert took < 2, f"{took:.1f} s"
    tenant.patch("orders", {"suspend": False, "scopes": ["orders.read", "orders.write"]})
    took = eventually(lambda: "orders.write" in tenant.token(client_id, pair).body.get("scope", ""), 10, "a new scope")
    assert took < 2, f"{took:.1f} s"
    assert tenant.introspect(client_id, pair, token).body["active"] is True


def test_an_issuer_that_does_not_exist_is_named_and_what_to_do(tenant: Tenant) -> None:
    text = TEN_LINES.format(name="orders", namespace=tenant.namespace).replace("name: workloads", "name: nowhere")
    tenant.apply(text)
    eventually(lambda: tenant.condition("orders", "CertificateReady").get("status") == "False", 10, "CertificateReady=False")
    condition = tenant.condition("orders", "CertificateReady")
    assert condition["reason"] == "IssuerNotFound"
    assert "nowhere" in condition["message"]
    assert tenant.condition("orders", "Ready")["status"] == "False"
    tenant.apply(TEN_LINES.format(name="orders", namespace=tenant.namespace))
    tenant.wait_ready("orders")


def test_a_client_may_bring_its_own_certificate_and_ca(tenant: Tenant) -> None:
    partner = Authority.root("CN=Partner")
    partner.issue("CN=billing,O=Partner").write(tenant.folder / "billing")
    tenant.apply(yaml.safe_dump_all([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "partner-ca", "namespace": tenant.namespace},
         "data": {"ca.crt": partner.pem.decode()}},
        {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient",
         "metadata": {"name": "billing", "namespace": tenant.namespace},
         "spec": {"authentication": {
             "method": "tls_client_auth", "subject": {"dn": "CN=billing,O=Partner"},
             "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]}}},
    ]))  # fmt: skip
    tenant.wait_ready("billing")
    assert tenant.token(f"{tenant.namespace}.billing", Pair(tenant.folder / "billing")).status == 200
    partner.issue("CN=other,O=Partner").write(tenant.folder / "other")
    assert tenant.token(f"{tenant.namespace}.billing", Pair(tenant.folder / "other")).status == 401


def test_a_policy_is_enforced_shown_and_lifted(tenant: Tenant) -> None:
    pair, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"
    policy = {
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy", "metadata": {"name": f"short-{tenant.namespace}"},
        "spec": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.namespace}},
                 "tokens": {"maxLifetime": "1m"}},
    }  # fmt: skip
    tenant.apply(json.dumps(policy))
    try:
        eventually(lambda: tenant.token(client_id, pair).body.get("expires_in", 999) <= 60, 5, "the default is narrowed")
        effective = tenant.get("orders")["status"]["effectivePolicy"]
        assert effective["names"] == [f"short-{tenant.namespace}"]
        with tenant.cluster.webhooks_off():
            tenant.patch("orders", {"tokens": {"lifetime": "5m"}})
        eventually(lambda: tenant.condition("orders", "Accepted").get("reason") == "LifetimeTooLong", 5, "a violation")
        assert tenant.token(client_id, pair).status in (400, 401)
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", f"short-{tenant.namespace}")
    tenant.wait_ready("orders")
    assert tenant.token(client_id, pair).body["expires_in"] == 300


def test_an_api_introspects_tokens_for_its_audience_and_says_who_may_ask(tenant: Tenant) -> None:
    namespace, audience = tenant.namespace, f"https://billing.{tenant.namespace}.svc"
    orders = TEN_LINES.format(name="orders", namespace=namespace) + f'  resources: ["{audience}"]\n'
    billing = TEN_LINES.format(name="billing", namespace=namespace) + (
        f'  resourceServer:\n    audiences: ["{audience}"]\n'
        f"    allowFrom: [{{namespace: {namespace}, client: orders, scopes: [orders.read]}}]\n"
    )
    tenant.apply(f"{billing}---\n{orders}")
    tenant.wait_ready("billing")
    tenant.wait_ready("orders")
    token = tenant.token(f"{namespace}.orders", tenant.pair("orders"), resource=audience).body["access_token"]
    assert claims(token)["aud"] == audience
    seen = tenant.introspect(f"{namespace}.billing", tenant.pair("billing"), token).body
    assert seen["active"] is True
    assert seen["cnf"] == claims(token)["cnf"]
    rogue = tenant.client("rogue")
    assert tenant.introspect(f"{namespace}.rogue", rogue, token).body == {"active": False}
    assert tenant.token(f"{namespace}.rogue", rogue, resource=audience).error == "invalid_target"


def test_a_client_is_told_of_a_refused_resource_until_its_api_is_there(tenant: Tenant) -> None:
    namespace, audience = tenant.namespace, f"https://billing.{tenant.namespace}.svc"

    def told() -> str:
        """The reason of Accepted, which is True throughout."""
        condition = tenant.condition("orders", "Accepted")
        assert condition["status"] == "True"
        return str(condition["reason"])

    tenant.apply(TEN_LINES.format(name="orders", namespace=namespace) + f'  resources: ["{audience}"]\n')
    tenant.wait_ready("orders")
    pair, client_id = tenant.pair("orders"), f"{namespace}.orders"
    assert told() == "ResourceNotAllowed"
    assert f"nobody owns {audience}" in tenant.condition("orders", "Accepted")["message"]
    assert tenant.token(client_id, pair).error == "invalid_target"

    tenant.apply(
        TEN_LINES.format(name="billing", namespace=namespace) + f'  resourceServer: {{audiences: ["{audience}"]}}\n'
    )
    tenant.wait_ready("billing")
    accepted = '--for=jsonpath={.status.conditions[?(@.type=="Accepted")].reason}=Accepted'
    tenant.cluster.kubectl("wait", accepted, f"{OAUTH_CLIENT}/orders", f"--namespace={namespace}", "--timeout=5s")
    assert claims(tenant.token(client_id, pair).body["access_token"])["aud"] == audience

    tenant.patch("billing", {"resourceServer": {"allowFrom": [{"namespace": namespace, "client": "cart", "scopes": ["x"]}]}})
    eventually(lambda: told() == "ResourceNotAllowed", 5, "the API says who may ask, and it is not this client")
    assert f"{namespace}/billing" in tenant.condition("orders", "Accepted")["message"]
    tenant.patch("billing", {"resourceServer": {"allowFrom": None}})
    eventually(lambda: told() == "Accepted", 5, "let in again")
    tenant.delete("billing")
    eventually(lambda: told() == "ResourceNotAllowed", 5, "nobody owns it any more")
    assert tenant.condition("orders", "Ready")["status"] == "True"


def test_fifty_clients_at_rest_are_not_written_to_and_no_secret_is_ever_read(tenant: Tenant) -> None:
    names = [f"client-{i:02d}" for i in range(50)]
    tenant.apply("---\n".join(TEN_LINES.format(name=name, namespace=tenant.namespace) for name in names))
    wait = ("wait", "--for=condition=Ready", OAUTH_CLIENT, "--all", f"--namespace={tenant.namespace}", "--timeout=60s")
    tenant.cluster.kubectl(*wait)
    plane, operator = tenant.cluster.plane, "system:serviceaccount:holdfast-system:holdfast-operator"
    eventually(lambda: _quiet_for(tenant, operator, 3), 30, "the operator has settled")
    begin = plane.audit_log.stat().st_size
    time.sleep(30)  # what is measured is that nothing happens
    mine = [r for r in plane.requests(begin) if r.user == operator and r.is_write and r.resource != "leases"]
    assert mine == []
    everything = [r for r in plane.requests() if r.user == operator]
    assert len(everything) > 50
    assert [r for r in everything if r.resource == "secrets"] == []
    mine = [r for r in everything if r.namespace == tenant.namespace]  # one in deletion refuses whatever is new in it
    assert [r for r in mine if r.status == 403] == []
    metadata = tenant.get("client-07")["metadata"]
    assert not [name for name in metadata.get("annotations", {}) if "kopf" in name]
    assert metadata["finalizers"] == [f for f in metadata["finalizers"] if f.startswith("holdfast.dev/")]


def _quiet_for(tenant: Tenant, user: str, seconds: float) -> bool:
    begin = tenant.cluster.plane.audit_log.stat().st_size
    time.sleep(seconds)
    return not [r for r in tenant.cluster.plane.requests(begin) if r.user == user and r.is_write and r.resource != "leases"]
