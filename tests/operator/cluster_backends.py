"""The two places where objects live, as the conformance suite uses them: what people do there, and the port to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import yaml

from holdfast_operator.adapters.folder.cluster import FolderCluster
from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi
from holdfast_operator.reconcile.ports import Cluster, Object
from tests.controlplane.plane.plane import ControlPlane
from tests.operator.small_house import MovedClock


class Place(Protocol):
    """`namespace`: one that is this test's own."""

    cluster: Cluster
    namespace: str

    async def declare(self, obj: Object) -> None:
        """What a person does with `kubectl apply`, or with a file."""

    async def withdraw(self, obj: Object) -> None:
        """What a person does with `kubectl delete`, or by removing the file. Does not wait for finalizers."""


class FolderPlace:
    """A folder of one file per object."""

    namespace = "conformance"

    def __init__(self, root: Path) -> None:
        self._folder = root / "manifests"
        self._folder.mkdir()
        self._own = FolderCluster(self._folder, root / "data", MovedClock())
        self.cluster: Cluster = self._own

    async def declare(self, obj: Object) -> None:
        self._file(obj).write_text(yaml.safe_dump(obj))
        await self._own.refresh()

    async def withdraw(self, obj: Object) -> None:
        self._file(obj).unlink()
        await self._own.refresh()

    def _file(self, obj: Object) -> Path:
        return self._folder / f"{obj['kind']}-{obj['metadata']['name']}.yaml"


class PlanePlace:
    """A real API server, spoken to as the operator would."""

    def __init__(self, plane: ControlPlane, namespace: str, cluster: KubernetesCluster) -> None:
        self._plane, self.namespace = plane, namespace
        self.cluster: Cluster = cluster

    async def declare(self, obj: Object) -> None:
        self._plane.kubectl_run("apply", "--filename=-", input=json.dumps(obj))

    async def withdraw(self, obj: Object) -> None:
        kind, metadata = obj["kind"], obj["metadata"]
        self._plane.kubectl_run("delete", kind, metadata["name"], f"--namespace={self.namespace}", "--wait=false")


@asynccontextmanager
async def plane_place(plane: ControlPlane, namespace: str) -> AsyncIterator[PlanePlace]:
    api = await KubernetesApi.connect(plane.kubeconfig)
    try:
        yield PlanePlace(plane, namespace, KubernetesCluster(api, "conformance"))
    finally:
        await api.close()
