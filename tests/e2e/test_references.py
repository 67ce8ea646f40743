"""What a client refers to comes later: it says what it waits for, and goes on by the event, long before a resync."""

import base64
import json
from typing import Any

import pytest
import yaml

from holdfast.x509.certificate import Certificate
from tests.core.x509.authority import Authority, key_pem
from tests.e2e.tenant import Pair, Tenant, eventually, without_webhooks

pytestmark = pytest.mark.controlplane

AT_ONCE = 5.0
"""Seconds for what the operator does alone; a resync comes after ten minutes."""
WITH_CERT_MANAGER = 15.0


def client(tenant: Tenant, name: str = "late", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": tenant.namespace}
    return {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": metadata, "spec": spec}


def config_map(tenant: Tenant, name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": tenant.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def policy(tenant: Tenant, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "MTLSPolicy",
        "metadata": {"name": f"late-{tenant.namespace}"},
        "spec": {"namespaceSelector": {"matchLabels": labels}, **spec},
    }


def bringing_its_own(tenant: Tenant) -> tuple[Pair, Authority]:
    """A client of a partner's CA, whose ConfigMap is not there yet; gives the pair it comes with, and the CA."""
    partner = Authority.root("CN=Partner")
    partner.issue("CN=late,O=Partner").write(tenant.folder / "late")
    anchors = [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]
    tenant.apply(
        json.dumps(client(tenant, authentication={"subject": {"dn": "CN=late,O=Partner"}, "trustAnchors": anchors}))
    )
    return Pair(tenant.folder / "late"), partner


def secret(tenant: Tenant, ca: Authority) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "team-ca", "namespace": tenant.namespace},
        "stringData": {"tls.crt": ca.pem.decode(), "tls.key": key_pem(ca.key).decode()},
    }  # fmt: skip


def issuer(tenant: Tenant) -> dict[str, Any]:
    metadata = {"name": "team", "namespace": tenant.namespace}
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": metadata,
        "spec": {"ca": {"secretName": "team-ca"}},
    }


def copied(tenant: Tenant, folder: str) -> Pair:
    files, kept = tenant.pair("late"), Pair(tenant.folder / folder)
    kept.folder.mkdir()
    for file in (files.cert, files.key):
        (kept.folder / file.name).write_bytes(file.read_bytes())
    return kept


def waits(tenant: Tenant, kind: str, reason: str, *words: str) -> None:
    """The condition says so, and GitOps tools see work in progress, no failure."""
    eventually(lambda: tenant.condition("late", kind).get("reason") == reason, 10, f"{kind} is {reason}")
    message = tenant.condition("late", kind)["message"]
    assert [word for word in ("waits for", *words) if word not in message] == []
    assert tenant.condition("late", "Reconciling").get("status") == "True"
    assert tenant.condition("late", "Stalled") == {}


def becomes_ready(tenant: Tenant, seconds: float) -> None:
    took = eventually(lambda: tenant.condition("late", "Ready").get("status") == "True", seconds + 10, "Ready")
    assert took < seconds, f"Ready after {took:.1f} s"


def named(tenant: Tenant, kind: str) -> str:
    """A client of an issuer that is not there; gives the issuer's name."""
    name = f"late-{tenant.namespace}"
    reference = {"issuerRef": {"name": name, "kind": kind}}
    method = {"method": "self_signed_tls_client_auth"}
    tenant.apply(json.dumps(client(tenant, authentication=method, certificate=reference)))
    waits(tenant, "CertificateReady", "IssuerNotFound", kind, name)
    return name


def self_signed(kind: str, **metadata: str) -> str:
    return json.dumps({"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": {"selfSigned": {}}})


def test_an_issuer_may_come_later(tenant: Tenant) -> None:
    name = named(tenant, "Issuer")

    tenant.apply(self_signed("Issuer", name=name, namespace=tenant.namespace))

    becomes_ready(tenant, WITH_CERT_MANAGER)
    assert tenant.token(f"{tenant.namespace}.late", tenant.pair("late")).status == 200


def test_a_cluster_issuer_may_come_later(tenant: Tenant) -> None:
    """Who approves its requests is another matter, so what is looked at is that the Certificate is asked for."""
    name = named(tenant, "ClusterIssuer")

    tenant.apply(self_signed("ClusterIssuer", name=name))
    try:
        took = eventually(
            lambda: tenant.condition("late", "CertificateReady")["reason"] == "CertificatePending", 10, "it is asked for"
        )
        assert took < AT_ONCE, f"{took:.1f} s"
    finally:
        tenant.cluster.kubectl("delete", "clusterissuer", name)


def test_a_config_map_and_its_key_may_come_later_and_go_and_come_again(tenant: Tenant) -> None:
    pair, partner = bringing_its_own(tenant)
    waits(tenant, "CertificateReady", "TrustAnchorNotFound", "ConfigMap partner-ca")

    tenant.apply(json.dumps(config_map(tenant, "partner-ca", other="x")))
    eventually(
        lambda: "found: other" in tenant.condition("late", "CertificateReady")["message"], AT_ONCE, "another key is seen"
    )
    waits(tenant, "CertificateReady", "TrustAnchorNotFound", "ConfigMap partner-ca, key ca.crt")

    tenant.apply(json.dumps(config_map(tenant, "partner-ca", **{"ca.crt": partner.pem.decode()})))
    becomes_ready(tenant, AT_ONCE)
    assert tenant.token(f"{tenant.namespace}.late", pair).status == 200

    tenant.cluster.kubectl("delete", "configmap", "partner-ca", f"--namespace={tenant.namespace}")
    waits(tenant, "CertificateReady", "TrustAnchorNotFound", "ConfigMap partner-ca")
    assert tenant.token(f"{tenant.namespace}.late", pair).status == 401
    tenant.apply(json.dumps(config_map(tenant, "partner-ca", **{"ca.crt": partner.pem.decode()})))
    becomes_ready(tenant, AT_ONCE)
    assert tenant.token(f"{tenant.namespace}.late", pair).status == 200


def test_a_bundle_of_trust_manager_is_followed(tenant: Tenant) -> None:
    """As trust-manager writes it: comments between the certificates, and keystores beside it in binaryData."""
    (pair, partner), former = bringing_its_own(tenant), Authority.root("CN=Former Partner")
    bundle = config_map(tenant, "partner-ca", **{"ca.crt": f"# former\n{former.pem.decode()}"})
    keystore = base64.b64encode(b"\xfe\xed\xfe\xed").decode()
    tenant.apply(json.dumps({**bundle, "binaryData": {"bundle.jks": keystore}}))
    eventually(lambda: tenant.condition("late", "Ready").get("status") == "True", 10, "Ready with the former CA")
    assert tenant.token(f"{tenant.namespace}.late", pair).status == 401

    before = tenant.get("late")["status"]["registration"]["revision"]
    bundle["data"]["ca.crt"] += f"\n# new\n{partner.pem.decode()}"
    tenant.apply(json.dumps({**bundle, "binaryData": {"bundle.jks": keystore}}))

    took = eventually(lambda: tenant.get("late")["status"]["registration"]["revision"] > before, 10, "it is registered")
    assert took < AT_ONCE, f"{took:.1f} s"
    assert tenant.token(f"{tenant.namespace}.late", pair).status == 200


def test_a_label_of_the_namespace_may_come_later(tenant: Tenant) -> None:
    _, partner = bringing_its_own(tenant)
    tenant.apply(json.dumps(config_map(tenant, "partner-ca", **{"ca.crt": partner.pem.decode()})))
    becomes_ready(tenant, 10)
    label = f"late-{tenant.namespace}"
    denying = policy(tenant, {"kubernetes.io/metadata.name": tenant.namespace}, authentication={
        "allowedMethods": ["private_key_jwt"]
    })  # fmt: skip
    denying["spec"]["namespaceSelector"]["matchExpressions"] = [{"key": label, "operator": "DoesNotExist"}]
    tenant.apply(json.dumps(denying))
    try:
        eventually(lambda: tenant.condition("late", "Accepted").get("reason") == "MethodNotAllowed", 10, "it is denied")

        tenant.cluster.kubectl("label", "namespace", tenant.namespace, f"{label}=yes")

        becomes_ready(tenant, AT_ONCE)
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", f"late-{tenant.namespace}")


def test_a_policys_config_map_may_come_later(tenant: Tenant) -> None:
    pair, partner = bringing_its_own(tenant)
    tenant.apply(json.dumps(config_map(tenant, "partner-ca", **{"ca.crt": partner.pem.decode()})))
    becomes_ready(tenant, 10)
    reference = {"configMapKeyRef": {"namespace": tenant.namespace, "name": "roots", "key": "ca.crt"}}
    pinning = policy(
        tenant,
        {"kubernetes.io/metadata.name": tenant.namespace},
        # What a policy pins is shared, so it has to say who may claim what under it.
        certificates={"trustAnchors": [reference], "allowedSubjects": {"distinguishedNames": ["O=Partner"]}},
    )
    with without_webhooks(tenant.cluster):  # they would ask for the ConfigMap first
        tenant.apply(json.dumps(pinning))
    try:
        eventually(lambda: tenant.condition("late", "Accepted").get("reason") == "PolicyNotAccepted", 10, "denied by it")
        said = json.loads(tenant.cluster.kubectl("get", "mtlsp", pinning["metadata"]["name"], "--output=json"))
        accepted = next(c for c in said["status"]["conditions"] if c["type"] == "Accepted")
        assert accepted["reason"] == "TrustAnchorNotFound"
        assert f"waits for ConfigMap {tenant.namespace}/roots" in accepted["message"]

        tenant.apply(json.dumps(config_map(tenant, "roots", **{"ca.crt": partner.pem.decode()})))

        becomes_ready(tenant, AT_ONCE)
        assert tenant.token(f"{tenant.namespace}.late", pair).status == 200
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", pinning["metadata"]["name"])


def test_an_issuer_that_gets_another_ca_takes_nobody_out_of_work(tenant: Tenant) -> None:
    """The Secret of a CA issuer is replaced; the certificate of the old CA is taken beside the one of the new."""
    cas = [Authority.root("CN=Team CA"), Authority.root("CN=Team CA")]
    tenant.apply(yaml.safe_dump_all([secret(tenant, cas[0]), issuer(tenant)]))
    tenant.apply(json.dumps(client(tenant, certificate={"issuerRef": {"name": "team", "kind": "Issuer"}})))
    becomes_ready(tenant, WITH_CERT_MANAGER)
    old, client_id = copied(tenant, "old"), f"{tenant.namespace}.late"
    assert tenant.token(client_id, old).status == 200

    tenant.apply(json.dumps(secret(tenant, cas[1])))
    # cert-manager looks at a changed Secret by itself only when the issuer is due; the certificate is asked for anew.
    tenant.patch("late", {"certificate": {"issuerRef": {"name": "team", "kind": "Issuer"}, "privateKey": {"size": 384}}})
    eventually(lambda: tenant.pair("late").cert.read_bytes() != old.cert.read_bytes(), 20, "a new certificate")
    new = Certificate.from_pem(tenant.pair("late").cert.read_bytes())
    eventually(lambda: tenant.get("late")["status"]["certificate"]["thumbprint"] == new.x5t_s256, 10, "it is registered")

    assert tenant.token(client_id, tenant.pair("late")).status == 200
    assert tenant.token(client_id, old).status == 200
    assert "the CA before is still trusted" in tenant.condition("late", "CertificateReady")["message"]
