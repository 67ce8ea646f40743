"""What a mirror answers from memory, against a real API server that others write to at the same time."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi
from holdfast_operator.converge.mirror import Mirror
from holdfast_operator.reconcile.ports import Conflict, Kind, Object
from tests.controlplane.plane.plane import ControlPlane

pytestmark = pytest.mark.controlplane

CLIENT = Kind.OAUTH_CLIENT


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    api = await KubernetesApi.connect(plane.kubeconfig)
    yield KubernetesCluster(api, "test")
    await api.close()


@pytest.fixture
async def mirror(cluster: KubernetesCluster) -> Mirror:
    mirror = Mirror(cluster)
    await mirror.refresh(CLIENT)
    return mirror


def _apply(plane: ControlPlane, namespace: str, name: str = "orders", **spec: Any) -> None:
    metadata = {"namespace": namespace, "name": name}
    written = {"certificate": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}}, **spec}
    plane.apply([{"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": metadata, "spec": written}])


async def _live(cluster: KubernetesCluster, namespace: str, name: str = "orders") -> Object:
    found = await cluster.get(CLIENT, namespace, name)
    assert found is not None
    return found


def _status(obj: Object, client_id: str) -> Object:
    metadata = {key: obj["metadata"][key] for key in ("namespace", "name")}
    status = {"observedGeneration": obj["metadata"]["generation"], "clientId": client_id}
    return {"apiVersion": CLIENT.api_version, "kind": CLIENT.kind, "metadata": metadata, "status": status}


async def test_what_was_listed_is_answered_without_a_request(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    unseen = await mirror.get(CLIENT, namespace, "orders")
    await mirror.refresh(CLIENT)

    live = await _live(cluster, namespace)
    live["metadata"].pop("managedFields")
    assert unseen is None
    assert await mirror.get(CLIENT, namespace, "orders") == live
    assert list(await mirror.list(CLIENT, namespace)) == [live]


async def test_a_kind_that_was_never_listed_is_read_live(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster
) -> None:
    _apply(plane, namespace)
    mirror = Mirror(cluster)

    found = await mirror.get(CLIENT, namespace, "orders")

    assert found is not None
    assert found["kind"] == "OAuthClient"
    assert await mirror.get(CLIENT, namespace, "nobody") is None
    assert [o["metadata"]["name"] for o in await mirror.list(CLIENT, namespace)] == ["orders"]


async def test_an_event_that_is_older_than_what_is_known_changes_nothing(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    older = await _live(cluster, namespace)
    _apply(plane, namespace, suspend=True)
    newer = await _live(cluster, namespace)

    taken = [mirror.observe(CLIENT, newer), mirror.observe(CLIENT, older), mirror.observe(CLIENT, newer)]

    assert taken == [True, False, False]
    found = await mirror.get(CLIENT, namespace, "orders")
    assert found is not None
    assert found["spec"]["suspend"] is True


async def test_a_listing_does_not_bring_back_what_was_deleted_meanwhile(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    listed = await _live(cluster, namespace)
    deleted = {
        **listed,
        "metadata": {**listed["metadata"], "resourceVersion": str(int(listed["metadata"]["resourceVersion"]) + 1)},
    }
    mirror.observe(CLIENT, listed)

    mirror.observe(CLIENT, deleted, deleted=True)

    assert not mirror.observe(CLIENT, listed)
    assert await mirror.get(CLIENT, namespace, "orders") is None


async def test_what_vanished_without_an_event_is_gone_with_the_next_listing(
    plane: ControlPlane, namespace: str, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    await mirror.refresh(CLIENT)
    plane.kubectl_run("delete", "oauthclients.holdfast.dev", "orders", f"--namespace={namespace}")
    ghost = await mirror.get(CLIENT, namespace, "orders")

    await mirror.refresh(CLIENT)

    assert ghost is not None
    assert await mirror.get(CLIENT, namespace, "orders") is None


async def test_a_write_is_known_at_once_and_its_event_is_no_news(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    await mirror.refresh(CLIENT)
    told: list[tuple[str, bool]] = []
    mirror.on_write = lambda kind, obj, foreign: told.append((obj["metadata"]["name"], foreign))

    await mirror.apply_status(CLIENT, _status(await _live(cluster, namespace), "a"))

    found = await mirror.get(CLIENT, namespace, "orders")
    assert found is not None
    assert found["status"]["clientId"] == "a"
    assert told == [("orders", False)]
    assert not mirror.observe(CLIENT, await _live(cluster, namespace))


async def test_what_somebody_else_changed_just_before_a_write_is_told(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    await mirror.refresh(CLIENT)
    told: list[bool] = []
    mirror.on_write = lambda kind, obj, foreign: told.append(foreign)
    before = await _live(cluster, namespace)
    _apply(plane, namespace, suspend=True)

    await mirror.apply_status(CLIENT, _status(before, "a"))

    assert told == [True]


async def test_a_finalizer_on_an_older_version_is_a_conflict_after_which_the_newer_is_known(
    plane: ControlPlane, namespace: str, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    await mirror.refresh(CLIENT)
    known = await mirror.get(CLIENT, namespace, "orders")
    assert known is not None
    _apply(plane, namespace, suspend=True)

    with pytest.raises(Conflict):
        await mirror.set_finalizers(CLIENT, known, ["holdfast.dev/registry"])
    found = await mirror.get(CLIENT, namespace, "orders")
    assert found is not None
    assert found["spec"]["suspend"] is True


async def test_a_ghost_that_is_written_to_is_gone(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    await mirror.refresh(CLIENT)
    status = _status(await _live(cluster, namespace), "a")
    plane.kubectl_run("delete", "oauthclients.holdfast.dev", "orders", f"--namespace={namespace}")

    with pytest.raises(Conflict):
        await mirror.apply_status(CLIENT, status)
    assert await mirror.get(CLIENT, namespace, "orders") is None


async def test_the_event_of_a_deletion_is_news_though_a_write_of_ours_was_the_last(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    held = await cluster.set_finalizers(CLIENT, await _live(cluster, namespace), ["holdfast.dev/registry"])
    plane.kubectl_run("delete", "oauthclients.holdfast.dev", "orders", f"--namespace={namespace}", "--wait=false")
    await mirror.refresh(CLIENT)
    ending = await mirror.get(CLIENT, namespace, "orders")
    assert held is not None
    assert ending is not None

    gone = await mirror.set_finalizers(CLIENT, ending, [])
    version = str(int(ending["metadata"]["resourceVersion"]) + 1)
    event = {**ending, "metadata": {**ending["metadata"], "resourceVersion": version}}

    assert gone is None
    assert await mirror.get(CLIENT, namespace, "orders") is None
    assert [mirror.observe(CLIENT, event, deleted=True), mirror.observe(CLIENT, event, deleted=True)] == [True, False]


async def test_versions_that_are_no_numbers_are_not_compared_but_read_live(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    _apply(plane, namespace)
    live = await _live(cluster, namespace)

    news = mirror.observe(CLIENT, {**live, "metadata": {**live["metadata"], "resourceVersion": "a1b2"}})

    assert news
    assert await mirror.get(CLIENT, namespace, "orders") == live


async def test_a_config_map_is_read_once_and_followed_by_its_events(
    plane: ControlPlane, namespace: str, cluster: KubernetesCluster, mirror: Mirror
) -> None:
    name = f"ca-{secrets.token_hex(3)}"
    absent = await mirror.get(Kind.CONFIG_MAP, namespace, name)
    plane.kubectl_run("create", "configmap", name, f"--namespace={namespace}", "--from-literal=ca.crt=one")
    still_absent = await mirror.get(Kind.CONFIG_MAP, namespace, name)
    live = await cluster.get(Kind.CONFIG_MAP, namespace, name)
    assert live is not None

    mirror.observe(Kind.CONFIG_MAP, live)

    assert (absent, still_absent) == (None, None)
    assert await mirror.get(Kind.CONFIG_MAP, namespace, name) == live


async def test_a_cluster_of_some_namespaces_has_no_others(plane: ControlPlane, namespace: str) -> None:
    _apply(plane, namespace)
    api = await KubernetesApi.connect(plane.kubeconfig)
    elsewhere, here = (
        KubernetesCluster(api, "test", namespaces=("default",)),
        KubernetesCluster(api, "test", namespaces=(namespace,)),
    )

    assert [o["metadata"]["name"] for o in await here.list(CLIENT)] == ["orders"]
    assert await elsewhere.list(CLIENT) == []
    assert await elsewhere.list(CLIENT, namespace) == []
    assert await elsewhere.get(Kind.CONFIG_MAP, namespace, "kube-root-ca.crt") is None
    assert await here.get(Kind.CONFIG_MAP, namespace, "kube-root-ca.crt") is not None
    assert [o["metadata"]["name"] for o in await elsewhere.list(Kind.CLUSTER_ISSUER)] != []
    await api.close()


async def test_a_renewal_tells_what_no_event_has_shown(plane: ControlPlane, namespace: str, mirror: Mirror) -> None:
    _apply(plane, namespace, "seen")
    _apply(plane, namespace, "vanished")
    await mirror.refresh(CLIENT)
    told: list[tuple[str, bool]] = []
    plane.kubectl_run("delete", "oauthclients.holdfast.dev", "vanished", f"--namespace={namespace}")
    _apply(plane, namespace, "missed")

    await mirror.refresh(CLIENT, lambda kind, obj, deleted: told.append((obj["metadata"]["name"], deleted)))

    assert {entry for entry in told if entry[0] in ("seen", "vanished", "missed")} == {("missed", False), ("vanished", True)}
