"""Writes that are not sent when the Lease has passed on, however late that is noticed."""

from collections.abc import AsyncIterator

import pytest

from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi
from holdfast_operator.reconcile.ports import ClusterUnavailable, Kind, Object
from tests.controlplane.plane.plane import ControlPlane

pytestmark = pytest.mark.controlplane

LEASES = "/apis/coordination.k8s.io/v1/namespaces"


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[KubernetesApi]:
    api = await KubernetesApi.connect(plane.kubeconfig)
    yield api
    await api.close()


def _config_map(namespace: str) -> Object:
    metadata = {"namespace": namespace, "name": "written"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}


async def test_a_write_is_not_sent_without_the_lease(plane: ControlPlane, namespace: str, api: KubernetesApi) -> None:
    cluster, offset = KubernetesCluster(api, "test"), plane.audit_log.stat().st_size
    api.may_write = lambda: False

    with pytest.raises(ClusterUnavailable, match="was not sent: the Lease is not ours any more"):
        await cluster.apply(Kind.CONFIG_MAP, _config_map(namespace))
    with pytest.raises(ClusterUnavailable):
        await cluster.delete(Kind.CONFIG_MAP, namespace, "kube-root-ca.crt", "u1")
    await cluster.record_event(Kind.CONFIG_MAP, _config_map(namespace), warning=True, reason="R", message="m")

    assert [r for r in plane.requests(offset) if r.namespace == namespace and r.is_write and r.user == "plane-admin"] == []


async def test_reads_and_the_lease_itself_need_no_lease(namespace: str, api: KubernetesApi) -> None:
    cluster = KubernetesCluster(api, "test")
    api.may_write = lambda: False
    lease = {"metadata": {"name": "contended"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 8}}

    made = await api.call("POST", f"{LEASES}/{namespace}/leases", body=lease)

    assert made["spec"]["holderIdentity"] == "a"
    assert await cluster.get(Kind.CONFIG_MAP, namespace, "kube-root-ca.crt") is not None
    assert await cluster.list(Kind.CONFIG_MAP, namespace) != []


async def test_a_write_is_sent_once_the_lease_is_there_again(namespace: str, api: KubernetesApi) -> None:
    cluster = KubernetesCluster(api, "test")
    api.may_write = lambda: False
    with pytest.raises(ClusterUnavailable):
        await cluster.apply(Kind.CONFIG_MAP, _config_map(namespace))

    api.may_write = lambda: True
    applied = await cluster.apply(Kind.CONFIG_MAP, _config_map(namespace))

    assert applied["data"] == {"a": "b"}
