"""The reconciler: observe, plan, carry the first action out, plan again with what came of it, write the status.

Owns the order of I/O around `plan` and nothing of the decisions. A failure is an observation: the plan made with it
says what the status tells and when to come back. Neighbours: `engine` calls it, `cluster` and `registry` are ports.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never
from weakref import WeakValueDictionary

from holdfast.clock import Clock, system_clock
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import (
    RefusalReason,
    RegistrationRefused,
    Registry,
    RegistryUnavailable,
    StaleGeneration,
    StaleTerm,
)
from holdfast.registry.records import RegistryDescription
from holdfast_operator.converge.concurrency import together
from holdfast_operator.converge.denials import Denials
from holdfast_operator.converge.fenced_registry import FencedRegistry
from holdfast_operator.converge.observe import observe
from holdfast_operator.converge.outcome import Outcome, SweepResult
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.converge.shared_anchors import SharedAnchors
from holdfast_operator.reconcile.actions import (
    FINALIZER,
    Action,
    AddFinalizer,
    ApplyCertificate,
    DeleteCertificate,
    DeleteClient,
    Event,
    Plan,
    PutClient,
    RemoveFinalizer,
    RenewCertificate,
)
from holdfast_operator.reconcile.names import client_id_of
from holdfast_operator.reconcile.observed import Observed, RegistrySeen, RegistryUnreachable
from holdfast_operator.reconcile.plan import plan
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.policy_plan import ObservedPolicy, plan_policy
from holdfast_operator.reconcile.ports import Cluster, ClusterUnavailable, Conflict, Key, Kind, Object, Rejected
from holdfast_operator.reconcile.registration import own_record
from holdfast_operator.reconcile.settings import ReconcileSettings
from holdfast_operator.reconcile.sweep import Objects, compare

log = logging.getLogger(__name__)

MAX_ROUNDS = 8
"""Actions in one pass; no plan needs more than five, so that a world which never answers as expected costs little."""
SWEEP_WIDTH = 8
"""Outdated clients that a sweep writes at a time."""


class Reconciler:
    """Everything the engine, or `holdfast dev`, needs to make one key true."""

    def __init__(
        self, cluster: Cluster, registry: Registry, settings: ReconcileSettings | None = None, clock: Clock = system_clock
    ) -> None:
        self.cluster = cluster
        self.settings = settings or ReconcileSettings()
        self._clock = clock
        self._registry = FencedRegistry(registry, self.settings.holder)
        self._shared = SharedAnchors(cluster, clock, self.settings.shared_anchors_age)
        self._config_maps = PolicyConfigMaps(cluster, clock, self.settings.config_map_age)
        self._denials = Denials(cluster, self._config_maps, self._registry)
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._registered: dict[Key, tuple[str, str]] = {}
        self._digests: dict[Key, str] = {}

    @property
    def writes(self) -> int:
        """Grows with each write to the registry."""
        return self._registry.writes

    async def describe(self) -> RegistryDescription:
        """What the registry says of itself. Raises RegistryUnavailable."""
        return await self._registry.describe()

    def abandon_term(self) -> None:
        """Called when leadership begins: the next write opens a term above all earlier ones."""
        self._registry.abandon_term()

    def config_map_changed(self, namespace: str, name: str) -> None:
        """Called with each event of a ConfigMap, before the keys that it concerns are looked at."""
        self._config_maps.changed(namespace, name)

    async def reconcile(self, key: Key) -> Outcome:
        """One pass over one object. Raises ClusterError, StaleTerm and what nobody foresaw."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if key.kind is Kind.MTLS_POLICY:
                return await self._policy(key)
            client = await self.cluster.get(Kind.OAUTH_CLIENT, key.namespace, key.name)
            if client is None:
                return await self._gone(key)
            return await self._converge(key, await self._observe(client))

    async def sweep(self) -> SweepResult:
        """Compare the whole registry with the objects: delete orphans, write what is outdated, then confirm.

        Raises ClusterError, RegistryUnavailable, StaleTerm; then nothing is confirmed.
        """
        described = await self.describe()
        registered = await self._registry.list_clients()
        clients = await self.cluster.list(Kind.OAUTH_CLIENT)
        policies = await self.cluster.list(Kind.MTLS_POLICY)
        sources = await self._config_maps.of(policies)
        objects = Objects(
            clients=clients,
            policies=tuple(in_force(p, sources) for p in policies),
            namespaces=await self._namespaces(),
            digests=self._digests,
        )
        found = compare(registered, objects, self.settings)
        for orphan in found.orphans:
            log.info("client %s has no object any more: deleted", orphan.client_id)
            await self._registry.delete(orphan.client_id, orphan.owner.uid)
        await self._deny_first()
        left = await self._write_outdated(found.outdated)
        if not described.confirmed:
            await self._registry.confirm()
        await self._forget_lists(left)
        return SweepResult(deleted=tuple(o.client_id for o in found.orphans), look_at=(*left, *found.look_at))

    async def _write_outdated(self, keys: Iterable[Key]) -> tuple[Key, ...]:
        """Answers those that could not be written; one client's trouble does not keep the others from being confirmed."""
        width = asyncio.Semaphore(SWEEP_WIDTH)
        left: list[Key] = []

        async def one(key: Key) -> None:
            async with width:
                try:
                    await self.reconcile(key)
                except (Conflict, Rejected):
                    left.append(key)
                except (StaleTerm, ClusterUnavailable, RegistryUnavailable):
                    raise  # true of every client: the sweep itself has failed
                except Exception:
                    log.exception("%s/%s could not be written by the sweep", key.namespace, key.name)
                    left.append(key)

        async with together() as group:
            for key in keys:
                group.create_task(one(key))
        return tuple(left)

    async def _namespaces(self) -> dict[str, dict[str, str]]:
        listed = await self.cluster.list(Kind.NAMESPACE)
        return {n["metadata"]["name"]: dict(n["metadata"].get("labels") or {}) for n in listed}

    async def _observe(self, client: Object) -> Observed:
        return await observe(
            client,
            cluster=self.cluster,
            registry=self._registry,
            shared_anchors=self._shared,
            policy_config_maps=self._config_maps,
            settings=self.settings,
            now=self._clock(),
        )

    async def _converge(self, key: Key, observed: Observed) -> Outcome:
        self._remember(key, observed)
        wrote = False
        for _ in range(MAX_ROUNDS):
            planned = plan(observed)
            if not planned.actions:
                break
            wrote = True
            after = await self._execute(planned.actions[0], observed)
            if after is None:
                await self._tell(observed.client, planned.events, Kind.OAUTH_CLIENT)
                return Outcome(gone=True, wrote=True)
            observed = after
            self._remember(key, observed)
        wrote = await self._write_status(Kind.OAUTH_CLIENT, observed.client, planned) or wrote
        return Outcome(requeue_after=planned.requeue_after, retry=planned.retry, wrote=wrote)

    def _remember(self, key: Key, observed: Observed) -> None:
        if isinstance(observed.registry, RegistryUnreachable):
            return
        stored = own_record(observed)
        if stored is None:
            self._registered.pop(key, None)
            self._digests.pop(key, None)
        else:
            self._registered[key] = (stored.metadata.client_id, stored.metadata.owner.uid)
            self._digests[key] = stored.digest

    async def _gone(self, key: Key) -> Outcome:
        """The object vanished without its finalizer having been ours to remove: its registration goes now."""
        registered = self._registered.get(key)
        if registered is not None:
            await self._registry.delete(*registered)
            self._registered.pop(key, None)
            self._digests.pop(key, None)
        return Outcome(gone=True, wrote=registered is not None)

    async def _execute(self, action: Action, observed: Observed) -> Observed | None:
        """The world after the action, as far as it tells; None when the object has gone with it."""
        match action:
            case AddFinalizer() | RemoveFinalizer():
                return await self._finalizer(observed, held=isinstance(action, AddFinalizer))
            case ApplyCertificate(certificate):
                return await self._apply_certificate(certificate, observed)
            case RenewCertificate(certificate):
                return _with_certificate(observed, await self.cluster.apply_status(Kind.CERTIFICATE, certificate))
            case DeleteCertificate(name, uid):
                await self.cluster.delete(Kind.CERTIFICATE, observed.client["metadata"]["namespace"], name, uid)
                left = tuple(c for c in observed.certificates if c["metadata"]["name"] != name)
                return replace(observed, certificates=left)
            case PutClient() | DeleteClient():
                return await self._registry_action(action, observed)
            case _:
                assert_never(action)

    async def _finalizer(self, observed: Observed, *, held: bool) -> Observed | None:
        others = [f for f in observed.client["metadata"].get("finalizers") or () if f != FINALIZER]
        wanted = [*others, FINALIZER] if held else others
        client = await self.cluster.set_finalizers(Kind.OAUTH_CLIENT, observed.client, wanted)
        if client is None or (not held and client["metadata"].get("deletionTimestamp")):
            return None
        return replace(observed, client=client)

    async def _apply_certificate(self, certificate: Object, observed: Observed) -> Observed:
        try:
            applied = await self.cluster.apply(Kind.CERTIFICATE, certificate)
        except Rejected as error:
            return replace(observed, certificate_rejected=str(error))
        return _with_certificate(observed, applied)

    async def _registry_action(self, action: PutClient | DeleteClient, observed: Observed) -> Observed:
        """Raises Conflict where another pass with fresh reads is what is needed."""
        assert isinstance(observed.registry, RegistrySeen), "no plan writes to a registry that it could not see"
        try:
            if isinstance(action, DeleteClient):
                await self._registry.delete(action.client_id, action.uid)
                return replace(observed, registry=replace(observed.registry, stored=None))
            await self._deny_first(action.policy)
            stored = await self._registry.put(action.metadata, action.policy)
            return replace(observed, registry=replace(observed.registry, stored=stored))
        except RegistryUnavailable as error:
            return replace(observed, registry=RegistryUnreachable(message=str(error), retry_after=error.retry_after))
        except StaleGeneration as error:
            raise Conflict(str(error)) from error
        except RegistrationRefused as refusal:
            return self._refused(action, refusal, observed, observed.registry)

    def _refused(
        self, action: PutClient | DeleteClient, refusal: RegistrationRefused, observed: Observed, registry: RegistrySeen
    ) -> Observed:
        if refusal.reason is RefusalReason.UNKNOWN_POLICY:
            self._registry.forget_policies()
            raise Conflict(f"client {client_id_of(observed.client)}: {refusal}") from refusal
        digest = action.metadata.digest if isinstance(action, PutClient) else ""
        return replace(observed, registry=replace(registry, refusal=refusal, refused=digest))

    async def _policy(self, key: Key) -> Outcome:
        policy = await self.cluster.get(Kind.MTLS_POLICY, "", key.name)
        wrote, away = await self._put_denials()
        if policy is None:
            return Outcome(gone=away is None, wrote=wrote, retry=away is not None)
        observed = ObservedPolicy(
            policy=policy,
            namespaces=await self._namespaces(),
            clients=tuple(await self.cluster.list(Kind.OAUTH_CLIENT)),
            now=self._clock(),
            config_maps=await self._config_maps.of([policy]),
            denials_pending=str(away or ""),
        )
        wrote = await self._write_status(Kind.MTLS_POLICY, policy, plan_policy(observed)) or wrote
        return Outcome(wrote=wrote, retry=away is not None, requeue_after=away.retry_after if away else None)

    async def _deny_first(self, policy: EffectivePolicy | None = None) -> None:
        """Before tokens are given out. A CRL that the server refuses keeps nobody from them: the policy's status tells.

        `policy`: what a client is about to come under; None: whatever there is.
        """
        try:
            await (self._denials.put() if policy is None else self._denials.precede(policy))
        except RegistrationRefused as error:
            log.error("the server refuses what policies deny, which their status says as well: %s", error)

    async def _forget_lists(self, left: tuple[Key, ...]) -> None:
        """After a sweep that left no client as it was."""
        if left:
            return
        try:
            await self._denials.follow()
        except RegistrationRefused as error:
            log.error("the server refuses what policies deny, which their status says as well: %s", error)

    async def _put_denials(self) -> tuple[bool, RegistryUnavailable | None]:
        """Whether anything was written, or why nothing could be."""
        try:
            return await self._denials.put(), None
        except RegistryUnavailable as error:
            return False, error
        except RegistrationRefused as error:
            return False, RegistryUnavailable(f"the server refuses what policies deny: {error}")

    async def _write_status(self, kind: Kind, obj: Object, planned: Plan) -> bool:
        if planned.status is not None:
            metadata = {k: obj["metadata"][k] for k in ("namespace", "name") if k in obj["metadata"]}
            body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "status": planned.status}
            await self.cluster.apply_status(kind, body)
        await self._tell(obj, planned.events, kind)
        return planned.status is not None

    async def _tell(self, obj: Object, events: Iterable[Event], kind: Kind) -> None:
        for event in events:
            await self.cluster.record_event(kind, obj, warning=event.warning, reason=event.reason, message=event.message)


def _with_certificate(observed: Observed, applied: Object) -> Observed:
    others = tuple(c for c in observed.certificates if c["metadata"]["name"] != applied["metadata"]["name"])
    return replace(observed, certificates=(*others, applied))
