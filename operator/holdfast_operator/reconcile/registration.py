"""Whether the registry has the client as it should, and what has to be written until it does.

Owns the comparison of the wanted with the stored registration, and when a registration is put, replaced or withdrawn.
Pure. Neighbours: `request` builds the wanted one, `acceptance` says whether there may be one.
"""

from dataclasses import dataclass, replace

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.oauth.client_metadata import ClientMetadata, DeletionPolicy, TrustAnchor
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.records import StoredClient
from holdfast_operator.reconcile.actions import (
    FINALIZER,
    Action,
    AddFinalizer,
    DeleteClient,
    PutClient,
    ReleaseClient,
    RemoveFinalizer,
)
from holdfast_operator.reconcile.finding import Finding, fine, waiting
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.ports import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationVerdict:
    """`stored`: this client's live record, for the status. `requeue_after`: seconds."""

    finding: Finding
    actions: tuple[Action, ...] = ()
    stored: StoredClient | None = None
    requeue_after: float | None = None


def own_record(observed: Observed) -> StoredClient | None:
    """The live record that was made from an object of this name, of this life or an earlier one; an orphan is nobody's."""
    if isinstance(observed.registry, RegistryUnreachable) or observed.registry.stored is None:
        return None
    owner, metadata = observed.registry.stored.metadata.owner, observed.client["metadata"]
    is_own = not owner.is_gone and (owner.namespace, owner.name) == (metadata["namespace"], metadata["name"])
    return observed.registry.stored if is_own else None


def is_of_this_life(stored: StoredClient, client: Object) -> bool:
    """Whether the record was made from this very object, not from one of the same name that is gone."""
    return stored.metadata.owner.uid == str(client["metadata"]["uid"])


def former_anchors(observed: Observed) -> tuple[TrustAnchor, ...]:
    """The anchors this client is registered with: they hold while its next certificate is on its way."""
    stored = own_record(observed)
    if stored is None or not is_of_this_life(stored, observed.client):
        return ()
    return stored.metadata.trust_anchors


def unreachable(registry: RegistryUnreachable) -> RegistrationVerdict:
    """Nothing can be said or done; what is registered goes on."""
    return RegistrationVerdict(
        finding=waiting(Reason.REGISTRY_UNAVAILABLE, f"{registry.message}; tried again with growing pauses")
    )


def judge_registration(observed: Observed, wanted: ClientMetadata, policy: EffectivePolicy) -> RegistrationVerdict:
    """Make the registry have exactly `wanted`."""
    stored = own_record(observed)
    assert isinstance(observed.registry, RegistrySeen), "an unreachable registry is judged by `unreachable`"
    if stored is not None and not is_of_this_life(stored, observed.client):
        return _replace_former_life(stored)
    if stored is not None and stored.digest == wanted.digest:
        return _as_wanted(stored, observed)
    held = observed.registry.stored
    adopt = held is not None and held.metadata.owner.is_gone
    return RegistrationVerdict(
        finding=waiting(Reason.REGISTRATION_PENDING, "the registration is being written"),
        actions=(PutClient(wanted, policy, adopt),),
        stored=stored,
    )


def _as_wanted(stored: StoredClient, observed: Observed) -> RegistrationVerdict:
    actions = () if _has_finalizer(observed.client) else (AddFinalizer(),)
    # Of an id that nobody had, it is the moment of the registration, which is later than the one that this pass began at.
    if stored.since is None or stored.since <= max(observed.now, stored.updated_at):
        return RegistrationVerdict(finding=_registered(), actions=actions, stored=stored)
    since = stored.since.isoformat(timespec="seconds")
    finding = waiting(
        Reason.REGISTRATION_PENDING, f"the client id was another object's until a moment ago: tokens from {since} on"
    )
    wait = (stored.since - observed.now).total_seconds()
    return RegistrationVerdict(finding=finding, actions=actions, stored=stored, requeue_after=wait)


def keep(observed: Observed, policy: EffectivePolicy, why: str) -> RegistrationVerdict:
    """No new registration can be made: what is registered goes on, but for `suspend`, which always takes effect."""
    if isinstance(observed.registry, RegistryUnreachable):
        return unreachable(observed.registry)
    stored = own_record(observed)
    suspend = bool(mapping(observed.client.get("spec")).get("suspend"))
    if stored is None or not is_of_this_life(stored, observed.client):
        letting_go = (RemoveFinalizer(),) if stored is None and _has_finalizer(observed.client) else ()
        return RegistrationVerdict(finding=waiting(Reason.REGISTRATION_PENDING, why), actions=letting_go)
    if not suspend or stored.metadata.suspended:
        return RegistrationVerdict(finding=_kept(stored), stored=stored)
    generation = int(observed.client["metadata"].get("generation") or stored.metadata.owner.generation)
    owner = replace(stored.metadata.owner, generation=generation)
    suspended = replace(stored.metadata, suspended=True, owner=owner, policy=policy.hash)
    if observed.registry.refused == suspended.digest:
        return RegistrationVerdict(finding=_kept(stored), stored=stored)
    return RegistrationVerdict(finding=_kept(stored), actions=(PutClient(suspended, policy),), stored=stored)


def end(stored: StoredClient, deletion_policy: DeletionPolicy) -> Action:
    """What becomes of a registration whose object is gone."""
    action = ReleaseClient if deletion_policy is DeletionPolicy.ORPHAN else DeleteClient
    return action(stored.metadata.client_id, stored.metadata.owner.uid)


def withdraw(observed: Observed, why: str) -> RegistrationVerdict:
    """There may be no registration: remove the one there is, then let go of the object."""
    if isinstance(observed.registry, RegistryUnreachable):
        return unreachable(observed.registry)
    stored = own_record(observed)
    actions: list[Action] = []
    if stored is not None:
        actions.append(DeleteClient(stored.metadata.client_id, stored.metadata.owner.uid))
    if _has_finalizer(observed.client):
        actions.append(RemoveFinalizer())
    return RegistrationVerdict(finding=waiting(Reason.NOT_REGISTERED, why), actions=tuple(actions))


def _replace_former_life(stored: StoredClient) -> RegistrationVerdict:
    finding = waiting(Reason.REGISTRATION_PENDING, "the registration of a deleted object of this name is being ended")
    return RegistrationVerdict(finding=finding, actions=(end(stored, stored.metadata.deletion_policy),))


def _registered() -> Finding:
    return fine(Reason.REGISTERED, "the registration was read back")


def _kept(stored: StoredClient | None) -> Finding:
    if stored is None:
        return waiting(Reason.NOT_REGISTERED, "the client is not registered")
    generation = stored.metadata.owner.generation
    return waiting(
        Reason.REGISTRATION_PENDING, f"the registration made from generation {generation} stays in force until then"
    )


def _has_finalizer(client: Object) -> bool:
    return FINALIZER in (client["metadata"].get("finalizers") or ())
