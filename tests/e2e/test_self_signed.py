"""A client that is known by a certificate which cert-manager makes and renews, on a real cluster."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import yaml

from holdfast.x509.certificate import Certificate
from tests.controlplane.plane.plane import KubectlError
from tests.e2e.conftest import VALUES
from tests.e2e.tenant import Answer, Pair, Tenant, claims, eventually

pytestmark = pytest.mark.controlplane

OVERLAP = float(VALUES["operator.rotationOverlap"])


def apply(tenant: Tenant, issuer_kind: str = "Issuer", issuer: str = "self-signed") -> None:
    """A SelfSigned issuer of the namespace, and `scout`, whose tokens live shorter than a Secret needs to arrive."""
    here = {"namespace": tenant.namespace}
    tenant.apply(yaml.safe_dump_all([
        {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "self-signed", **here},
         "spec": {"selfSigned": {}}},
        {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": {"name": "scout", **here},
         "spec": {"authentication": {"method": "self_signed_tls_client_auth"},
                  "certificate": {"issuerRef": {"name": issuer, "kind": issuer_kind}},
                  "tokens": {"lifetime": "2s"}}},
    ]))  # fmt: skip
    tenant.wait_ready("scout", 20)


def renew(tenant: Tenant) -> None:
    """As `cmctl renew` does it: not over what cert-manager has written meanwhile."""
    eventually(lambda: _asked_to_renew(tenant), 10, "the Certificate takes it")


def _asked_to_renew(tenant: Tenant) -> bool:
    found = tenant.get("scout", "certificate")
    condition = {
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by a test",
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    others = [c for c in found["status"]["conditions"] if c["type"] != "Issuing"]
    version = found["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "status": {"conditions": [*others, condition]}}
    try:
        tenant.cluster.kubectl(
            "patch", "certificate", "scout", f"--namespace={tenant.namespace}", "--subresource=status", "--type=merge",
            f"--patch={json.dumps(patch)}",
        )  # fmt: skip
    except KubectlError as error:
        if "Conflict" not in str(error):
            raise
        return False
    return True


def held(tenant: Tenant, folder: str) -> Pair:
    """The Secret's files as they are now, in a folder of their own."""
    files = tenant.pair("scout")
    kept = Pair(tenant.folder / folder)
    kept.folder.mkdir()
    for file in (files.cert, files.key):
        (kept.folder / file.name).write_bytes(file.read_bytes())
    return kept


def thumbprint(pair: Pair) -> str:
    return Certificate.from_pem(pair.cert.read_bytes()).x5t_s256


def shown(tenant: Tenant) -> str:
    """The thumbprint in the client's status."""
    return str(tenant.get("scout")["status"].get("certificate", {}).get("thumbprint"))


@contextmanager
def asking(ask: Callable[[], Answer]) -> Iterator[list[Answer]]:
    """Requests one after the other for as long as the block goes on; gives the answers."""
    answers: list[Answer] = []
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            answers.append(ask())

    workload = threading.Thread(target=work)
    workload.start()
    try:
        yield answers
    finally:
        over.set()
        workload.join()


def test_no_request_fails_while_a_certificate_is_renewed_and_the_old_one_is_refused_afterwards(tenant: Tenant) -> None:
    apply(tenant)
    client_id, old = f"{tenant.namespace}.scout", held(tenant, "old")
    using = [old]

    with asking(lambda: tenant.token(client_id, using[0])) as answers:
        renew(tenant)
        eventually(lambda: thumbprint(tenant.pair("scout")) != thumbprint(old), 20, "a new certificate in the Secret")
        new = held(tenant, "new")
        lag = eventually(lambda: shown(tenant) == thumbprint(new), 10, "it is registered")
        began = datetime.now(UTC)
        for pair in (old, new):
            token = tenant.token(client_id, pair)
            assert token.status == 200, token
            assert claims(token.body["access_token"])["cnf"] == {"x5t#S256": thumbprint(pair)}
        using[0] = new
        eventually(lambda: tenant.token(client_id, old).status == 401, OVERLAP + 5, "the old certificate is refused")
        took = (datetime.now(UTC) - began).total_seconds()

    assert {answer.status for answer in answers} == {200}
    assert lag < 2, f"registered {lag:.1f} s after it was in the Secret, which a kubelet might have seen by then"
    assert took > OVERLAP - 2, f"the old one was refused after {took:.1f} s already"
    assert tenant.token(client_id, new).status == 200
    eventually(lambda: "until" not in tenant.condition("scout", "CertificateReady")["message"], 5, "it has left")


def test_a_renewal_comes_to_its_end_without_an_operator_too(tenant: Tenant) -> None:
    apply(tenant, "ClusterIssuer", "plane-selfsigned")
    client_id, old = f"{tenant.namespace}.scout", held(tenant, "old")
    renew(tenant)
    eventually(lambda: shown(tenant) != thumbprint(old), 20, "the new certificate is registered")
    began = datetime.now(UTC)

    tenant.cluster.operator.stop()
    try:
        assert tenant.token(client_id, old).status == 200
        eventually(lambda: tenant.token(client_id, old).status == 401, OVERLAP + 5, "it ends by itself")
        took = (datetime.now(UTC) - began).total_seconds()
    finally:
        tenant.cluster.operator.start()

    assert took > OVERLAP - 2, f"the old one was refused after {took:.1f} s already"
    eventually(lambda: "until" not in tenant.condition("scout", "CertificateReady")["message"], 30, "it has left")
    assert tenant.token(client_id, held(tenant, "new")).status == 200


def test_another_clients_certificate_gets_nowhere(tenant: Tenant) -> None:
    apply(tenant)
    rogue = tenant.client("rogue")

    refused = tenant.token(f"{tenant.namespace}.scout", rogue)

    assert (refused.status, refused.error) == (401, "invalid_client")
