"""For which audience, and with which scopes, a token may be issued (RFC 8707 section 2).

An audience is owned by the client whose `resourceServer` names it; its `allowFrom` says who may ask. One that nobody
owns may be asked for only where a policy lists it. Pure; the registry finds the owner.
"""

from collections.abc import Iterable
from typing import NamedTuple

from holdfast.oauth.client_metadata import AllowedRequester, ClientMetadata
from holdfast.policy.decision import ALLOW, Decision, DenialReason
from holdfast.policy.evaluate import uri_allowed
from holdfast.policy.model import EffectivePolicy


class AudienceDecision(NamedTuple):
    """`scopes`: what the token may carry, in the client's order; meaningless when denied."""

    decision: Decision
    audience: str
    scopes: tuple[str, ...]


def decide_audience(
    requester: ClientMetadata,
    policy: EffectivePolicy,
    *,
    resource: str | None,
    scopes: Iterable[str] | None,
    owner: ClientMetadata | None,
    issuer: str,
) -> AudienceDecision:
    """`resource`: as requested, or the default that `default_audience` gives. `scopes`: as requested; None: all it may have.

    `owner`: the client whose audience it is. The issuer itself is an audience that everybody has.
    """
    audience = resource or default_audience(requester, issuer)
    asked = None if scopes is None else frozenset(scopes)
    wanted = tuple(s for s in requester.scopes if asked is None or s in asked)
    if audience == issuer:
        return AudienceDecision(ALLOW, audience, wanted)
    if audience not in requester.resources:
        return _deny(audience, f"resource: expected one of {_shown(requester.resources)}, found {audience}")
    if owner is None:
        return _unowned(audience, wanted, policy)
    return _owned(requester, owner, audience, wanted)


def default_audience(requester: ClientMetadata, issuer: str) -> str:
    """The client's first resource, else the issuer."""
    return requester.resources[0] if requester.resources else issuer


def _unowned(audience: str, wanted: tuple[str, ...], policy: EffectivePolicy) -> AudienceDecision:
    entries = policy.allowed_resources
    if entries and all(any(uri_allowed(audience, p) for p in entry) for entry in entries):
        return AudienceDecision(ALLOW, audience, wanted)
    listed = "every policy that sets grants.allowedResources" if entries else "a policy's grants.allowedResources"
    return _deny(audience, f"nobody owns {audience}: an API's resourceServer.audiences, or {listed}, has to name it")


def _owned(requester: ClientMetadata, owner: ClientMetadata, audience: str, wanted: tuple[str, ...]) -> AudienceDecision:
    who, whose = (f"{c.owner.namespace}/{c.owner.name}" for c in (requester, owner))
    assert owner.resource_server is not None
    allowed = owner.resource_server.allow_from
    if allowed is None:
        if requester.owner.namespace == owner.owner.namespace:
            return AudienceDecision(ALLOW, audience, wanted)
        own = f"{whose} owns {audience} and, without resourceServer.allowFrom, takes clients of its own namespace only"
        return _deny(audience, f"{own}: it has to name {who} there")
    named = [entry for entry in allowed if _names(entry, requester)]
    if not named:
        return _deny(audience, f"{whose} owns {audience}: its resourceServer.allowFrom has to name {who}")
    granted = {scope for entry in named for scope in entry.scopes}
    return AudienceDecision(ALLOW, audience, tuple(s for s in wanted if s in granted))


def _names(entry: AllowedRequester, requester: ClientMetadata) -> bool:
    return entry.namespace == requester.owner.namespace and entry.client in ("*", requester.owner.name)


def _deny(audience: str, message: str) -> AudienceDecision:
    return AudienceDecision(Decision.deny(DenialReason.RESOURCE_NOT_ALLOWED, message), audience, ())


def _shown(values: tuple[str, ...]) -> str:
    return ", ".join(values) or "none"
