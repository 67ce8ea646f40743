"""Objects that are deleted and applied again, and what is left behind for others, from kubectl to the token endpoint."""

import pytest

from tests.e2e.tenant import TEN_LINES, Pair, Tenant, eventually

pytestmark = pytest.mark.controlplane


def _client(tenant: Tenant, name: str, **spec: str) -> str:
    return TEN_LINES.format(name=name, namespace=tenant.namespace) + "".join(f"  {k}: {v}\n" for k, v in spec.items())


def _reason(tenant: Tenant) -> object:
    return tenant.condition("orders", "Ready").get("reason")


def _active(tenant: Tenant, by: Pair, token: str) -> bool:
    return tenant.introspect(f"{tenant.namespace}.watcher", by, token).body.get("active") is True


def _watcher(tenant: Tenant) -> Pair:
    """An API of the namespace, which sees its tokens when nobody else does."""
    audience = f"https://watcher.{tenant.namespace}.svc"
    tenant.apply(_client(tenant, "watcher", resourceServer=f'{{audiences: ["{audience}"]}}'))
    tenant.wait_ready("watcher")
    return tenant.pair("watcher")


def test_the_same_file_restores_the_client_and_no_token_of_before(tenant: Tenant) -> None:
    watcher, client_id = _watcher(tenant), f"{tenant.namespace}.chosen"
    orders = _client(tenant, "orders", clientId=client_id, resources=f'["https://watcher.{tenant.namespace}.svc"]')
    tenant.apply(orders)
    tenant.wait_ready("orders")
    pair = tenant.pair("orders")
    before = tenant.token(client_id, pair).body["access_token"]
    assert _active(tenant, watcher, before)

    tenant.delete("orders")
    assert tenant.token(client_id, pair).error == "invalid_client"
    tenant.apply(orders)
    tenant.wait_ready("orders", 30)

    after = tenant.token(client_id, tenant.pair("orders"))
    assert after.status == 200, after
    assert _active(tenant, watcher, after.body["access_token"])
    assert not _active(tenant, watcher, before)


def test_an_orphan_gets_tokens_until_an_object_adopts_it_and_they_go_on(tenant: Tenant) -> None:
    watcher, client_id = _watcher(tenant), f"{tenant.namespace}.orders"
    spec = {"deletionPolicy": "Orphan", "resources": f'["https://watcher.{tenant.namespace}.svc"]'}
    tenant.apply(_client(tenant, "orders", **spec))
    tenant.wait_ready("orders")
    pair = tenant.pair("orders")

    tenant.delete("orders")
    left = tenant.token(client_id, pair)
    assert left.status == 200, left
    tenant.apply(_client(tenant, "orders", **spec))
    eventually(lambda: _reason(tenant) == "ClientIdTaken", 15, "without adoptionPolicy the orphan is left alone")
    assert tenant.token(client_id, pair).status == 200

    tenant.patch("orders", {"adoptionPolicy": "IfUnowned", "deletionPolicy": "Delete"})
    tenant.wait_ready("orders", 45)
    assert _active(tenant, watcher, left.body["access_token"])
    tenant.delete("orders")
    assert not _active(tenant, watcher, left.body["access_token"])
    assert tenant.token(client_id, pair).error == "invalid_client"
