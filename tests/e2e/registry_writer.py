"""Somebody with the operator's own certificate, who writes the registry by its admin API past the objects.

Owns the connection and the term that is written under: the operator's, as a careful thief would. Neighbour: `test_healing`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast_operator.adapters.admin_api import HttpRegistry
from tests.controlplane.cluster import LocalCluster

T = TypeVar("T")


class RegistryWriter:
    """Each call has a connection of its own."""

    def __init__(self, cluster: LocalCluster) -> None:
        pod, env = cluster.operator, cluster.operator.container.env
        self._files = {n: pod.path(env[f"HOLDFAST_ADMIN_{n.upper()}"]) for n in ("ca_file", "cert_file", "key_file")}
        self._url = f"https://127.0.0.1:{cluster.ports.admin}"

    def change(self, client_id: str, change: Callable[[ClientMetadata], ClientMetadata]) -> None:
        async def write(registry: HttpRegistry) -> None:
            stored = await registry.get_client(client_id)
            assert stored is not None
            await registry.put_client(change(stored.metadata), term=(await registry.describe()).term)

        self._do(write)

    def delete(self, client_id: str) -> None:
        async def write(registry: HttpRegistry) -> None:
            stored = await registry.get_client(client_id)
            assert stored is not None
            await registry.delete_client(client_id, uid=stored.metadata.owner.uid, term=(await registry.describe()).term)

        self._do(write)

    def digest(self, client_id: str) -> str:
        """Of what is registered; "": nothing is."""
        stored = self._do(lambda registry: registry.get_client(client_id))
        return "" if stored is None else stored.digest

    def _do(self, work: Callable[[HttpRegistry], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            registry = HttpRegistry(self._url, **self._files)
            try:
                return await work(registry)
            finally:
                await registry.close()

        return asyncio.run(run())
