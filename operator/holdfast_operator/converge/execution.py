"""One action of a plan carried out, and the world as it is after it.

Owns what each action means at the two ports. A failure that the plan can tell of comes back as an observation; the others
are raised. Must not decide which action comes next. Neighbours: `reconciler` gives the actions, `reconcile.actions` names
them.
"""

from dataclasses import replace
from typing import assert_never

from holdfast.registry.port import RefusalReason, RegistrationRefused, RegistryUnavailable, StaleGeneration
from holdfast_operator.converge.denials import Denials
from holdfast_operator.converge.fenced_registry import FencedRegistry
from holdfast_operator.converge.mirror import Mirror
from holdfast_operator.converge.shelf import place_of
from holdfast_operator.reconcile.actions import (
    FINALIZER,
    Action,
    AddFinalizer,
    ApplyCertificate,
    DeleteCertificate,
    DeleteClient,
    PutClient,
    RegistryAction,
    ReleaseClient,
    RemoveFinalizer,
    RenewCertificate,
)
from holdfast_operator.reconcile.names import client_id_of
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.permission import on
from holdfast_operator.reconcile.ports import Cluster, Conflict, Kind, Object, Rejected

PERMISSIONS = (
    on(Kind.OAUTH_CLIENT, "patch", why="its finalizer"),
    on(Kind.CERTIFICATE, "create", "patch", "delete", why="server-side apply creates as well"),
    on(
        Kind.CERTIFICATE,
        "patch",
        subresource="status",
        why="to have one issued once more, where cert-manager took over a Secret without issuing",
    ),
)


class Execution:
    """Carries out what plans ask for."""

    def __init__(self, cluster: Cluster, registry: FencedRegistry, denials: Denials) -> None:
        self._cluster, self._registry, self._denials = cluster, registry, denials

    async def execute(self, action: Action, observed: Observed) -> Observed | None:
        """The world after the action, as far as it tells; None when the object has gone with it. Raises ClusterError."""
        match action:
            case AddFinalizer() | RemoveFinalizer():
                return await self._finalizer(observed, held=isinstance(action, AddFinalizer))
            case ApplyCertificate(certificate):
                return await self._apply_certificate(certificate, observed)
            case RenewCertificate(certificate):
                return _with_certificate(observed, await self._cluster.apply_status(Kind.CERTIFICATE, certificate))
            case DeleteCertificate(name, uid):
                await self._cluster.delete(Kind.CERTIFICATE, observed.client["metadata"]["namespace"], name, uid)
                left = tuple(c for c in observed.certificates if c["metadata"]["name"] != name)
                return replace(observed, certificates=left)
            case PutClient() | DeleteClient() | ReleaseClient():
                return await self._registry_action(action, observed)
            case _:
                assert_never(action)

    async def _finalizer(self, observed: Observed, *, held: bool) -> Observed | None:
        others = [f for f in observed.client["metadata"].get("finalizers") or () if f != FINALIZER]
        wanted = [*others, FINALIZER] if held else others
        client = await self._cluster.set_finalizers(Kind.OAUTH_CLIENT, observed.client, wanted)
        if client is None or (not held and client["metadata"].get("deletionTimestamp")):
            return None
        return replace(observed, client=client)

    async def _apply_certificate(self, certificate: Object, observed: Observed) -> Observed:
        try:
            applied = await self._cluster.apply(Kind.CERTIFICATE, certificate)
        except Rejected as error:
            return replace(observed, certificate_rejected=str(error))
        return _with_certificate(observed, applied)

    async def _registry_action(self, action: RegistryAction, observed: Observed) -> Observed:
        """Raises Conflict where another pass with fresh reads is what is needed."""
        assert isinstance(observed.registry, RegistrySeen), "no plan writes to a registry that it could not see"
        try:
            if isinstance(action, DeleteClient):
                await self._registry.delete(action.client_id, action.uid)
                return replace(observed, registry=replace(observed.registry, stored=None))
            if isinstance(action, ReleaseClient):
                left = await self._registry.release(action.client_id, action.uid)
                return replace(observed, registry=replace(observed.registry, stored=left))
            await self._denials.before_clients(action.policy)
            stored = await self._registry.put(action.metadata, action.policy, adopt=action.adopt)
            return replace(observed, registry=replace(observed.registry, stored=stored))
        except RegistryUnavailable as error:
            return replace(observed, registry=RegistryUnreachable(message=str(error), retry_after=error.retry_after))
        except StaleGeneration as error:
            # Nobody but us has this term: what we know is old, or another has written as if it were us.
            if isinstance(self._cluster, Mirror):
                await self._cluster.look_again(Kind.OAUTH_CLIENT, place_of(observed.client))
            self._registry.abandon_term()
            raise Conflict(str(error)) from error
        except RegistrationRefused as refusal:
            return self._refused(action, refusal, observed, observed.registry)

    def _refused(
        self, action: RegistryAction, refusal: RegistrationRefused, observed: Observed, registry: RegistrySeen
    ) -> Observed:
        if refusal.reason is RefusalReason.UNKNOWN_POLICY:
            self._registry.forget_policies()
            raise Conflict(f"client {client_id_of(observed.client)}: {refusal}") from refusal
        digest = action.metadata.digest if isinstance(action, PutClient) else ""
        return replace(observed, registry=replace(registry, refusal=refusal, refused=digest))


def _with_certificate(observed: Observed, applied: Object) -> Observed:
    others = tuple(c for c in observed.certificates if c["metadata"]["name"] != applied["metadata"]["name"])
    return replace(observed, certificates=(*others, applied))
