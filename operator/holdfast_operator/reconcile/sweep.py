"""The whole registry against the objects: what has lost its object, and what may differ. Pure.

Owns the comparison, by what a listing shows; where it cannot tell, it asks for a look. Neighbour: `reconciler`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.oauth.client_metadata import DeletionPolicy
from holdfast.registry.records import ClientSummary
from holdfast_operator.reconcile.actions import FINALIZER
from holdfast_operator.reconcile.issued import moment
from holdfast_operator.reconcile.names import client_id_of, deletion_policy_of, mapping
from holdfast_operator.reconcile.policies import PolicyInForce, effective_policy
from holdfast_operator.reconcile.ports import Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from holdfast_operator.reconcile.status import TOKEN_TIME_STEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`outdated`: to be written before the registry is confirmed. Registered, but not as the object is now, or registered
    once (its finalizer says so) and lost with the store: it has what it claims before a rival is looked at.

    `look_at`: may differ, or has news for its status. Both oldest object first, so that it is the first claimant.
    """

    orphans: tuple[ClientSummary, ...]
    """Without an object, and to be deleted."""
    outdated: tuple[Key, ...]
    look_at: tuple[Key, ...]
    released: tuple[ClientSummary, ...] = ()
    """Without an object, and to go on as nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The cluster's side. `digests`: of each client, the registration it should have, where that is known."""

    clients: Iterable[Object]
    policies: tuple[PolicyInForce, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    digests: Mapping[Key, str]


def compare(registered: Iterable[ClientSummary], objects: Objects, settings: ReconcileSettings) -> Comparison:
    """`registered` must have been listed before the objects, or a new client would look like an orphan."""
    by_uid: dict[str, list[ClientSummary]] = {}
    for summary in registered:
        if not summary.owner.is_gone:
            by_uid.setdefault(summary.owner.uid, []).append(summary)
    outdated: list[Key] = []
    look_at: list[Key] = []
    asked: dict[str, DeletionPolicy] = {}  # by uid; a second record of an object that is there goes
    ages: dict[Key, tuple[str, str, str]] = {}
    for client in objects.clients:
        key = Key(Kind.OAUTH_CLIENT, client["metadata"]["namespace"], client["metadata"]["name"])
        ages[key] = _age(client)
        if client["metadata"].get("deletionTimestamp"):
            look_at.append(key)
            asked[str(client["metadata"]["uid"])] = deletion_policy_of(client)
            continue
        asked[str(client["metadata"]["uid"])] = DeletionPolicy.DELETE
        own = _take(by_uid, client)
        if own is None:
            if FINALIZER in (client["metadata"].get("finalizers") or ()):
                outdated.append(key)
        elif _is_outdated(own, client, objects, settings):
            outdated.append(key)
        elif objects.digests.get(key, own.digest) != own.digest or _has_token_news(own, client):
            look_at.append(key)
    left = [s for records in by_uid.values() for s in records]
    goes_on = [asked.get(s.owner.uid, s.deletion_policy) is DeletionPolicy.ORPHAN for s in left]
    return Comparison(
        orphans=tuple(s for s, on in zip(left, goes_on, strict=True) if not on),
        outdated=tuple(sorted(outdated, key=ages.__getitem__)),
        look_at=tuple(sorted(look_at, key=ages.__getitem__)),
        released=tuple(s for s, on in zip(left, goes_on, strict=True) if on),
    )


def _take(by_uid: dict[str, list[ClientSummary]], client: Object) -> ClientSummary | None:
    """The client's own record; what is left at the end has no object. A second record of one object is an orphan."""
    records = by_uid.get(str(client["metadata"]["uid"]), [])
    own = next((r for r in records if r.client_id == client_id_of(client)), None)
    if own is not None:
        records.remove(own)
    return own


def _is_outdated(own: ClientSummary, client: Object, objects: Objects, settings: ReconcileSettings) -> bool:
    if own.owner.generation != client["metadata"].get("generation"):
        return True
    namespace, labels = client["metadata"]["namespace"], client["metadata"].get("labels") or {}
    policy = effective_policy(objects.policies, objects.namespaces.get(namespace, {}), labels, settings)
    return policy.hash != own.policy


def _has_token_news(own: ClientSummary, client: Object) -> bool:
    shown = moment(mapping(client.get("status")).get("lastTokenTime"))
    return own.last_token_at is not None and (shown is None or own.last_token_at - shown >= TOKEN_TIME_STEP)


def _age(client: Object) -> tuple[str, str, str]:
    metadata = client["metadata"]
    return str(metadata.get("creationTimestamp") or ""), metadata["namespace"], metadata["name"]
