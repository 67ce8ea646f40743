"""The registry as the live objects show it: whoever's status says that it is registered has what its object claims.

Owns that picture: it needs no access to the authorization server, and does not see what somebody changed there by hand.
Neighbours: `compare`, `rehearsal.registry`.
"""

from collections import ChainMap
from collections.abc import Iterable, Mapping

from holdfast.registry.records import Endpoints, StoredClient
from holdfast_cli.planning.scene import Scene
from holdfast_cli.rehearsal.registry import NOWHERE, ImaginedRegistry, first_holders, first_owners, record
from holdfast_operator.reconcile.actions import PutClient
from holdfast_operator.reconcile.names import client_id_of, mapping
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.settings import ReconcileSettings


class LiveRecords:
    """`clients`: all that are there. `declared`: those of them, and new ones, as the manifests have them."""

    def __init__(self, clients: Iterable[Object], declared: Iterable[Object], settings: ReconcileSettings) -> None:
        self._registered = sorted((c for c in clients if is_registered(c)), key=_age)
        self._holders: dict[str, StoredClient | None] = {**first_holders(self._registered, settings)}
        after = {_name(client): client for client in declared}
        standing = [after.pop(_name(client), client) for client in self._registered]
        self._owners_before = first_owners(self._registered, settings)
        self._owners_after = first_owners([*standing, *after.values()], settings)
        self._own: dict[str, Mapping[str, StoredClient | None]] = {}
        self._endpoints = next((found for c in self._registered if (found := _endpoints(c))), NOWHERE)

    async def before(self, live: Object, scene: Scene) -> ImaginedRegistry:
        """For a client that is there, with its own registration in full."""
        return ImaginedRegistry(await self._records(live, scene), self._owners_before, self._endpoints)

    async def after(self, live: Object | None, scene: Scene) -> ImaginedRegistry:
        """The same registrations, and owners as the manifests have them. `scene`: the world before."""
        records = self._holders if live is None else await self._records(live, scene)
        return ImaginedRegistry(records, self._owners_after, self._endpoints)

    async def _records(self, live: Object, scene: Scene) -> Mapping[str, StoredClient | None]:
        """The client's own is what would be put if it had none, anchors and keys with it."""
        client_id = client_id_of(live)
        holder = self._holders.get(client_id)
        if holder is None or not _is_of(holder, live):
            return self._holders
        if client_id not in self._own:
            self._own[client_id] = ChainMap({client_id: await self._full(live, holder, scene)}, self._holders)
        return self._own[client_id]

    async def _full(self, live: Object, holder: StoredClient, scene: Scene) -> StoredClient:
        client_id = client_id_of(live)
        without = ChainMap[str, StoredClient | None]({client_id: None}, self._holders)
        standing = await scene.stand(live, ImaginedRegistry(without, self._owners_before, self._endpoints))
        put = next((action for action in standing.actions if isinstance(action, PutClient)), None)
        return holder if put is None else record(put.metadata)


def is_registered(client: Object) -> bool:
    """As its status says, also while a change of it waits for something."""
    return bool(mapping(client.get("status")).get("registration"))


def _is_of(stored: StoredClient, client: Object) -> bool:
    return (stored.metadata.owner.namespace, stored.metadata.owner.name) == _name(client)


def _name(client: Object) -> tuple[str, str]:
    return client["metadata"]["namespace"], client["metadata"]["name"]


def _age(client: Object) -> tuple[str, str, str]:
    return (str(client["metadata"].get("creationTimestamp") or ""), *_name(client))


def _endpoints(client: Object) -> Endpoints | None:
    found = mapping(mapping(client.get("status")).get("endpoints"))
    if not found:
        return None
    return Endpoints(
        issuer=str(found.get("issuer") or ""),
        token_endpoint=str(found.get("tokenEndpoint") or ""),
        introspection_endpoint=str(found.get("introspectionEndpoint") or ""),
    )
