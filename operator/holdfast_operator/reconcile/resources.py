"""What the token endpoint will say to each of an accepted client's resources, told beforehand.

A refused resource does not make the client unaccepted: whatever else it asks for works, and the one who has to act may
be another (design/refused-resources.md). Pure. Neighbours: `holdfast.policy.audience` decides, here as at the token
endpoint; `observe` reads the owners from the registry.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from holdfast.api.v1alpha1.conditions import ConditionType, Reason, reason
from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.policy.audience import AudienceDecision, decide_audience
from holdfast.policy.model import EffectivePolicy
from holdfast_operator.reconcile.acceptance import ACCEPTED
from holdfast_operator.reconcile.finding import Finding, fine
from holdfast_operator.reconcile.issued import condition
from holdfast_operator.reconcile.observed import RegistrySeen
from holdfast_operator.reconcile.ports import Object

_TOLD = frozenset({Reason.RESOURCE_NOT_ALLOWED, Reason.SCOPE_NOT_ALLOWED})


def judge_resources(client: ClientMetadata, policy: EffectivePolicy, registry: RegistrySeen) -> Finding:
    """Acceptance of a client that policies accept: with or without a reservation."""
    if not client.grant_types:
        return replace(ACCEPTED, summary="the client is registered; without spec.grantTypes it asks for no tokens")
    owners = {resource: _owner(client, resource, registry.owners) for resource in client.resources}
    decided = [
        decide_audience(client, policy, resource=r, scopes=None, owner=owner, issuer=registry.endpoints.issuer)
        for r, owner in owners.items()
    ]
    if refused := {r: d.decision.message for r, d in zip(owners, decided, strict=True) if not d.decision.allowed}:
        message = f"no tokens (invalid_target): {'; '.join(refused.values())}"
        return replace(fine(Reason.RESOURCE_NOT_ALLOWED, message), summary=_summary(refused, owners))
    if lacking := [*_granting_nothing(client, decided, owners), *_granted_nowhere(client, decided)]:
        message = f"tokens without scopes: {'; '.join(lacking)}"
        summary = "the client can get tokens, but not with all of its scopes: Accepted says which"
        return replace(fine(Reason.SCOPE_NOT_ALLOWED, message), summary=summary)
    return ACCEPTED


def _summary(refused: Collection[str], resources: Collection[str]) -> str:
    if len(refused) == len(resources):
        return "the client is registered and gets no token: each of its resources is refused, Accepted says why"
    return f"the client can get tokens, but not for {', '.join(refused)}: Accepted says why"


def as_told_before(client: Object) -> Finding:
    """The acceptance of an accepted client while nobody can ask who owns its resources."""
    told = condition(client, ConditionType.ACCEPTED)
    current = told.get("observedGeneration") == client["metadata"].get("generation")
    if current and told.get("status") == "True" and told.get("reason") in _TOLD:
        return fine(reason(told["reason"]), str(told.get("message") or ""))
    return ACCEPTED


def _owner(client: ClientMetadata, resource: str, owners: Mapping[str, ClientMetadata | None]) -> ClientMetadata | None:
    """Of what is the client's own, the spec is newer than what the registry has of it."""
    if client.resource_server is not None and resource in client.resource_server.audiences:
        return client
    owner = owners.get(resource)
    return None if owner is not None and owner.owner.uid == client.owner.uid else owner


def _granting_nothing(
    client: ClientMetadata, decided: Iterable[AudienceDecision], owners: Mapping[str, ClientMetadata | None]
) -> list[str]:
    who, scopes = f"{client.owner.namespace}/{client.owner.name}", ", ".join(client.scopes)
    return [
        f"{owner.owner.namespace}/{owner.owner.name} owns {d.audience} and grants {who} none of {scopes}: its "
        "resourceServer.allowFrom has to name them there"
        for d in decided
        if client.scopes and not d.scopes and (owner := owners[d.audience]) is not None
    ]


def _granted_nowhere(client: ClientMetadata, decided: Iterable[AudienceDecision]) -> list[str]:
    """A client of two APIs has scopes of both, so one of them need not grant all; one that none grants is in vain."""
    granted = {scope for d in decided for scope in d.scopes}
    left = [scope for scope in client.scopes if scope not in granted]
    if not client.resources or not granted or not left:
        return []
    return [f"no owner of a resource grants {', '.join(left)}: one has to name them in resourceServer.allowFrom"]
