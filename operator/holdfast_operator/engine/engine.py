"""The engine: takes events in, runs one reconcile per key, and comes back by itself.

Owns workers, resync, periodic listing and the reaction to what the registry says of itself. Decides nothing about an
object and imports neither kopf nor a Kubernetes client. Neighbours: `queue`, `index`, `registry_watch`; `leadership`
starts and stops it in a cluster, `holdfast dev` starts it once.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.registry.port import RegistryError, RegistryUnavailable, StaleTerm
from holdfast.registry.records import RegistryDescription
from holdfast_operator.converge.outcome import Outcome, SweepResult
from holdfast_operator.engine.failures import Failure, failure_of
from holdfast_operator.engine.index import Index
from holdfast_operator.engine.pace import Pace
from holdfast_operator.engine.queue import Backoff, Jitter, Priority, WorkQueue
from holdfast_operator.engine.registry_watch import RegistryWatch
from holdfast_operator.reconcile.ports import Cluster, ClusterError, ClusterUnavailable, Conflict, Key, Kind, Object

log = logging.getLogger(__name__)

WORRY = 5.0  # seconds of back-off after which a failure is no longer a passing one
COUNT_DELAY = 0.5  # seconds; a policy's status counts clients: once for many changes
RESYNC_RATE = 5  # clients a second, at most, that are looked at though nothing has happened
COUNT_RATE = 500  # clients a second: counting lists all of them, so the more there are the rarer it is done


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """All times in seconds."""

    workers: int = 16
    pass_limit: float = 30.0
    """How long one pass may take; every call in it has a shorter limit of its own."""
    resync: float = 600.0
    """Every key is looked at about this often, spread by jitter, whether or not anything happened; less often where there
    are so many that it would be more than RESYNC_RATE."""
    listing: float = 600.0
    """How often everything is listed afresh, to find what a watch has missed."""
    sweeping: float = 300.0
    """How often the whole registry is compared with the objects while nothing seems wrong."""
    registry_interval: float = 1.0
    """How often the registry is asked whether it is still the one we know."""
    rate: float = 1000.0
    burst: int = 2000
    """Passes per second, in the long run and at once. Most of them ask nobody anything."""
    backoff: Backoff = field(default_factory=Backoff)


class Reconciles(Protocol):
    """What the engine asks of the reconciler."""

    cluster: Cluster

    @property
    def writes(self) -> int:
        """How many writes to the registry were made: tells its own change of the digest from somebody else's."""

    @property
    def config_map_name(self) -> str:
        """Of the ConfigMap that each namespace with a client has; "": none has."""

    async def configs_changed(self) -> bool:
        """Whether those ConfigMaps have to say something else than at the last question."""

    def config_map_changed(self, namespace: str, name: str) -> None: ...

    async def reconcile(self, key: Key) -> Outcome: ...

    async def sweep(self) -> SweepResult: ...

    async def describe(self) -> RegistryDescription: ...


PassObserver = Callable[[Key, float, str], None]
"""Told after each pass: key, seconds, and `done`, `waiting`, `retry` or `error`."""
FailureObserver = Callable[[Key, Failure], None]
"""Told of each pass that failed: why."""


class Stores(Protocol):
    """What the engine asks of them. Each may raise ClusterUnavailable."""

    async def begin_term(self) -> None:
        """Keep an earlier leader from the registry, before anything is read from it."""

    async def warm(self) -> None:
        """List what was never listed."""

    async def refresh(self) -> None:
        """List everything afresh; what no event has shown comes as one."""


class Engine:
    """Belongs to one event loop. `start` and `stop` may alternate; events are taken in at any time."""

    def __init__(
        self,
        reconciler: Reconciles,
        settings: EngineSettings | None = None,
        *,
        jitter: Jitter = random.uniform,
        observer: PassObserver = lambda key, seconds, result: None,
        on_failure: FailureObserver = lambda key, failure: None,
        stores: Stores | None = None,
    ) -> None:
        """`stores`: what the reconciler's reads are answered from; None: it always reads live."""
        self.settings = settings or EngineSettings()
        self.reconciler = reconciler
        self.index = Index(reconciler.config_map_name)
        self.queue = WorkQueue(backoff=self.settings.backoff, jitter=jitter)
        self.superseded = asyncio.Event()
        """Set when the registry says that a newer writer is at work: whoever started the engine must stop it."""
        self.registry_watch = RegistryWatch(reconciler)
        self._jitter, self._observer, self._stores = jitter, observer, stores
        self._on_failure = on_failure
        self._pace = Pace(self.settings.rate, self.settings.burst)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def running(self) -> bool:
        """Whether workers are at work."""
        return bool(self._tasks)

    async def start(self) -> None:
        """List everything once, then work until `stop`. Raises ClusterUnavailable when the first listing fails."""
        self.superseded.clear()
        self.registry_watch.forget()  # what went while another led, or nobody did, is left to be found in the registry
        if self._stores is not None:
            await self._stores.begin_term()
            await self._stores.warm()
        await self._look_at_everything()
        loops = [self._work] * self.settings.workers
        loops += [self._watch_registry, self._list_periodically, self._sweep_periodically]
        self._tasks = [asyncio.create_task(self._forever(loop)) for loop in loops]

    async def stop(self) -> None:
        """Stop at once: a pass under way is cancelled between two calls; the next start looks at everything again."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.queue.stop_timers()

    async def settled(self) -> None:
        """Wait until the queue is empty and the workers are idle."""
        await self.queue.idle()

    def on_change(self, kind: Kind, obj: Object, *, deleted: bool = False) -> None:
        """Take in an event: `obj` needs its metadata, and spec and status where it has them. Never raises, never waits.

        While the engine does not run nothing is queued: its start looks at everything.
        """
        if kind is Kind.CONFIG_MAP:
            self.reconciler.config_map_changed(obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
        gone = deleted or bool(obj["metadata"].get("deletionTimestamp"))
        keys = self.index.observe(kind, obj, deleted=deleted)
        for key in keys if self.running else ():
            self._concern(key, kind, gone=gone)

    def on_own_write(self, kind: Kind, obj: Object, foreign: bool) -> None:
        """As `on_change`, of what a pass has just written and goes on with. `foreign`: others had changed it meanwhile."""
        metadata = obj["metadata"]
        own = Key(Kind.OAUTH_CLIENT, metadata.get("namespace") or "", metadata["name"])
        for key in self.index.observe(kind, obj):
            if foreign or (key != own and key != Key(kind, "", own.name)):
                self._concern(key, kind, gone=False)

    def _concern(self, key: Key, kind: Kind, *, gone: bool) -> None:
        if key.kind is not Kind.MTLS_POLICY:
            self.queue.add(key, Priority.DELETION if gone and key.kind is kind else Priority.CHANGE)
        elif kind in (Kind.MTLS_POLICY, Kind.CONFIG_MAP):
            self.queue.add(key, Priority.DENIAL)  # a stolen certificate does not wait for the clients that it rules
        else:
            self.queue.add_after(key, COUNT_DELAY + len(self.index) / COUNT_RATE)

    async def relist(self) -> None:
        """Find what has changed or vanished without an event. Raises ClusterError."""
        if self._stores is not None:
            await self._stores.refresh()
        else:
            await self._look_at_everything()

    async def _look_at_everything(self) -> None:
        keys: set[Key] = set()
        behind: set[Key] = set()
        for kind in (Kind.NAMESPACE, Kind.MTLS_POLICY, Kind.OAUTH_CLIENT):
            listed = await self.reconciler.cluster.list(kind)
            keys |= self.index.replace(kind, _noting_what_is_behind(listed, kind, behind))
        keys |= self.index.clients() | self.index.policies() | self.index.config_maps()
        for key in sorted(keys, key=lambda k: (k.kind.kind, k)):
            self.queue.add(key, Priority.CHANGE if key in behind else Priority.RESYNC)

    async def sweep(self) -> None:
        """Compare the whole registry with the objects, and look at those that differ."""
        swept = await self.reconciler.sweep()
        for key in swept.look_at:
            self.queue.add(key)
        for key in self.index.requesters() if swept.deleted else ():
            self.queue.add(key, Priority.RESYNC)  # what is deleted may have owned what they ask for

    async def _forever(self, loop: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a loop that must not end: what nobody foresaw is logged, and it begins again."""
        while not self.superseded.is_set():
            try:
                await loop()
            except StaleTerm as error:
                self._supersede(error)
            except Exception:
                log.exception("%s failed in a way nobody foresaw, and begins again", loop.__name__)
                self.registry_watch.forget()
                await asyncio.sleep(self.settings.registry_interval)

    def _supersede(self, error: StaleTerm) -> None:
        log.warning("a newer writer is at work, this one stops: %s", error)
        self.superseded.set()

    async def _work(self) -> None:
        while not self.superseded.is_set():
            key = await self.queue.get()
            try:
                await self._pace.wait()
                await self._pass(key)
            finally:
                self.queue.done(key)

    async def _pass(self, key: Key) -> None:
        started, result = asyncio.get_running_loop().time(), "error"
        try:
            async with asyncio.timeout(self.settings.pass_limit):
                result = self._settle(key, await self.reconciler.reconcile(key))
        except StaleTerm as error:
            self._on_failure(key, failure_of(error))
            self.queue.add_after(key, 1.0)
            self._supersede(error)
        except (Conflict, ClusterUnavailable, RegistryUnavailable, TimeoutError) as error:
            result = "retry"
            self._on_failure(key, failure_of(error))
            asked = getattr(error, "retry_after", None) or 0.0
            self._pace.hold(asked)
            delay = self.queue.retry(key, asked)
            level = logging.WARNING if delay > WORRY else logging.INFO
            where = (key.kind.kind, key.namespace, key.name)
            log.log(level, "%s %s/%s: again in %.1f s: %s", *where, delay, error or "timeout")
        except (ClusterError, RegistryError) as error:
            self._on_failure(key, failure_of(error))
            delay = self.queue.retry(key)
            log.warning("%s %s/%s: again in %.1f s: %s", key.kind.kind, key.namespace, key.name, delay, error)
        except Exception as error:
            self._on_failure(key, failure_of(error))
            self.queue.retry(key)
            log.exception("%s %s/%s: a pass failed in a way nobody foresaw", key.kind.kind, key.namespace, key.name)
        finally:
            self._observer(key, asyncio.get_running_loop().time() - started, result)

    def _settle(self, key: Key, outcome: Outcome) -> str:
        if outcome.retry:
            self._on_failure(key, Failure.REGISTRY_UNAVAILABLE)
            self._pace.hold(outcome.requeue_after or 0.0)
            self.queue.retry(key, outcome.requeue_after or 0.0)
            return "retry"
        self.queue.forget(key)
        if outcome.gone:
            return "done"
        resync = max(self.settings.resync, len(self.index) / RESYNC_RATE) * self._jitter(0.8, 1.2)
        if outcome.requeue_after is None or outcome.requeue_after >= resync:
            self.queue.add_after(key, resync, Priority.RESYNC)
            return "done"
        self.queue.add_after(key, outcome.requeue_after)
        return "waiting"

    async def _watch_registry(self) -> None:
        while True:
            try:
                if await self.registry_watch.needs_sweep():
                    await self.sweep()
                    self.queue.retry_failing_now()
                for token in self.registry_watch.tokens:
                    self.queue.add(Key(Kind.OAUTH_CLIENT, token.namespace, token.name))
                if await self.reconciler.configs_changed():
                    for key in self.index.config_maps():
                        self.queue.add(key)
            except StaleTerm:
                raise
            except (RegistryError, ClusterError) as error:
                self.registry_watch.forget()
                log.info("the registry could not be compared: %s", error)
            await asyncio.sleep(self.settings.registry_interval)

    async def _list_periodically(self) -> None:
        while True:
            await asyncio.sleep(self.settings.listing * self._jitter(0.8, 1.2))
            try:
                await self.relist()
            except ClusterError as error:
                log.info("listing everything failed, the next one is due later: %s", error)

    async def _sweep_periodically(self) -> None:
        while True:
            await asyncio.sleep(self.settings.sweeping * self._jitter(0.8, 1.2))
            self.registry_watch.forget()


def _noting_what_is_behind(listed: Iterable[Object], kind: Kind, behind: set[Key]) -> Iterator[Object]:
    """Passes objects on; notes clients that changed after their status was written: they go first."""
    for obj in listed:
        status, metadata = obj.get("status") or {}, obj["metadata"]
        if kind is Kind.OAUTH_CLIENT and status.get("observedGeneration") != metadata.get("generation"):
            behind.add(Key(kind, metadata["namespace"], metadata["name"]))
        yield obj
