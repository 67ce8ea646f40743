"""From the API server's question to our answer: what is judged at all, what is read for it, and what becomes a refusal.

Owns three promises (design/admission.md): what does not change a spec, or is on its way out, always passes; a refusal rests
on what was read a moment ago, never on a late event; an update is refused only for what it brings itself, so that an object
that is already broken can still be suspended or mended step by step. Neighbours: `judge` (pure), `store`, `wire`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import TypeVar

from holdfast_operator.admission.claimants import Claimant, claimant_of
from holdfast_operator.admission.judge import judge_client, judge_policy
from holdfast_operator.admission.objection import Judgement, Objection
from holdfast_operator.admission.store import Place, Store
from holdfast_operator.admission.wire import Answer, Review
from holdfast_operator.reconcile.policy_sources import referenced_config_maps
from holdfast_operator.reconcile.ports import ClusterUnavailable, Key, Kind, Object

log = logging.getLogger(__name__)

READ_LIMIT = 3.0
"""Seconds for all that is read for one review; the API server waits for 5 (timeoutSeconds in the chart)."""
_UNLISTED = "the injector has not seen the cluster yet: policies and other clients were not looked at"
_UNREAD = "ConfigMaps that policies name could not be read in time: policies were looked at as they were before"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons`: of the objections that refuse."""

    answer: Answer
    reasons: tuple[str, ...] = ()


_PASSES = Verdict(Answer())
Judge = Callable[[Object], Awaitable[Judgement]]
Read = TypeVar("Read")


async def answer(review: Review, store: Store) -> Verdict:
    """Never refuses for want of knowledge."""
    if not is_judged(review) or review.obj is None:
        return _PASSES
    looking = _Looking(store, asyncio.get_running_loop().time() + READ_LIMIT)
    judge: Judge = looking.at_client if review.kind is Kind.OAUTH_CLIENT else looking.at_policy
    found = await looking.again(judge, review.obj)
    if found.objections and review.old is not None:
        found = _only(found, _new_to(await judge(review.old)))
    if review.dry_run:
        found = _only(found, lambda objection: not objection.may_come)
    return _verdict(found)


class _Looking:
    """One review's look at the world, which ends at `deadline` (of the loop's clock) whoever is slow."""

    def __init__(self, store: Store, deadline: float) -> None:
        self._store, self._deadline = store, deadline

    async def again(self, judge: Judge, obj: Object) -> Judgement:
        """Objections that rest on others are judged again after those were read; where they cannot be, they are doubts."""
        found = await judge(obj)
        confirmed: set[Key] = set()
        while missing := _rests_on(found) - confirmed:
            if await self._read(self._store.read_again(missing), False) is False:
                return _only(found, _shown_by_itself)
            confirmed |= missing
            found = await judge(obj)
        return found

    async def at_client(self, client: Object) -> Judgement:
        claimant = claimant_of(client)
        if not self._store.knows_namespace(claimant.key.namespace):
            await self._read(self._store.read_again({Key(Kind.NAMESPACE, "", claimant.key.namespace)}), None)
        config_maps = await self._config_maps(self._places(claimant))
        ruling = await self._read(self._store.policies.current(), None)
        found = judge_client(client, self._store.world(ruling or self._store.policies.last, config_maps))
        doubts = (() if self._store.listed else (_UNLISTED,)) + (() if ruling is not None else (_UNREAD,))
        if not doubts:
            return found
        certain = _only(found, _shown_by_itself)
        return replace(certain, warnings=(*certain.warnings, *doubts))

    async def at_policy(self, policy: Object) -> Judgement:
        return judge_policy(policy, await self._config_maps(referenced_config_maps(policy.get("spec") or {})))

    def _places(self, client: Claimant) -> set[Place]:
        """Where its trust anchors are, and those of who has the same subject in another namespace."""
        rivals = self._store.claimants.of_subject(client.subject) if client.subject is not None else ()
        others = [r for r in rivals if r.key.namespace != client.key.namespace]
        return {(c.key.namespace, anchor.name) for c in (client, *others) for anchor in c.anchors}

    async def _config_maps(self, places: Collection[Place]) -> dict[Place, Object | None]:
        return await self._read(self._store.config_maps(places), {}) if places else {}

    async def _read(self, reading: Awaitable[Read], otherwise: Read) -> Read:
        """`otherwise`: where it cannot be read in time. What it would have shown stays open then."""
        try:
            async with asyncio.timeout_at(self._deadline):
                return await reading
        except (ClusterUnavailable, TimeoutError) as error:
            log.warning("what a review looks at could not be read: %s", error or "timeout")
            return otherwise


def is_judged(review: Review) -> bool:
    """Whether there is anything to judge: a new object, or a new spec of one that is to stay.

    The webhook configuration asks the same before it calls; this holds where somebody has written another.
    """
    if review.kind is None or review.subresource or review.obj is None:
        return False
    if review.obj["metadata"].get("deletionTimestamp"):
        return False
    if review.operation == "CREATE":
        return True
    return review.operation == "UPDATE" and (review.old or {}).get("spec") != review.obj.get("spec")


def _rests_on(found: Judgement) -> set[Key]:
    return {key for objection in found.objections for key in objection.rests_on}


def _shown_by_itself(objection: Objection) -> bool:
    return not objection.rests_on


def _new_to(old: Judgement) -> Callable[[Objection], bool]:
    """What was not wrong before, nor doubtful. Of what was, people are only reminded."""
    before = {*old.warnings, *map(_worded, old.objections)}
    return lambda objection: _worded(objection) not in before


def _only(found: Judgement, refuses: Callable[[Objection], bool]) -> Judgement:
    """The other objections become warnings."""
    kept = tuple(o for o in found.objections if refuses(o))
    others = (_worded(o) for o in found.objections if not refuses(o))
    return Judgement(kept, (*found.warnings, *others))


def _worded(objection: Objection) -> str:
    return f"{objection.reason}: {objection.message}"


def _verdict(found: Judgement) -> Verdict:
    reasons = tuple(str(objection.reason) for objection in found.objections)
    return Verdict(Answer("; ".join(found.denials), found.warnings), reasons)
