"""Where objects are: a cluster, or the data folder of a `holdfast dev`. Read only.

Owns opening them. Neighbours: `plan`, `export` and `policy` read.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.clock import system_clock
from holdfast_cli.rehearsal.world import bare_namespace
from holdfast_operator.adapters.folder.objects import ObjectStore
from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi
from holdfast_operator.reconcile.ports import ClusterError, ClusterReads, Key, Kind, Object

DATA_FOLDER = ".holdfast"
"""Where `holdfast dev` keeps its data if it is not told otherwise."""


class NoDevFolder(Exception):
    """The folder is not that of a `holdfast dev`; the message says what was expected."""


class DevObjects:
    """The objects of a data folder as they were when it was opened; `holdfast dev` may run meanwhile.

    A namespace is there as soon as it is used.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        found = self._store.get(Key(kind, namespace if kind.namespaced else "", name))
        return bare_namespace(name) if found is None and kind is Kind.NAMESPACE else found

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        return self._store.list(kind, namespace, labels)


def open_dev_folder(folder: Path) -> DevObjects:
    """`folder`: the data of `holdfast dev`, or the folder that has it as `.holdfast`. Raises NoDevFolder, ClusterError."""
    found = next((f for f in (folder, folder / DATA_FOLDER) if (f / "objects").is_dir()), None)
    if found is None:
        raise NoDevFolder(f"{folder}: expected the data folder of holdfast dev, which has objects/, found none")
    try:
        return DevObjects(ObjectStore(found / "objects", system_clock))
    except ClusterError:
        # A file went between the listing and the reading: the second look sees it gone.
        return DevObjects(ObjectStore(found / "objects", system_clock))


@asynccontextmanager
async def open_cluster(kubeconfig: Path | None, context: str | None) -> AsyncIterator[ClusterReads]:
    """As kubectl finds it. Raises NotConfigured."""
    api = await KubernetesApi.connect(kubeconfig, context)
    try:
        api.may_write = lambda: False
        yield KubernetesCluster(api, "holdfast")
    finally:
        await api.close()
