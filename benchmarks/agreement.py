"""Whether registry and cluster agree: the registry is made once more, from the cluster alone, and the two are compared.

Owns the second registry, which is empty at first and filled by the operator's own reconciler, with no write to the cluster.
What it holds then is what the objects ask for, and its digest has to be that of the first. Neighbour: `chaos`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.clock import system_clock
from holdfast.registry.records import Endpoints
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_cli.places import open_cluster
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.reconcile.ports import ClusterReads, Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

_NOWHERE = Endpoints(
    issuer="https://as.test", token_endpoint="https://as.test/t", introspection_endpoint="https://as.test/i"
)


@dataclass(frozen=True)
class Rebuilt:
    """`digests`: by client id. `wished`: what a pass would have written to the cluster, where nothing should be missing."""

    digest: str
    digests: Mapping[str, str]
    wished: tuple[str, ...]


async def rebuild(kubeconfig: Path, folder: Path, settings: ReconcileSettings) -> Rebuilt:
    """`folder`: for the second registry. `settings`: the operator's."""
    keeper = await RegistryKeeper.open(f"sqlite+aiosqlite:///{folder / 'rebuilt.db'}", system_clock)
    keeper.endpoints = _NOWHERE
    try:
        async with open_cluster(kubeconfig, None) as cluster:
            untouched = Untouched(cluster)
            reconciler = Reconciler(untouched, keeper.writer, settings)
            for client in await cluster.list(Kind.OAUTH_CLIENT):
                metadata = client["metadata"]
                await reconciler.reconcile(Key(Kind.OAUTH_CLIENT, metadata["namespace"], metadata["name"]))
        found = {summary.client_id: summary.digest for summary in await keeper.writer.list_clients()}
        return Rebuilt((await keeper.writer.describe()).digest, found, tuple(untouched.wished))
    finally:
        await keeper.close()


class Untouched:
    """`holdfast_operator.reconcile.ports.Cluster` that takes no write; statuses are of the other registry, and not noted."""

    def __init__(self, reads: ClusterReads) -> None:
        self._reads = reads
        self.wished: list[str] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return await self._reads.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        return await self._reads.list(kind, namespace, labels)

    async def apply(self, kind: Kind, obj: Object) -> Object:
        self._wish("apply", kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        return obj

    async def apply_status(self, kind: Kind, obj: Object) -> Object:
        if kind is not Kind.OAUTH_CLIENT:
            self._wish("a status", kind, obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
        return obj

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._wish("delete", kind, namespace, name)

    async def set_finalizers(self, kind: Kind, obj: Object, finalizers: Sequence[str]) -> Object | None:
        self._wish(f"finalizers {list(finalizers)}", kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        return {**obj, "metadata": {**obj["metadata"], "finalizers": list(finalizers)}}

    async def record_event(self, kind: Kind, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        """Nothing: nobody is told of what is only compared."""

    def _wish(self, what: str, kind: Kind, namespace: str, name: str) -> None:
        self.wished.append(f"{kind.kind} {namespace}/{name}: {what}")
