"""Reading one client's world through the ports, as one value.

Owns which objects a client's plan depends on, and not where they come from: in the operator that is `mirror`, as fresh as
the events and listings that feed it. Decides nothing. Neighbours: `observed`, `plan`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.registry.port import RegistryUnavailable
from holdfast.registry.records import RegistryDescription, StoredClient
from holdfast_operator.converge.concurrency import together
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.shared_anchors import SharedAnchors
from holdfast_operator.reconcile.issued import current_request
from holdfast_operator.reconcile.names import CLIENT_LABEL, References, client_id_of, references
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.ports import ClusterReads, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings


class RegistryReads(Protocol):
    """What an observation asks of the registry. Every method may raise RegistryUnavailable."""

    async def described(self) -> RegistryDescription:
        """What it says of itself, as last asked: where clients go, and how long a token lives by default."""

    async def get(self, client_id: str) -> StoredClient | None:
        """The live record."""

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        """Whose audience it is."""


async def observe(
    client: Object,
    *,
    cluster: ClusterReads,
    registry: RegistryReads,
    shared_anchors: SharedAnchors,
    policy_config_maps: PolicyConfigMaps,
    settings: ReconcileSettings,
    now: datetime,
) -> Observed:
    """Everything a plan for `client` depends on. Raises ClusterUnavailable; a registry that is away is an observation."""
    if client["metadata"].get("deletionTimestamp"):
        return Observed(client=client, now=now, settings=settings, registry=await _registry(registry, client, ()))
    namespace, refers = client["metadata"]["namespace"], references(client)
    async with together() as group:
        seen = group.create_task(_registry(registry, client, refers.resources))
        place = group.create_task(cluster.get(Kind.NAMESPACE, "", namespace))
        policies = group.create_task(_policies(cluster, policy_config_maps))
        issued = group.create_task(_issued(cluster, client, refers))
        issuer = group.create_task(_issuer(cluster, namespace, refers))
        config_maps = group.create_task(_config_maps(cluster, namespace, refers))
        shared = group.create_task(_shared(shared_anchors, refers))
    found = place.result() or {"metadata": {}}
    certificates, requests = issued.result()
    listed, policy_sources = policies.result()
    return Observed(
        client=client,
        now=now,
        settings=settings,
        registry=seen.result(),
        namespace_labels=dict(found["metadata"].get("labels") or {}),
        namespace_ends=bool(found["metadata"].get("deletionTimestamp")),
        policies=tuple(listed),
        policy_config_maps=policy_sources,
        certificates=certificates,
        requests=requests,
        issuer=issuer.result(),
        config_maps=config_maps.result(),
        shared_keys=shared.result(),
    )


async def _registry(registry: RegistryReads, client: Object, resources: Iterable[str]) -> RegistrySeen | RegistryUnreachable:
    try:
        async with together() as group:
            described = group.create_task(registry.described())
            stored = group.create_task(registry.get(client_id_of(client)))
            owners = {r: group.create_task(registry.audience_owner(r)) for r in resources}
    except RegistryUnavailable as error:
        return RegistryUnreachable(message=str(error), retry_after=error.retry_after)
    found = {resource: owner.result() for resource, owner in owners.items()}
    seen = described.result()
    return RegistrySeen(endpoints=seen.endpoints, stored=stored.result(), token_lifetime=seen.token_lifetime, owners=found)


async def _policies(
    cluster: ClusterReads, config_maps: PolicyConfigMaps
) -> tuple[Sequence[Object], dict[tuple[str, str], Object | None]]:
    listed = await cluster.list(Kind.MTLS_POLICY)
    return listed, await config_maps.of(listed)


Objects = tuple[Object, ...]


async def _issued(cluster: ClusterReads, client: Object, refers: References) -> tuple[Objects, Objects]:
    """The client's Certificate, those that may be in its way, and the request that its current revision came from."""
    namespace, name = client["metadata"]["namespace"], client["metadata"]["name"]
    own = await cluster.get(Kind.CERTIFICATE, namespace, name)
    if refers.issuer is None:
        return (() if own is None else (own,)), ()
    if own is None or (own.get("spec") or {}).get("secretName") != refers.secret_name:
        # A whole listing only before the Secret's name is taken: afterwards the client has it, and a newcomer has not.
        return tuple(await cluster.list(Kind.CERTIFICATE, namespace)), ()
    return (own,), await _requests(cluster, own)


async def _requests(cluster: ClusterReads, certificate: Object) -> Objects:
    """Two requests by the names that cert-manager gives them; where they have others, by the Certificate's labels."""
    namespace, name = certificate["metadata"]["namespace"], certificate["metadata"]["name"]
    revision = (certificate.get("status") or {}).get("revision")
    if revision is None:
        return ()
    wanted = [f"{name}-{number}" for number in (revision, revision - 1) if number > 0]
    found = await asyncio.gather(*(cluster.get(Kind.CERTIFICATE_REQUEST, namespace, each) for each in wanted))
    named = tuple(request for request in found if request is not None)
    if current_request(certificate, named) is not None:
        return named
    labelled = await cluster.list(Kind.CERTIFICATE_REQUEST, namespace, {CLIENT_LABEL: name})
    if current_request(certificate, labelled) is not None:
        return tuple(labelled)
    return tuple(await cluster.list(Kind.CERTIFICATE_REQUEST, namespace))


async def _issuer(cluster: ClusterReads, namespace: str, refers: References) -> Object | None:
    if refers.issuer is None:
        return None
    kind, name = refers.issuer
    return await cluster.get(kind, namespace if kind.namespaced else "", name)


async def _config_maps(cluster: ClusterReads, namespace: str, refers: References) -> dict[str, Object | None]:
    names = sorted(refers.config_maps)
    found = await asyncio.gather(*(cluster.get(Kind.CONFIG_MAP, namespace, name) for name in names))
    return dict(zip(names, found, strict=True))


async def _shared(shared_anchors: SharedAnchors, refers: References) -> frozenset[str]:
    """Needed only where an anchor may be written that is a ClusterIssuer's without saying so."""
    if not refers.config_maps and refers.issuer is not None and refers.issuer[0] is Kind.CLUSTER_ISSUER:
        return frozenset()
    return await shared_anchors.keys()
