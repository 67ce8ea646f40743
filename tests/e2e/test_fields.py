"""Single fields of an OAuthClient on a real cluster: what is written, what is told, and how soon a change counts."""

import json
import statistics
import time
from typing import Any

import pytest
import yaml

from tests.controlplane.plane.plane import KubectlError
from tests.e2e.tenant import OAUTH_CLIENT, Tenant, eventually, without_webhooks

pytestmark = pytest.mark.controlplane

MINIMAL = """\
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  certificate:
    issuerRef: {{name: workloads}}
"""


def client(tenant: Tenant, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "OAuthClient",
        "metadata": {"name": name, "namespace": tenant.namespace},
        "spec": {"certificate": {"issuerRef": {"name": "workloads"}}, **spec},
    }


def test_defaults_are_never_written_back(tenant: Tenant) -> None:
    """What the API server shows beyond the file are the schema's defaults, which it fills in for every reader alike."""
    text = MINIMAL.format(name="orders", namespace=tenant.namespace)
    tenant.cluster.kubectl("apply", "--server-side", "--field-manager=team", "--filename=-", input=text)
    stored = tenant.get("orders")["spec"]
    tenant.wait_ready("orders")
    tenant.token(f"{tenant.namespace}.orders", tenant.pair("orders"))
    eventually(lambda: bool(tenant.get("orders")["status"].get("lastTokenTime")), 30, "a status that says all")

    found = tenant.cluster.kubectl(
        "get", OAUTH_CLIENT, "orders", f"--namespace={tenant.namespace}", "--output=json", "--show-managed-fields"
    )
    obj = json.loads(found)

    assert obj["spec"] == stored
    owned = {f["manager"]: set(f["fieldsV1"]) for f in obj["metadata"]["managedFields"]}
    assert owned.pop("team") == {"f:spec"}
    assert {field for fields in owned.values() for field in fields} <= {"f:metadata", "f:status"}
    assert obj["metadata"]["generation"] == 1
    tenant.cluster.kubectl(
        "diff", "--server-side", "--field-manager=team", "--filename=-", input=text
    )  # ends with 1, and raises, where something differs


def test_the_first_token_shows_in_seconds(tenant: Tenant) -> None:
    orders = tenant.client("orders")
    assert tenant.condition("orders", "TokenIssued")["reason"] == "NoTokenYet"

    assert tenant.token(f"{tenant.namespace}.orders", orders).status == 200

    took = eventually(lambda: tenant.condition("orders", "TokenIssued")["status"] == "True", 30, "TokenIssued")
    assert took < 10, f"{took:.1f} s"
    assert tenant.get("orders")["status"]["lastTokenTime"]


def test_a_change_of_who_may_ask_counts_within_a_second(tenant: Tenant) -> None:
    audience = f"https://stock.{tenant.namespace}.svc"
    tenant.apply(json.dumps(client(tenant, "stock", resourceServer={"audiences": [audience], "allowFrom": []})))
    tenant.apply(json.dumps(client(tenant, "cart", resources=[audience])))
    for name in ("stock", "cart"):
        tenant.wait_ready(name)
    cart, client_id = tenant.pair("cart"), f"{tenant.namespace}.cart"
    allowed = [{"namespace": tenant.namespace, "client": "cart"}]
    taken = []
    for change, status in ((allowed, 200), ([], 400)) * 3:
        tenant.patch("stock", {"resourceServer": {"audiences": [audience], "allowFrom": change}})
        began = time.monotonic()
        eventually(lambda: tenant.token(client_id, cart).status == status, 10, f"tokens are answered with {status}")  # noqa: B023
        taken.append(time.monotonic() - began)

    assert statistics.median(taken) < 1, taken
    assert tenant.token(client_id, cart).error == "invalid_target"
    eventually(lambda: tenant.condition("cart", "Accepted")["reason"] == "ResourceNotAllowed", 5, "it is told")
    assert "gets no token: each of its resources is refused" in tenant.condition("cart", "Ready")["message"]


def test_a_second_claimant_of_an_audience_is_told_who_has_it(tenant: Tenant) -> None:
    claim = {"audiences": [f"https://stock.{tenant.namespace}.svc"]}
    tenant.apply(json.dumps(client(tenant, "stock", resourceServer=claim)))
    tenant.wait_ready("stock")

    with pytest.raises(KubectlError, match=f"is owned by OAuthClient {tenant.namespace}/stock"):
        tenant.apply(json.dumps(client(tenant, "rival", resourceServer=claim)))

    with without_webhooks(tenant.cluster):
        tenant.apply(json.dumps(client(tenant, "rival", resourceServer=claim)))
    eventually(lambda: tenant.condition("rival", "Accepted").get("reason") == "AudienceTaken", 15, "the conflict")
    assert f"{tenant.namespace}/stock owns it" in tenant.condition("rival", "Accepted")["message"]
    assert tenant.condition("rival", "Ready")["status"] == "False"
    assert tenant.condition("stock", "Ready")["status"] == "True"


def test_of_two_that_name_one_secret_in_one_save_one_gets_it_and_the_other_is_told(tenant: Tenant) -> None:
    both = [client(tenant, name, certificate={"issuerRef": {"name": "workloads"}, "secretName": "shared"}) for name in "ab"]
    tenant.apply(yaml.safe_dump_all(both))

    def told() -> list[tuple[str, str]]:
        found = [tenant.condition(name, "Ready") for name in "ab"]
        return sorted((c.get("status", ""), c.get("reason", "")) for c in found)

    eventually(lambda: told() == [("False", "SecretNameTaken"), ("True", "Ready")], 30, "one of them has it")
    loser = next(name for name in "ab" if tenant.condition(name, "Ready")["status"] == "False")
    winner = {"a": "b", "b": "a"}[loser]
    assert "shared" in tenant.condition(loser, "CertificateReady")["message"]
    tenant.patch(loser, {"certificate": {"issuerRef": {"name": "workloads"}, "secretName": "own"}})
    tenant.wait_ready(loser, 20)
    assert tenant.condition(winner, "Ready")["status"] == "True"
