"""The work queue: a key waits at most once, never runs twice at the same time, runs again if it changed meanwhile.

Owns order (denials, deletions, changes, then resyncs), delays and the back-off of each key. Must not know what a key
stands for. Neighbour: `engine` takes keys out.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from holdfast_operator.reconcile.ports import Key

Jitter = Callable[[float, float], float]
"""Answers a number between two bounds: `random.uniform`, or a constant in tests."""


OBSTINATE = 3
"""Failures in a row after which a key no longer goes before what has only now changed: many such keep nobody waiting."""


class Priority(IntEnum):
    """Which key goes first."""

    DENIAL = 0
    DELETION = 1
    CHANGE = 2
    RESYNC = 3


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds until a failed key is tried again: `base` doubled for each failure in a row, at most `cap`."""

    base: float = 0.25
    cap: float = 30.0

    def delay(self, failures: int, jitter: Jitter) -> float:
        """Between half and all of the delay after `failures` (1 or more) failures in a row."""
        return min(self.cap, self.base * 2.0 ** min(failures - 1, 16)) * jitter(0.5, 1.0)


class WorkQueue:
    """Belongs to one event loop; no method but `get` and `idle` waits."""

    def __init__(self, *, backoff: Backoff, jitter: Jitter) -> None:
        self._backoff, self._jitter = backoff, jitter
        self._heap: list[tuple[Priority, int, Key]] = []
        self._order = itertools.count()
        self._dirty: dict[Key, Priority] = {}
        self._busy: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._available = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """Keys that are due and not yet taken."""
        return len(self._dirty)

    @property
    def failing(self) -> frozenset[Key]:
        """Keys whose last run failed."""
        return frozenset(self._failures)

    def add(self, key: Key, priority: Priority = Priority.CHANGE) -> None:
        """Make a key due now; a delay it was waiting for is dropped."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if self._dirty.get(key, Priority.RESYNC + 1) <= priority:
            return
        self._dirty[key] = priority
        self._idle.clear()
        if key not in self._busy:
            self._push(key, priority)

    def add_after(self, key: Key, delay: float, priority: Priority = Priority.CHANGE) -> None:
        """Make a key due in `delay` seconds; of two delays the earlier one wins."""
        if delay <= 0:
            self.add(key, priority)
            return
        loop = asyncio.get_running_loop()
        when, timer = loop.time() + delay, self._timers.get(key)
        if key in self._dirty or (timer is not None and timer.when() <= when):
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(when, self.add, key, priority)

    def retry(self, key: Key, at_least: float = 0.0) -> float:
        """Make a failed key due after its back-off, not before `at_least` seconds; answers the delay."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(failures, self._jitter))
        self.add_after(key, delay, Priority.CHANGE if failures < OBSTINATE else Priority.RESYNC)
        return delay

    def retry_failing_now(self) -> None:
        """What they failed at works again: do not wait for the back-off."""
        for key in self._failures:
            self.add(key)

    def forget(self, key: Key) -> None:
        """The key succeeded: its next failure is a first one."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key; the caller answers with `done`."""
        while True:
            while self._heap:
                priority, _, key = heapq.heappop(self._heap)
                if key not in self._busy and self._dirty.get(key) == priority:
                    del self._dirty[key]
                    self._busy.add(key)
                    return key
            self._available.clear()
            await self._available.wait()

    def done(self, key: Key) -> None:
        """The run of a key has ended; what changed meanwhile makes it due again."""
        self._busy.discard(key)
        if key in self._dirty:
            self._push(key, self._dirty[key])
        elif not self._busy and not self._dirty:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is due and nothing runs. Delayed keys do not count."""
        await self._idle.wait()

    def stop_timers(self) -> None:
        """Forget every delay: nothing becomes due by itself any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _push(self, key: Key, priority: Priority) -> None:
        heapq.heappush(self._heap, (priority, next(self._order), key))
        self._available.set()
