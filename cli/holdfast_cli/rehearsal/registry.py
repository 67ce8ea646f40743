"""The registry as it would be if every object were registered that it is told of.

Owns making records from objects. Neighbour: `plan`, which reads it as the operator reads the server's.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.registry.records import Endpoints, RegistryDescription, StoredClient
from holdfast_operator.reconcile.names import client_id_of
from holdfast_operator.reconcile.ports import Object
from holdfast_operator.reconcile.request import client_metadata, read_request
from holdfast_operator.reconcile.settings import ReconcileSettings

NOWHERE = Endpoints(issuer="", token_endpoint="", introspection_endpoint="")
"""Of a server that nobody is to go to."""


class ImaginedRegistry:
    """`records`: by client id, None: nobody's. `owners`: by audience."""

    def __init__(
        self,
        records: Mapping[str, StoredClient | None],
        owners: Mapping[str, ClientMetadata],
        endpoints: Endpoints = NOWHERE,
    ) -> None:
        self._records, self._owners, self._endpoints = records, owners, endpoints

    async def described(self) -> RegistryDescription:
        return RegistryDescription(instance="", revision=0, digest="", term=0, confirmed=True, endpoints=self._endpoints)

    async def get(self, client_id: str) -> StoredClient | None:
        return self._records.get(client_id)

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        return self._owners.get(audience)


def record(metadata: ClientMetadata) -> StoredClient:
    """As the registry would hold it."""
    return StoredClient(
        metadata=metadata, digest=metadata.digest, revision=0, updated_at=datetime.fromtimestamp(0, UTC), last_token_at=None
    )


def claim(client: Object, settings: ReconcileSettings) -> ClientMetadata | None:
    """What a client says of itself, without its trust anchors; None where it cannot be read."""
    try:
        return client_metadata(read_request(client, settings.trust_domain), (), "")
    except ValueError:
        return None


def first_holders(clients: Iterable[Object], settings: ReconcileSettings) -> dict[str, StoredClient]:
    """Who has each client id, if the first to ask for it gets it."""
    found: dict[str, StoredClient] = {}
    for client in clients:
        if client_id_of(client) not in found and (metadata := claim(client, settings)) is not None:
            found[client_id_of(client)] = record(metadata)
    return found


def first_owners(clients: Iterable[Object], settings: ReconcileSettings) -> dict[str, ClientMetadata]:
    """Whose each audience is, if the first to name it gets it."""
    found: dict[str, ClientMetadata] = {}
    for client in clients:
        metadata = claim(client, settings)
        server = metadata.resource_server if metadata else None
        for audience in server.audiences if server else ():
            found.setdefault(audience, metadata)  # type: ignore[arg-type]
    return found
