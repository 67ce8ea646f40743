"""What is deleted, killed or lost, one after another, and where each has to end."""

import json

import pytest

from tests.controlplane.plane.plane import KubectlError
from tests.e2e.tenant import OAUTH_CLIENT, TEN_LINES, Tenant, eventually

pytestmark = pytest.mark.controlplane


def exists(tenant: Tenant, resource: str, name: str) -> bool:
    try:
        tenant.get(name, resource)
    except KubectlError as error:
        if "NotFound" not in str(error):
            raise
        return False
    return True


def test_a_deleted_object_ends_its_client_its_tokens_and_its_certificate(tenant: Tenant) -> None:
    orders, watcher = tenant.client("orders"), tenant.client("watcher")
    client_id = f"{tenant.namespace}.orders"
    token = tenant.token(client_id, orders).body["access_token"]
    assert tenant.introspect(client_id, orders, token).body["active"] is True
    tenant.delete("orders")
    assert tenant.token(client_id, orders).error == "invalid_client"
    assert tenant.introspect(f"{tenant.namespace}.watcher", watcher, token).body == {"active": False}
    # The garbage collector looks for kinds that are new to it every 30 s.
    eventually(lambda: not exists(tenant, "certificate", "orders"), 60, "the Certificate goes with its owner")


def test_an_object_that_is_put_back_is_ready_again_though_its_secret_never_went(tenant: Tenant) -> None:
    tenant.client("orders")
    tenant.delete("orders")
    orders = tenant.client("orders", seconds=20)
    assert tenant.token(f"{tenant.namespace}.orders", orders).status == 200
    tenant.delete("orders")
    eventually(lambda: not exists(tenant, "certificate", "orders"), 60, "the Certificate goes with its owner")
    again = tenant.client("orders", seconds=20)
    assert tenant.token(f"{tenant.namespace}.orders", again).status == 200


def test_a_deleted_namespace_is_gone_soon_and_its_clients_with_it(tenant: Tenant) -> None:
    orders = tenant.client("orders")
    tenant.cluster.kubectl("delete", "namespace", tenant.namespace, "--timeout=40s")
    assert tenant.token(f"{tenant.namespace}.orders", orders).error == "invalid_client"


def test_a_killed_operator_comes_back_and_takes_up_what_it_missed(tenant: Tenant) -> None:
    orders = tenant.client("orders")
    tenant.cluster.operator.kill()
    assert tenant.token(f"{tenant.namespace}.orders", orders).status == 200
    tenant.client("later", seconds=45)
    assert tenant.token(f"{tenant.namespace}.later", tenant.pair("later")).status == 200


def test_a_killed_server_comes_back_with_its_clients_keys_and_tokens(tenant: Tenant) -> None:
    orders, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"
    token = tenant.token(client_id, orders).body["access_token"]
    tenant.cluster.authserver.kill()
    eventually(lambda: tenant.token(client_id, orders).status == 200, 15, "tokens again after the restart")
    assert tenant.introspect(client_id, orders, token).body["active"] is True


def test_a_lost_registry_file_fills_itself_again_and_ends_all_tokens_issued_before(tenant: Tenant) -> None:
    orders, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"
    token = tenant.token(client_id, orders).body["access_token"]
    for file in tenant.cluster.registry_file.parent.glob(tenant.cluster.registry_file.name + "*"):
        file.unlink()
    inactive = {"active": False}
    eventually(lambda: tenant.introspect(client_id, orders, token).body == inactive, 20, "the old token is refused")
    eventually(lambda: _gets_an_active_token(tenant, client_id), 20, "tokens again from the refilled registry")
    assert tenant.introspect(client_id, orders, token).body == inactive


def _gets_an_active_token(tenant: Tenant, client_id: str) -> bool:
    pair = tenant.pair("orders")
    token = tenant.token(client_id, pair).body.get("access_token")
    return token is not None and tenant.introspect(client_id, pair, token).body.get("active") is True


def test_while_the_server_is_down_nothing_is_lost_and_a_released_client_is_swept_at_its_return(tenant: Tenant) -> None:
    orders, client_id = tenant.client("orders"), f"{tenant.namespace}.orders"
    tenant.cluster.authserver.stop()
    try:
        tenant.apply(TEN_LINES.format(name="late", namespace=tenant.namespace))
        eventually(
            lambda: tenant.condition("late", "Registered").get("reason") == "RegistryUnavailable",
            20,
            "the condition says why",
        )
        tenant.cluster.kubectl("delete", OAUTH_CLIENT, "orders", f"--namespace={tenant.namespace}", "--timeout=40s")
    finally:
        tenant.cluster.authserver.start()
    answers: list[int] = []

    def refused() -> bool:
        answers.append(tenant.token(client_id, orders).status)
        return answers[-1] == 401

    eventually(refused, 15, "the released client is refused")
    assert 200 not in answers
    tenant.wait_ready("late", 30)


def test_two_claimants_of_one_client_id_the_registered_one_keeps_it(tenant: Tenant) -> None:
    first = tenant.client("orders")
    taken = json.dumps({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient",
        "metadata": {"name": "claimant", "namespace": tenant.namespace},
        "spec": {"clientId": f"{tenant.namespace}.orders",
                 "certificate": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}}},
    })  # fmt: skip
    with tenant.cluster.webhooks_off():
        tenant.apply(taken)
    eventually(lambda: tenant.condition("claimant", "Ready").get("reason") == "ClientIdTaken", 15, "the conflict is shown")
    assert tenant.token(f"{tenant.namespace}.orders", first).status == 200
