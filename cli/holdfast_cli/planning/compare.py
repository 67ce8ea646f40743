"""The world that is there beside the one with the manifests in it: what changes, for whom, and what would be refused.

Owns which objects are looked at: those that are declared, and the clients whom a change of them concerns, as the operator's
own index says. Neighbours: `scene` (one world), `records` (the registry), `effects` (words).
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from holdfast.api.v1alpha1.conditions import Reason
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from holdfast.oauth.client_metadata import Problem
from holdfast_cli.linting.single import foreign_problems
from holdfast_cli.manifests.documents import OWN, Declared
from holdfast_cli.planning.changes import Change, Refusal, Verb, differences
from holdfast_cli.planning.effects import effects
from holdfast_cli.planning.records import LiveRecords
from holdfast_cli.planning.scene import Scene
from holdfast_cli.rehearsal.world import Remembered, World, as_stored
from holdfast_operator.admission.claimants import Claimants, claimant_of
from holdfast_operator.admission.judge import judge_policy
from holdfast_operator.engine.index import Index
from holdfast_operator.reconcile.ports import ClusterReads, Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings

_AT_ONCE = 16
"""Clients looked at at a time; each asks the API server a handful of things."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """An object as it would be stored, beside the one that is there."""

    key: Key
    live: Object | None
    after: Object


async def compare(
    declared: Iterable[Declared], cluster: ClusterReads, settings: ReconcileSettings, now: datetime
) -> list[Change]:
    """One change for each declared object, in their order, then those of clients that follow. Raises ClusterUnavailable."""
    live = Remembered(cluster)
    refused: list[Change] = []
    taken: dict[Key, _Declared] = {}
    for found in declared:
        stored = await live.get(*found.key)
        try:
            taken[found.key] = _Declared(found.key, stored, as_stored(found.key, _settled(found, stored), stored))
        except InvalidObject as error:
            refused.append(_invalid(found.key, stored, error))
    return [*refused, *await _Comparison(taken, live, settings, now).changes()]


def _settled(found: Declared, live: Object | None) -> Object:
    """With defaults, as the API server stores it in the place of `live`. Raises InvalidObject."""
    if found.key.kind in OWN:
        return apply_defaults_and_validate(found.object, live)
    if problems := foreign_problems(found):
        raise InvalidObject(tuple(Problem(field, message) for field, message in problems))
    return found.object


def _invalid(key: Key, live: Object | None, error: InvalidObject) -> Change:
    refusals = tuple(Refusal("InvalidObject", f"{p.field}: {p.message}") for p in error.problems)
    return Change(key=key, verb=Verb.CREATE if live is None else Verb.CHANGE, refusals=refusals)


class _Comparison:
    """`declared`: what the API server would take."""

    def __init__(
        self, declared: Mapping[Key, _Declared], live: Remembered, settings: ReconcileSettings, now: datetime
    ) -> None:
        self._declared, self._live, self._settings = declared, live, settings
        self._before = Scene(live, settings, now)
        after = {key: found.after for key, found in declared.items()}
        self._after = Scene(World(after, live), settings, now)
        self._width = asyncio.Semaphore(_AT_ONCE)

    async def changes(self) -> list[Change]:
        """Of declared objects first."""
        clients = await self._live.list(Kind.OAUTH_CLIENT)
        own = [found.after for key, found in self._declared.items() if key.kind is Kind.OAUTH_CLIENT]
        self._records = LiveRecords(clients, own, self._settings)
        new = [found.after for key, found in self._declared.items() if key.kind is Kind.OAUTH_CLIENT and found.live is None]
        self._claimants = Claimants(claimant_of(client) for client in [*clients, *new])
        followers = await self._followers(clients)
        asked: list[Awaitable[Change | None]] = [self._object(found) for found in self._declared.values()]
        asked += [self._follower(key) for key in followers]
        found = await asyncio.gather(*(self._one(work) for work in asked))
        return [change for change in found if change is not None]

    async def _one(self, work: Awaitable[Change | None]) -> Change | None:
        async with self._width:
            return await work

    async def _followers(self, clients: Sequence[Object]) -> list[Key]:
        """Clients that are not declared, and that the operator would look at again."""
        index = Index()
        index.replace(Kind.NAMESPACE, await self._live.list(Kind.NAMESPACE))
        index.replace(Kind.MTLS_POLICY, await self._live.list(Kind.MTLS_POLICY))
        index.replace(Kind.OAUTH_CLIENT, clients)
        # What a Certificate of somebody else changes for a client, only cert-manager can say.
        told = [d for d in self._declared.values() if _differs(d) and d.key.kind is not Kind.CERTIFICATE]
        keys = {key for found in told for key in index.observe(found.key.kind, found.after)}
        return sorted((k for k in keys - set(self._declared) if k.kind is Kind.OAUTH_CLIENT), key=lambda k: k[1:])

    async def _object(self, found: _Declared) -> Change:
        verb = Verb.CREATE if found.live is None else Verb.CHANGE if _differs(found) else Verb.NONE
        fields = () if found.live is None else tuple(differences(_content(found.live), _content(found.after)))
        change = Change(key=found.key, verb=verb, fields=fields)
        if missing := await self._missing_namespace(found):
            return replace(change, refusals=(missing,))
        if found.key.kind is Kind.OAUTH_CLIENT:
            return await self._client(change, found)
        if found.key.kind is Kind.MTLS_POLICY:
            judged = judge_policy(found.after, await self._after.policy_sources(found.after))
            refusals = tuple(Refusal(o.reason, o.message) for o in judged.objections)
            return replace(change, refusals=refusals, warnings=judged.warnings)
        return change

    async def _missing_namespace(self, found: _Declared) -> Refusal | None:
        name = found.key.namespace
        if not name or found.live is not None or await self._after.cluster.get(Kind.NAMESPACE, "", name) is not None:
            return None
        return Refusal("InvalidObject", f"metadata.namespace: {name} does not exist: create it, or declare it in the files")

    async def _client(self, change: Change, found: _Declared) -> Change:
        """What admission would say, then what the operator would do."""
        judged = await self._after.admit(found.after, self._claimants)
        refusals = [Refusal(o.reason, o.message) for o in judged.objections]
        standing = await self._after.stand(found.after, await self._records.after(found.live, self._before))
        refusals += _refusals(standing.accepted, {refusal.rule for refusal in refusals})
        return replace(
            change,
            effects=effects(standing),
            refusals=tuple(refusals),
            warnings=(*judged.warnings, *_reservations(standing.accepted)),
        )

    async def _follower(self, key: Key) -> Change | None:
        """What changes for a client that nobody touches."""
        live = await self._live.get(*key)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return None
        before = await self._before.stand(live, await self._records.before(live, self._before))
        after = await self._after.stand(live, await self._records.after(live, self._before))
        already = effects(before)
        same = _verdict(before.accepted) == _verdict(after.accepted)
        change = Change(
            key=key,
            verb=Verb.FOLLOW,
            effects=tuple(effect for effect in effects(after) if effect not in already),
            refusals=() if same else tuple(_refusals(after.accepted, set())),
            warnings=() if same else tuple(_reservations(after.accepted)),
        )
        return change if change.effects or change.refusals or change.warnings else None


def _differs(found: _Declared) -> bool:
    return found.live is None or _content(found.live) != _content(found.after)


def _content(obj: Object) -> dict[str, object]:
    """What an apply changes: the object without its status and what a server owns."""
    metadata = {m: obj["metadata"].get(m) or {} for m in ("labels", "annotations")}
    members = {m: v for m, v in obj.items() if m not in ("apiVersion", "kind", "metadata", "status")}
    return {**members, "metadata": {m: v for m, v in metadata.items() if v}}


def _refusals(accepted: Mapping[str, str], told: set[str]) -> list[Refusal]:
    if accepted.get("status") != "False" or accepted["reason"] in told:
        return []
    return [Refusal(accepted["reason"], accepted["message"])]


def _reservations(accepted: Mapping[str, str]) -> list[str]:
    if accepted.get("status") != "True" or accepted.get("reason") == Reason.ACCEPTED:
        return []
    return [accepted["message"]]


def _verdict(accepted: Mapping[str, str]) -> tuple[str | None, ...]:
    return accepted.get("status"), accepted.get("reason"), accepted.get("message")
