"""`FolderCluster`: the `Cluster` port over a folder of YAML and a local CA.

Owns how a reading of the folder becomes objects: what is declared is kept, what is broken keeps its last good form (also
over a restart: objects and the files they came from are stored below the data folder) or stays out when it never had one,
what is gone is deleted. Neighbours: `documents`, `objects`, `issuance`; `holdfast dev` calls `refresh` on each edit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from holdfast.clock import Clock, pause
from holdfast_operator.adapters.folder.config_files import ConfigFiles
from holdfast_operator.adapters.folder.documents import Problem, Reading, read_folder
from holdfast_operator.adapters.folder.issuance import Issuance
from holdfast_operator.adapters.folder.metadata import SMALL_KINDS, Problems, small_kind_problems
from holdfast_operator.adapters.folder.objects import Listener, ObjectStore, key_of
from holdfast_operator.reconcile.ports import Key, Kind, Object, Rejected

BUILT_IN_ISSUER = "workloads"
"""The ClusterIssuer that is there without a document."""

SECOND_LOOK = 0.15  # seconds: editors replace a file by taking it away for a moment; what is gone twice is gone
MAX_EVENTS = 200  # kept in memory for whoever asks; the newest matter
SHORTEST_SLEEP = 0.2  # seconds; whatever says that it is due at once, it does not keep the processor busy
LONGEST_SLEEP = 30.0  # seconds between looks at the clock, which may have been moved

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderEvent:
    """What an Event object would say."""

    key: Key
    warning: bool
    reason: str
    message: str


class FolderCluster:
    """Objects declared in `root`, everything else kept below `data`; `clock` rules certificates and timestamps."""

    def __init__(self, root: Path, data: Path, clock: Clock) -> None:
        self._root = root
        self._data = data
        self._clock = clock
        self._store = ObjectStore(data / "objects", clock)
        self._issuance = Issuance(self._store, data, clock)
        self._config_files = ConfigFiles(data / "config-maps")
        self._reading = Reading()
        self._accepted: dict[Key, tuple[Object, Object]] = {}
        self._certificates_changed = asyncio.Event()
        self._issuing: asyncio.Task[None] | None = None
        self.events: deque[FolderEvent] = deque(maxlen=MAX_EVENTS)
        self._store.subscribe(self._changed)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the folder, as last read."""
        return tuple(self._reading.problems)

    @property
    def notes(self) -> tuple[str, ...]:
        """Documents of other kinds, which are left alone."""
        return tuple(self._reading.notes)

    def issued_folder(self, certificate: Object) -> Path | None:
        """Where the files lie that were issued for a Certificate; None while there are none."""
        return self._issuance.issued_folder(certificate)

    def subscribe(self, listener: Listener) -> None:
        """Have `listener(kind, object, gone)` called after each change, also our own."""
        self._store.subscribe(listener)

    async def start(self) -> None:
        """Read the folder, then issue certificates whenever one is asked for or due. Undone by `stop`."""
        await self.refresh()
        for obj in self._store.list(Kind.CONFIG_MAP):
            self._config_files.changed(obj, gone=False)
        self._issuing = asyncio.create_task(self._keep_issuing())

    async def stop(self) -> None:
        """Stop issuing."""
        if self._issuing is not None:
            self._issuing.cancel()
            await asyncio.gather(self._issuing, return_exceptions=True)
            self._issuing = None

    async def refresh(self) -> None:
        """Read the folder again and make the objects what it declares now."""
        reading = await self._read()
        missing = self._missing(reading)
        if missing:
            await asyncio.sleep(SECOND_LOOK)
            reading = await self._read()
            missing &= self._missing(reading)
        self._reading = reading
        self._accepted = {key: kept for key, kept in self._accepted.items() if key in reading.documents}
        self._declare_namespaces(reading)
        for key, document in sorted(reading.documents.items(), key=lambda item: item[0].kind is not Kind.NAMESPACE):
            self._store.declare(key, document.object, document.file)
        for key in missing:
            self._withdraw(key)
        self._declare_built_in()

    async def issue(self) -> datetime | None:
        """Issue every certificate that is due; when the next one will be."""
        return await self._issuance.step()

    async def _read(self) -> Reading:
        # In a thread: the server of the same process answers tokens meanwhile.
        return await asyncio.to_thread(read_folder, self._root, self._check, skip=self._data)

    def _missing(self, reading: Reading) -> set[Key]:
        """Objects that came from a document and that no document means any more, as far as can be read."""
        return {
            key
            for key, file in self._store.origins().items()
            if key not in reading.documents and key not in reading.broken and not _hidden(file, reading.unreadable)
        }

    def _declare_namespaces(self, reading: Reading) -> None:
        """A namespace that is only used is there without a document, as bare as `kubectl create namespace` makes it."""
        for name in sorted({key.namespace for key in reading.documents if key.namespace}):
            key = Key(Kind.NAMESPACE, "", name)
            if key not in reading.documents and self._store.get(key) is None:
                self._store.declare(key, _namespace(name), None)

    def _withdraw(self, key: Key) -> None:
        if key.kind is Kind.NAMESPACE and any(k.namespace == key.name for k in self._reading.documents):
            self._store.declare(key, _namespace(key.name), None)
        else:
            self._store.delete(key)

    def _declare_built_in(self) -> None:
        key = Key(Kind.CLUSTER_ISSUER, "", BUILT_IN_ISSUER)
        if self._store.get(key) is None:
            issuer = {"apiVersion": key.kind.api_version, "kind": key.kind.kind, "metadata": {"name": key.name}}
            self._store.declare(key, {**issuer, "spec": {}}, None)

    def _changed(self, kind: Kind, obj: Object, gone: bool) -> None:
        if kind is Kind.CONFIG_MAP:
            self._config_files.changed(obj, gone)
        if kind in (Kind.CERTIFICATE, Kind.ISSUER, Kind.CLUSTER_ISSUER):
            self._certificates_changed.set()
        key = key_of(kind, obj)
        document = self._reading.documents.get(key)
        if gone and document is not None:
            # It was taken out and put back while a finalizer still held it: now it may come anew.
            self._store.declare(key, document.object, document.file)

    async def _keep_issuing(self) -> None:
        while True:
            try:
                due = await self.issue()
            except OSError as error:
                log.error("certificates cannot be written: %s", error)
                due = None
            except Exception:
                log.exception("certificates cannot be issued, in a way nobody foresaw")
                due = None
            left = (due - self._clock()).total_seconds() if due is not None else LONGEST_SLEEP
            await pause(min(max(left, SHORTEST_SLEEP), LONGEST_SLEEP), self._certificates_changed)

    def _check(self, key: Key, obj: Object) -> tuple[Object, Problems]:
        """Judge a document. What was judged before and stands is not judged again: rules cost milliseconds each."""
        old = self._store.get(key)
        written, settled = self._accepted.get(key, ({}, {}))
        if old is not None and written == obj and settled.get("spec") == old.get("spec"):
            return settled, []
        settled, problems = _judge(key, obj, old)
        if not problems:
            self._accepted[key] = (obj, settled)
        return settled, problems

    def _refuse_invalid(self, kind: Kind, obj: Object, old: Object | None) -> None:
        """The rules hold for the operator's own writes, too. Raises Rejected."""
        _, problems = _judge(key_of(kind, obj), obj, old)
        if problems:
            raise Rejected(f"{kind.kind} {obj['metadata']['name']}: " + "; ".join(f"{f}: {m}" for f, m in problems))

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._store.get(Key(kind, namespace if kind.namespaced else "", name))

    async def list(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Object]:
        return self._store.list(kind, namespace, labels)

    async def apply(self, kind: Kind, obj: Object) -> Object:
        self._refuse_invalid(kind, obj, self._store.get(key_of(kind, obj)))
        return self._store.apply(kind, obj)

    async def apply_status(self, kind: Kind, obj: Object) -> Object:
        live = self._store.get(key_of(kind, obj))
        if live is not None:
            self._refuse_invalid(kind, {**live, "status": obj.get("status", {})}, live)
        return self._store.apply_status(kind, obj)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._store.delete(Key(kind, namespace if kind.namespaced else "", name), uid)

    async def set_finalizers(self, kind: Kind, obj: Object, finalizers: Sequence[str]) -> Object | None:
        return self._store.set_finalizers(kind, obj, finalizers)

    async def record_event(self, kind: Kind, obj: Object, *, warning: bool, reason: str, message: str) -> None:
        event = FolderEvent(key_of(kind, obj), warning, reason, message)
        self.events.append(event)
        log.info("%s %s/%s: %s: %s", kind.kind, event.key.namespace, event.key.name, reason, message)


def _judge(key: Key, obj: Object, old: Object | None) -> tuple[Object, Problems]:
    """The object with its defaults, and what is wrong with it as the successor of `old`."""
    if key.kind in SMALL_KINDS:
        return obj, small_kind_problems(key, obj)
    if key.kind not in (Kind.OAUTH_CLIENT, Kind.MTLS_POLICY):
        return obj, []  # cert-manager's: `issuance` says in the status what cannot be done
    if old is not None and "deletionTimestamp" in old["metadata"]:
        old = None  # what is going away does not bind what comes after it
    try:
        return apply_defaults_and_validate(obj, old), []
    except InvalidObject as error:
        return obj, [(problem.field, problem.message) for problem in error.problems]


def _hidden(file: str, unreadable: set[str]) -> bool:
    """Whether the file, or a folder above it, could not be read: then what came from it may still be meant."""
    return any(bad == "." or file == bad or (bad.endswith("/") and file.startswith(bad)) for bad in unreadable)


def _namespace(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
    }
