"""Everything that knows kopf: watches whose raw events are handed to our own engine.

Only `on.event` handlers are registered, so kopf writes nothing to any object: no annotation, no finalizer, no status.
kopf runs in threads with event loops of their own, because it takes every task of its loop, and the signals of the main
thread, for its own. Must not decide anything. Neighbours: `main` and `injector` give it where to put events.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError, Future
from typing import Any

import kopf

from holdfast_operator.engine.index import FOLLOWED
from holdfast_operator.reconcile.permission import on
from holdfast_operator.reconcile.ports import ClusterError, Kind, Object

log = logging.getLogger(__name__)

EventSink = Callable[[Kind, Object, bool], None]
"""Kind, object, whether it was deleted. Called in kopf's thread; must return at once."""

_QUIET_LOGGERS = ("kopf.objects", "kopf.activities", "kopf._core", "kopf._cogs")
"""kopf tells of every event; what matters of it comes as a warning."""


GUESTS_RETRY = 5.0
"""Seconds between two looks for kinds that may be absent."""
PERMISSIONS = tuple(on(kind, "list", "watch") for kind in FOLLOWED)


Served = Callable[[Kind], Coroutine[Any, Any, bool]]
"""Whether the API server knows the kind now. Called in the loop that `start` is called in; may raise ClusterError."""


class Shell:
    """Watches kinds, from `start` until `stop`: in `namespaces`, or in all of them where none is named.

    cert-manager's kinds have a thread of their own and come and go with their definitions: kopf ends where one of the kinds
    that it watches is not served any more, and would hold every object hostage with it.
    """

    def __init__(
        self,
        sink: EventSink,
        kinds: Iterable[Kind] = FOLLOWED,
        namespaces: Iterable[str] = (),
        *,
        served: Served,
    ) -> None:
        watched, self._served = tuple(kinds), served
        guests = tuple(kind for kind in watched if kind.may_be_absent)
        places = tuple(namespaces)
        self._own = _Watch(sink, tuple(kind for kind in watched if kind not in guests), places)
        self._guests = _Watch(sink, guests, places)
        self.ended: Future[None] = Future()
        """Done when the watches have ended, with the error that ended them, if any."""

    @property
    def ready(self) -> bool:
        """Whether kopf has started all it was asked to start, as far as it is served."""
        return self._own.ready.is_set() and self._guests.ready.is_set()

    def start(self) -> None:
        """Begin to watch."""
        for name in _QUIET_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._loop = asyncio.get_running_loop()
        for name, run in (("kopf", self._run), ("kopf-guests", self._run_guests)):
            threading.Thread(target=run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Ask it to end; `ended` says when it has."""
        for watch in (self._own, self._guests):
            watch.stop.set()

    def _run(self) -> None:
        try:
            self._own.run()
        except BaseException as error:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _run_guests(self) -> None:
        while not self._guests.stop.is_set():
            if self._are_served():
                try:
                    self._guests.run()
                except Exception as error:  # whatever it is, what is ours goes on
                    log.warning("the watches of cert-manager's kinds have ended and begin again: %s", error)
            self._guests.ready.set()
            self._guests.stop.wait(GUESTS_RETRY)

    def _are_served(self) -> bool:
        try:
            asked = [asyncio.run_coroutine_threadsafe(self._served(kind), self._loop) for kind in self._guests.kinds]
            return all(answer.result(GUESTS_RETRY) for answer in asked)
        except (ClusterError, RuntimeError, TimeoutError, CancelledError):  # the loop may have ended meanwhile
            return False


class _Watch:
    """One kopf, run as often as it takes."""

    def __init__(self, sink: EventSink, kinds: tuple[Kind, ...], namespaces: tuple[str, ...]) -> None:
        self.kinds = kinds
        self.stop, self.ready = threading.Event(), threading.Event()
        self._sink, self._namespaces = sink, namespaces

    def run(self) -> None:
        """Until `stop`, or until kopf fails."""
        asyncio.run(self._operate())

    async def _operate(self) -> None:
        await kopf.operator(
            registry=_registry(self._sink, self.kinds),
            settings=_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self.stop,
            ready_flag=self.ready,
        )


class _NoDifferences(kopf.DiffBaseStorage):
    """kopf copies each object to tell later what has changed in it, which nobody asks: half of what an event costs."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing: no object is written to."""


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # needs no rights on CRDs and namespaces; the CRDs are installed first
    settings.peering.standalone = True  # peers of equal priority pause one another; our Lease decides
    settings.posting.enabled = False  # events are ours, on transitions only
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 290  # below the five minutes after which idle connections are cut
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.queueing.idle_timeout = 0.5  # a worker of kopf's own per object lives this long; ours do the work
    settings.process.ultimate_exiting_timeout = 40  # below the grace period of the pod
    return settings


def _registry(sink: EventSink, kinds: Iterable[Kind]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login)
    for kind in kinds:
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(_handler(kind, sink))
    return registry


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Explicitly, so that it does not depend on which client library is installed."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def _handler(kind: Kind, sink: EventSink) -> Callable[..., Any]:
    async def observe(event: dict[str, Any], **_: Any) -> None:
        sink(kind, dict(event["object"]), event["type"] == "DELETED")

    return observe
