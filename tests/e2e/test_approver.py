"""Nobody gets another's identity from the platform's issuer: tried by Certificates and bare requests, on the real thing."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.controlplane.cluster import LocalCluster
from tests.controlplane.plane import certmanager, pki
from tests.controlplane.plane.plane import KubectlError
from tests.e2e.tenant import TEN_LINES, Tenant, eventually
from tests.operator.certificate_requests import USAGES, certificate_request, csr, tampered

pytestmark = pytest.mark.controlplane

Object = dict[str, Any]
VICTIM = "spiffe://cluster.local/ns/payments/sa/ledger"


@pytest.fixture
def asks(cluster: LocalCluster, tenant: Tenant) -> "Asks":
    return Asks(cluster, tenant)


class Asks:
    """What a tenant who may create Certificates and CertificateRequests can try."""

    def __init__(self, cluster: LocalCluster, tenant: Tenant) -> None:
        self.cluster, self.tenant = cluster, tenant

    @property
    def own(self) -> str:
        return f"spiffe://cluster.local/ns/{self.tenant.namespace}/sa/orders"

    def request(self, name: str, pem: bytes, *, account: str | None = None, owner: str | None = None) -> Object:
        """A bare request, by the admin or by a ServiceAccount of the namespace, as it stands once it is decided.

        `owner`: a Certificate that it says it was made for.
        """
        owners = [] if owner is None else [self._reference(owner)]
        written = certificate_request(pem, namespace=self.tenant.namespace, name=name, username=None, owners=owners)
        written["metadata"] = {k: v for k, v in written["metadata"].items() if k in ("namespace", "name", "ownerReferences")}
        kubeconfig = None if account is None else self._account(account)
        self.cluster.plane.kubectl_run("create", "--filename=-", input=json.dumps(written), kubeconfig=kubeconfig)
        return self.decided(name)

    def certificate(self, name: str, **spec: Any) -> Object:
        """A Certificate of the shared issuer; answers its first request as it stands once it is decided."""
        wanted = {
            "secretName": f"{name}-mtls",
            "issuerRef": {"name": certmanager.ISSUER, "kind": "ClusterIssuer", "group": "cert-manager.io"},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": list(USAGES),
            "duration": "24h",
            **spec,
        }
        metadata = {"name": name, "namespace": self.tenant.namespace}
        self.cluster.plane.apply(
            [{"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "spec": wanted}]
        )
        return self.decided(f"{name}-1")

    def decided(self, name: str) -> Object:
        found: Object = {}

        def look() -> bool:
            try:
                found.update(self.tenant.get(name, "certificaterequest"))
            except KubectlError:
                return False  # cert-manager has not made it yet
            return bool(decision(found))

        eventually(look, 20, f"a decision on CertificateRequest {name}")
        return found

    def renew(self, name: str) -> Object:
        """As `cmctl renew` does it; answers the request that comes of it, as it stands once it is decided."""
        revision = self.tenant.get(name, "certificate")["status"]["revision"]
        issuing = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by the test"}
        body = json.dumps({"status": {"conditions": [issuing]}})
        self.cluster.kubectl(
            "patch", "certificate", name, f"--namespace={self.tenant.namespace}", "--subresource=status", "--type=merge",
            f"--patch={body}",
        )  # fmt: skip
        return self.decided(f"{name}-{revision + 1}")

    def _reference(self, certificate: str) -> Object:
        found = self.tenant.get(certificate, "certificate")
        written = {k: found[k] for k in ("apiVersion", "kind")} | {k: found["metadata"][k] for k in ("name", "uid")}
        return written | {"controller": True}

    def _account(self, name: str) -> Any:
        namespace = self.tenant.namespace
        self.cluster.kubectl("create", "serviceaccount", name, f"--namespace={namespace}")
        self.cluster.kubectl(
            "create", "role", name, "--verb=create", "--resource=certificaterequests.cert-manager.io",
            f"--namespace={namespace}",
        )  # fmt: skip
        self.cluster.kubectl(
            "create", "rolebinding", name, f"--role={name}", f"--serviceaccount={namespace}:{name}",
            f"--namespace={namespace}",
        )  # fmt: skip
        return self.cluster.plane.service_account_kubeconfig(namespace, name)


def decision(request: Object) -> tuple[str, str] | None:
    """`Approved` or `Denied`, and the reason."""
    found = {c["type"]: c for c in request.get("status", {}).get("conditions", ())}
    return next(((kind, found[kind]["reason"]) for kind in ("Approved", "Denied") if kind in found), None)


_THEFTS: dict[str, tuple[Callable[[str], Object], str]] = {
    "another namespace's identity": (lambda own: {"uris": [VICTIM]}, "IdentityNotAllowed"),
    "a DNS name besides its own": (lambda own: {"uris": [own], "dnsNames": ["ledger.payments.svc"]}, "NamesNotAllowed"),
    "to be a CA": (lambda own: {"uris": [own], "isCA": True}, "CANotAllowed"),
    "ten years": (lambda own: {"uris": [own], "duration": "87600h"}, "DurationNotAllowed"),
    "a server's usages": (lambda own: {"uris": [own], "usages": ["server auth", "client auth"]}, "UsagesNotAllowed"),
}


@pytest.mark.parametrize(("asked", "reason"), _THEFTS.values(), ids=_THEFTS.keys())
def test_a_certificate_that_asks_for_what_is_not_its_namespaces_is_denied_and_not_issued(
    asks: Asks, asked: Callable[[str], Object], reason: str
) -> None:
    request = asks.certificate("stolen", **asked(asks.own))

    assert decision(request) == ("Denied", reason)
    assert "certificate" not in request["status"]
    with pytest.raises(KubectlError, match="NotFound"):
        asks.tenant.get("stolen-mtls", "secret")


def test_a_bare_request_for_another_namespaces_identity_is_denied_and_its_requester_is_told(asks: Asks) -> None:
    request = asks.request("stolen", csr(uris=[VICTIM]))

    assert decision(request) == ("Denied", "IdentityNotAllowed")
    events = asks.cluster.kubectl(
        "get", "events", f"--namespace={asks.tenant.namespace}", "--field-selector=reason=CertificateRequestDenied",
        "--output=jsonpath={.items[*].message}",
    )  # fmt: skip
    assert f"expected the one URI spiffe://cluster.local/ns/{asks.tenant.namespace}/sa/*, found '{VICTIM}'" in events


def test_a_request_that_was_changed_after_it_was_signed_never_gets_in(asks: Asks) -> None:
    pem = tampered(csr(uris=[f"{asks.own}x"]), b"sa/ordersx", b"sa/ledgers")

    with pytest.raises(KubectlError, match=r"spec\.request: .* verification failure"):
        asks.request("changed", pem)


def test_a_service_account_has_its_own_identity_issued_and_not_that_of_its_neighbour(asks: Asks) -> None:
    own = asks.request("own", csr(uris=[asks.own]), account="orders")
    neighbour = asks.request("neighbour", csr(uris=[asks.own]), account="cart")

    assert decision(own) == ("Approved", "holdfast.dev")
    assert decision(neighbour) == ("Denied", "IdentityNotAllowed")


def test_what_is_the_namespaces_own_is_approved_and_issued(asks: Asks) -> None:
    asks.certificate("right", uris=[asks.own])
    asks.cluster.kubectl(
        "wait", "--for=condition=Ready", "certificate/right", f"--namespace={asks.tenant.namespace}", "--timeout=20s"
    )
    leaf = x509.load_pem_x509_certificate(asks.tenant.pair("right").cert.read_bytes())

    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [asks.own]


def test_requests_of_a_namespaces_own_issuer_are_not_ours_to_judge(asks: Asks) -> None:
    self_signed = {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "spec": {"selfSigned": {}}}
    asks.cluster.plane.apply([{**self_signed, "metadata": {"name": "own", "namespace": asks.tenant.namespace}}])
    request = asks.certificate("free", uris=[VICTIM], issuerRef={"name": "own", "kind": "Issuer"})

    assert decision(request) == ("Approved", "cert-manager.io")


def test_a_client_has_the_name_issued_that_a_policy_allows_it_and_gets_tokens_with_it(asks: Asks) -> None:
    tenant = asks.tenant
    with allowed_names(tenant, ["*.{namespace}.example"]):
        tenant.apply(_with_dns(tenant, "orders", f"orders.{tenant.namespace}.example"))
        tenant.wait_ready("orders", 20)
        request = asks.decided("orders-1")
        answer = tenant.token(f"{tenant.namespace}.orders", tenant.pair("orders"))
        # Who asks by itself may write down any owner; the client's names are for the client's Certificate.
        forged = asks.request("forged", csr(uris=[asks.own], dns=[f"orders.{tenant.namespace}.example"]), owner="orders")

    assert (decision(request), answer.status) == (("Approved", "holdfast.dev"), 200)
    assert decision(forged) == ("Denied", "NamesNotAllowed")


def test_anchors_of_its_own_do_not_let_a_client_have_the_platforms_issuer_sign_any_name(asks: Asks) -> None:
    """Under its own anchors it may be known by any name; the issuer is everybody's all the same."""
    tenant = asks.tenant
    own_ca = pki.Authority.create(tenant.folder, "partner").certificate.public_bytes(Encoding.PEM).decode()
    asks.cluster.plane.apply(
        [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "partner", "namespace": tenant.namespace},
          "data": {"ca.crt": own_ca}}]
    )  # fmt: skip
    anchors = "    trustAnchors: [{configMapKeyRef: {name: partner, key: ca.crt}}]\n"
    tenant.apply(_with_dns(tenant, "orders", "ledger.payments.svc") + anchors)

    assert decision(asks.decided("orders-1")) == ("Denied", "NamesNotAllowed")
    eventually(
        lambda: "expected no other name" in tenant.condition("orders", "CertificateReady").get("message", ""),
        20,
        "the approver's words in the client's condition",
    )
    assert tenant.condition("orders", "CertificateReady")["reason"] == "CertificateFailed"


def test_a_client_is_told_while_cert_manager_approves_past_the_approver(asks: Asks) -> None:
    tenant, plane = asks.tenant, asks.cluster.plane
    tenant.client("orders", 20)
    assert tenant.condition("orders", "IssuerUnguarded") == {}
    asks.cluster.operator.stop()
    try:
        plane.guard(on=False)
        assert decision(asks.renew("orders")) == ("Approved", "cert-manager.io")
    finally:
        plane.guard()
        asks.cluster.operator.start()
    eventually(lambda: tenant.condition("orders", "IssuerUnguarded").get("status") == "True", 30, "the warning")

    judged = asks.renew("orders")
    eventually(lambda: tenant.condition("orders", "IssuerUnguarded") == {}, 30, "the warning to go")
    assert decision(judged) == ("Approved", "holdfast.dev")


def test_the_operator_counts_what_it_decided(asks: Asks) -> None:
    asks.certificate("stolen", uris=[VICTIM])
    with httpx.Client(trust_env=False) as http:
        said = http.get(f"http://127.0.0.1:{asks.cluster.ports.operator_ops}/metrics").text

    counted = 'holdfast_operator_certificate_requests_total{decision="denied",reason="IdentityNotAllowed"}'
    assert counted in said
    assert "holdfast_operator_open_certificate_requests 0.0" in said


@contextmanager
def allowed_names(tenant: Tenant, patterns: list[str]) -> Iterator[None]:
    """A policy for this namespace alone."""
    name = f"names-{tenant.namespace}"
    spec = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.namespace}},
        "certificates": {"allowedSubjects": {"dnsNames": patterns}},
    }
    policy = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy", "metadata": {"name": name}, "spec": spec}
    tenant.cluster.plane.apply([policy])
    tenant.cluster.kubectl("wait", "--for=condition=Ready", f"mtlspolicies.holdfast.dev/{name}", "--timeout=20s")
    try:
        yield
    finally:
        tenant.cluster.kubectl("delete", "mtlspolicies.holdfast.dev", name)


def _with_dns(tenant: Tenant, name: str, dns: str) -> str:
    """The ten lines, known by a DNS name; more of `authentication` may follow."""
    lines = TEN_LINES.format(name=name, namespace=tenant.namespace)
    return f"{lines}  authentication:\n    subject: {{dns: {dns}}}\n"
