"""What a client claims against what others have: client ids and audiences have one holder, subjects one namespace.

Owns the comparison as far as objects show it. A holder's claim is an objection; one that is only asked for, or that hangs
on a trust anchor nobody can see from here, is a doubt: the registry decides. Pure. Neighbour: `judge`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.oauth_client import ConfigMapKey
from holdfast.x509.certificate import Certificate
from holdfast_operator.admission.claimants import Claimant
from holdfast_operator.admission.objection import Doubt, Found, Objection
from holdfast_operator.admission.world import World
from holdfast_operator.reconcile.acceptance import client_id_taken
from holdfast_operator.reconcile.anchors import OwnAnchorsOutOfTime, Unusable, own_anchors
from holdfast_operator.reconcile.ports import Kind


def rivals(client: Claimant, world: World) -> Found:
    """Everything in the client's way. Who holds what it claims hears nothing of others who merely ask for it."""
    before = world.claimants.get(client.key)
    held = before if before is not None and before.holds else None
    yield from _of_client_id(client, world, silent=held is not None and held.client_id == client.client_id)
    for audience in sorted(client.audiences):
        yield from _of_audience(audience, client, world, silent=held is not None and audience in held.audiences)
    if client.subject is not None:
        yield from _of_subject(client, world)


def _of_client_id(client: Claimant, world: World, *, silent: bool) -> Found:
    others = _others(client, world.claimants.of_client_id(client.client_id))
    if holder := _holder(others):
        found = client_id_taken(client.client_id, holder.key.namespace, holder.key.name)
        yield Objection(found.reason, found.message, frozenset({holder.key}))
    elif others and not silent:
        yield Doubt(f"spec.clientId: {others[0].name} asks for {client.client_id}, too; who is registered first keeps it")


def _of_audience(audience: str, client: Claimant, world: World, *, silent: bool) -> Found:
    others = _others(client, world.claimants.of_audience(audience))
    field = "spec.resourceServer.audiences"
    if holder := _holder(others):
        message = f"{field}: {audience} is owned by OAuthClient {holder.name}: name another, or have it given up there first"
        yield Objection(Reason.AUDIENCE_TAKEN, message, frozenset({holder.key}))
    elif others and not silent:
        yield Doubt(f"{field}: {others[0].name} asks for {audience}, too; who is registered first owns it")


def _of_subject(client: Claimant, world: World) -> Found:
    assert client.subject is not None
    others = [o for o in world.claimants.of_subject(client.subject) if o.key.namespace != client.key.namespace]
    field = f"spec.authentication.subject.{client.subject.kind}"
    own = _anchors(client, world)
    for other in sorted(others, key=lambda o: not o.holds):
        theirs = _anchors(other, world)
        if own.known & theirs.known and other.holds:
            message = (
                f"{field}: {client.subject.value} is held by OAuthClient {other.name} under the same CA: name another "
                "subject, or use a CA of your own"
            )
            yield Objection(Reason.SUBJECT_TAKEN, message, frozenset({other.key}))
            return
        if own.known & theirs.known or not (own.complete and theirs.complete):
            yield Doubt(
                f"{field}: a client of another namespace names {client.subject.value}, too; under the same CA only who "
                "is registered first is accepted"
            )
            return


def _others(client: Claimant, found: Iterable[Claimant]) -> list[Claimant]:
    return [other for other in found if other.key != client.key]


def _holder(others: Iterable[Claimant]) -> Claimant | None:
    return next((other for other in others if other.holds), None)


@dataclass(frozen=True, slots=True)
class _Anchors:
    """`known`: names that two clients share only if they share an anchor. `complete`: there are no others."""

    known: frozenset[str]
    complete: bool


def _anchors(client: Claimant, world: World) -> _Anchors:
    if not client.anchors:
        # The key of an issuer's CA shows only in what it issued; that two clients have the same issuer shows here.
        shared = client.issuer is not None and client.issuer[0] is Kind.CLUSTER_ISSUER
        return _Anchors(frozenset({f"ClusterIssuer/{client.issuer[1]}"} if shared and client.issuer else ()), False)
    places = {a.name: (client.key.namespace, a.name) for a in client.anchors}
    if not all(place in world.config_maps for place in places.values()):
        return _Anchors(frozenset(), False)
    try:
        references = tuple(ConfigMapKey(name=a.name, key=a.key) for a in client.anchors)
        found = own_anchors(references, {n: world.config_maps[p] for n, p in places.items()}, frozenset(), world.now)
    except OwnAnchorsOutOfTime as error:
        found = error.anchors
    except (Unusable, ValueError):
        return _Anchors(frozenset(), False)
    return _Anchors(frozenset(Certificate.from_der(a.der).spki_sha256 for a in found), True)
