"""Who of several replicas works: one `coordination.k8s.io` Lease, held by one of them.

Owns contending, renewing and giving back. Whether a foreign Lease is over is judged by how long it was seen unchanged,
on this process' own clock: the times written in it may come from a clock that is wrong. Writes to the registry are
fenced by the writer's term besides. Neighbours: `leadership` acts on the result, `adapters.lease_store` keeps it.
"""

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from holdfast.clock import Clock
from holdfast_operator.engine.queue import Jitter
from holdfast_operator.reconcile.ports import ClusterError, Conflict

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What a Lease says. `holder` None: given back. `version`: of the object as it was read, None: not made yet."""

    holder: str | None
    duration: int
    acquired_at: datetime
    renewed_at: datetime
    transitions: int
    version: str | None


class WentBack(Exception):
    """The cluster is an earlier one, as after a backup was restored: what this process remembers of it may be wrong."""


class LeaseStore(Protocol):
    """Where the Lease is kept. Both may raise ClusterUnavailable."""

    async def read(self) -> LeaseRecord | None: ...

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Make or replace it, if it still has the record's `version`. Raises Conflict when somebody was faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """Seconds. A holder gives up at `give_up`, well before `duration`, at which others take over."""

    duration: float = 8.0
    give_up: float = 6.0
    renew: float = 2.0
    contend: float = 1.0


class Elector:
    """One contender. `contend`, `hold`, `release`, in that order and over again."""

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        clock: Clock,
        *,
        times: LeaseTimes | None = None,
        jitter: Jitter = random.uniform,
    ) -> None:
        self.identity = identity
        self._store, self._clock, self._times, self._jitter = store, clock, times or LeaseTimes(), jitter
        self._held: LeaseRecord | None = None
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self._newest = 0

    @property
    def leading(self) -> bool:
        """Whether the Lease is ours and not about to be over."""
        return self._held is not None and _now() - self._renewed_at < self._times.give_up

    async def contend(self) -> None:
        """Wait until the Lease is ours. Raises WentBack."""
        while not await self._try():  # noqa: ASYNC110  nothing tells us when a foreign Lease ends
            await asyncio.sleep(self._times.contend * self._jitter(0.8, 1.2))
        log.info("%s holds the Lease", self.identity)

    async def hold(self) -> None:
        """Renew until it is lost: somebody else has it, or it could not be renewed in time. Raises WentBack."""
        while self.leading:
            await asyncio.sleep(self._times.renew)
            if not self.leading:
                break  # the process stood still for longer than a Lease lives
            try:
                async with asyncio.timeout(max(0.1, self._renewed_at + self._times.give_up - _now())):
                    await self._renew()
            except Conflict:
                if not await self._is_still_ours():
                    break
            except (ClusterError, TimeoutError) as error:
                log.warning("the Lease could not be renewed: %s", error or "timeout")
        self._held = None
        log.warning("%s has lost the Lease", self.identity)

    async def release(self) -> None:
        """Give it back, so that another need not wait for its end. Best effort."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            await self._store.write(replace(held, holder=None, renewed_at=self._clock(), duration=1))
            log.info("%s has given the Lease back", self.identity)
        except ClusterError as error:
            log.info("the Lease could not be given back, it ends by itself: %s", error)

    async def _try(self) -> bool:
        try:
            current = await self._store.read()
            self._look(current)
            if not self._is_free(current):
                return False
            await self._take(current)
        except (ClusterError, TimeoutError) as error:
            log.info("the Lease could not be had: %s", error or "timeout")
            return False
        return True

    def _look(self, current: LeaseRecord | None) -> None:
        self._check(current)
        if self._seen is None or current is None or current.version != self._seen.version:
            self._seen, self._seen_at = current, _now()

    def _check(self, current: LeaseRecord | None) -> None:
        """The versions of one object only grow, and the Lease is the one object that everybody reads all the time."""
        version = _number(current)
        if 0 < version < self._newest:
            raise WentBack(f"the Lease is of version {version}, after {self._newest}: a backup of the cluster was restored")
        self._newest = max(self._newest, version)

    def _is_free(self, current: LeaseRecord | None) -> bool:
        if current is None or current.holder is None or current.holder == self.identity:
            return True
        return _now() - self._seen_at >= current.duration

    async def _take(self, current: LeaseRecord | None) -> None:
        now, started = self._clock(), _now()
        changed = current is None or current.holder != self.identity
        transitions = 0 if current is None else current.transitions + int(changed)
        record = LeaseRecord(
            holder=self.identity,
            duration=int(self._times.duration),
            acquired_at=now if current is None or changed else current.acquired_at,
            renewed_at=now,
            transitions=transitions,
            version=None if current is None else current.version,
        )
        self._held, self._renewed_at = await self._store.write(record), started
        self._check(self._held)

    async def _renew(self) -> None:
        assert self._held is not None, "only a holder renews"
        started = _now()
        self._held = await self._store.write(replace(self._held, renewed_at=self._clock()))
        self._renewed_at = started
        self._check(self._held)

    async def _is_still_ours(self) -> bool:
        """After a conflict: somebody wrote to our Lease, which need not mean that it was taken."""
        try:
            current = await self._store.read()
        except ClusterError:
            return True  # nobody knows; the deadline decides
        self._check(current)
        if current is None or current.holder != self.identity:
            return False
        self._held = current
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()


def _number(record: LeaseRecord | None) -> int:
    """0: there is none, or it is no number, which tells nothing."""
    text = "" if record is None else record.version or ""
    return int(text) if text.isascii() and text.isdigit() else 0
