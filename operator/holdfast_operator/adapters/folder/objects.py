"""The objects themselves, kept as an API server keeps them: uid, generation, resourceVersion, status, finalizers.

Owns storage (one JSON file per object below a folder) and the semantics of writes. Knows no YAML, no certificates and no
rules of a kind. Everything is synchronous and small; a write is on disk before it is seen. Neighbours: `cluster`;
`stored` reads the files back.
"""

import copy
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.clock import Clock
from holdfast_operator.adapters.folder.merge import merge
from holdfast_operator.adapters.folder.stored import read_record
from holdfast_operator.reconcile.ports import ClusterError, Conflict, Key, Kind, Object, Rejected

Listener = Callable[[Kind, Object, bool], None]
"""Told of every change: kind, the object as it is now (or was last), and whether it is gone."""


class ObjectStore:
    """Objects by kind, namespace and name. Answers are copies: changing one changes nothing here."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._objects: dict[Key, Object] = {}
        self._intents: dict[Key, Object] = {}
        self._origins: dict[Key, str] = {}
        self._listeners: list[Listener] = []
        self._version = 0
        self._load()

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called after each change, in the caller's turn."""
        self._listeners.append(listener)

    def get(self, key: Key) -> Object | None:
        found = self._objects.get(key)
        return copy.deepcopy(found) if found is not None else None

    def view(self, kind: Kind) -> Iterator[Object]:
        """All objects of a kind as they are kept, oldest first: to look at, never to change."""
        found = [obj for key, obj in self._objects.items() if key.kind is kind]
        return iter(sorted(found, key=lambda obj: (obj["metadata"]["creationTimestamp"], obj["metadata"]["name"])))

    def list(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Object]:
        wanted = (labels or {}).items()
        found = [
            (key, obj)
            for key, obj in self._objects.items()
            if key.kind is kind
            and namespace in (None, key.namespace)
            and wanted <= obj["metadata"].get("labels", {}).items()
        ]
        return [copy.deepcopy(obj) for _, obj in sorted(found, key=lambda item: item[0][1:])]

    def origins(self) -> dict[Key, str]:
        """The objects that a document declared, with the file it stood in."""
        return dict(self._origins)

    def declare(self, key: Key, obj: Object, origin: str | None) -> None:
        """Make the object what its document (in the file `origin`) or its controller (None) says, but for its status,
        its finalizers and what a server owns.

        An object that is going away stays as it is; it may be declared anew once it is gone.
        """
        live = self._objects.get(key)
        if live is not None and "deletionTimestamp" in live["metadata"]:
            return
        moved = self._origins.get(key) != origin
        self._origins.pop(key, None)
        if origin is not None:
            self._origins[key] = origin
        base = live if live is not None else self._created(key)
        kept = {m: v for m, v in base["metadata"].items() if m not in ("labels", "annotations")}
        new = {**obj, "metadata": {**kept, **obj["metadata"]}}
        if "status" in base:
            new["status"] = base["status"]
        self._put(key, new, bookkeeping=moved)

    def apply(self, kind: Kind, intent: Object) -> Object:
        """Server-side apply by the one field manager. Raises Conflict (uid, resourceVersion), Rejected (no namespace)."""
        key = key_of(kind, intent)
        live = self._objects.get(key)
        if live is None:
            self._check_namespace(key)
            if "uid" in intent["metadata"]:
                raise Conflict(f"{kind.kind} {key.namespace}/{key.name}: expected uid, found no object")
        self._check_preconditions(key, intent, live)
        intent = copy.deepcopy({m: v for m, v in intent.items() if m != "status"})
        for member in ("uid", "resourceVersion"):
            intent["metadata"].pop(member, None)
        base = live if live is not None else self._created(key)
        new = merge(base, self._intents.get(key, {}), intent)
        changed = self._intents.get(key) != intent
        self._intents[key] = intent
        return self._put(key, new, bookkeeping=changed)

    def apply_status(self, kind: Kind, obj: Object) -> Object:
        """Replace the status. Raises Conflict when the object is gone or another."""
        key = key_of(kind, obj)
        live = self._objects.get(key)
        if live is None:
            raise Conflict(f"{kind.kind} {key.namespace}/{key.name}: expected an object to set the status of, found none")
        self._check_preconditions(key, obj, live)
        return self._put(key, {**live, "status": copy.deepcopy(obj.get("status", {}))})

    def set_finalizers(self, kind: Kind, obj: Object, finalizers: Sequence[str]) -> Object | None:
        """Replace the finalizers of the object as it was read. None when it is gone. Raises Conflict."""
        key = key_of(kind, obj)
        live = self._objects.get(key)
        if live is None or live["metadata"]["uid"] != obj["metadata"].get("uid", live["metadata"]["uid"]):
            return None
        self._check_preconditions(key, obj, live)
        meta = {m: v for m, v in live["metadata"].items() if m != "finalizers"}
        if finalizers:
            if "deletionTimestamp" in meta and not set(finalizers) <= set(live["metadata"].get("finalizers", [])):
                raise Rejected(f"{kind.kind} {key.namespace}/{key.name}: no finalizer may be added while it is deleted")
            meta["finalizers"] = list(finalizers)
        if "deletionTimestamp" in meta and not finalizers:
            self._remove(key)
            return None
        return self._put(key, {**live, "metadata": meta})

    def delete(self, key: Key, uid: str | None = None) -> None:
        """Delete, or mark as being deleted while finalizers hold it. Absent or another uid: done already."""
        live = self._objects.get(key)
        if live is None or (uid is not None and live["metadata"]["uid"] != uid):
            return
        if not live["metadata"].get("finalizers"):
            self._remove(key)
        elif "deletionTimestamp" not in live["metadata"]:
            now = timestamp(self._clock)
            self._put(key, {**live, "metadata": {**live["metadata"], "deletionTimestamp": now}}, generation=True)

    def _created(self, key: Key) -> Object:
        meta = {"name": key.name, "uid": str(uuid.uuid4()), "creationTimestamp": timestamp(self._clock), "generation": 0}
        if key.namespace:
            meta["namespace"] = key.namespace
        return {"apiVersion": key.kind.api_version, "kind": key.kind.kind, "metadata": meta}

    def _check_namespace(self, key: Key) -> None:
        if key.namespace and Key(Kind.NAMESPACE, "", key.namespace) not in self._objects:
            raise Rejected(f"{key.kind.kind} {key.namespace}/{key.name}: namespace {key.namespace!r} does not exist")

    def _check_preconditions(self, key: Key, obj: Object, live: Object | None) -> None:
        for member in ("uid", "resourceVersion"):
            expected = obj["metadata"].get(member)
            found = live["metadata"][member] if live is not None else None
            if expected is not None and expected != found:
                raise Conflict(f"{key.kind.kind} {key.namespace}/{key.name}: expected {member} {expected}, found {found}")

    def _put(self, key: Key, new: Object, *, bookkeeping: bool = False, generation: bool = False) -> Object:
        """Keep `new` if it differs; only what is neither metadata nor status makes a new generation."""
        live = self._objects.get(key)
        if live is None or generation or _content(live) != _content(new):
            new = {**new, "metadata": {**new["metadata"], "generation": new["metadata"]["generation"] + 1}}
        if live == new:
            if bookkeeping:
                self._save(key, new)
            return copy.deepcopy(new)
        self._version += 1
        new = copy.deepcopy({**new, "metadata": {**new["metadata"], "resourceVersion": str(self._version)}})
        self._save(key, new)
        self._objects[key] = new
        self._tell(key, new, gone=False)
        return copy.deepcopy(new)

    def _remove(self, key: Key) -> None:
        gone = self._objects.pop(key)
        self._intents.pop(key, None)
        self._origins.pop(key, None)
        self._path(key, gone).unlink(missing_ok=True)
        self._tell(key, gone, gone=True)
        self._collect(gone["metadata"]["uid"])

    def _collect(self, uid: str) -> None:
        """Delete what only the object of this uid owned, as the garbage collector does."""
        for key, obj in list(self._objects.items()):
            owners = obj["metadata"].get("ownerReferences", [])
            if owners and all(o.get("uid") == uid for o in owners):
                self.delete(key)

    def _tell(self, key: Key, obj: Object, *, gone: bool) -> None:
        for listener in self._listeners:
            listener(key.kind, copy.deepcopy(obj), gone)

    def _path(self, key: Key, obj: Object) -> Path:
        # By uid: a name may be longer than a file name can be.
        return self._folder / key.kind.plural / f"{obj['metadata']['uid']}.json"

    def _save(self, key: Key, obj: Object) -> None:
        record = {"object": obj, "intent": self._intents.get(key), "origin": self._origins.get(key)}
        write_atomically(self._path(key, obj), json.dumps(record, indent=1).encode())

    def _load(self) -> None:
        for kind, path in self._stored():
            record = read_record(kind, path)
            key = key_of(kind, record.object)
            if key in self._objects:
                raise ClusterError(f"{path}: expected one file of each object, found a second of {key.kind.kind} {key.name}")
            self._version = max(self._version, int(record.object["metadata"]["resourceVersion"]))
            self._objects[key] = record.object
            if record.intent is not None:
                self._intents[key] = record.intent
            if record.origin is not None:
                self._origins[key] = record.origin

    def _stored(self) -> Iterator[tuple[Kind, Path]]:
        for kind in Kind:
            for path in sorted((self._folder / kind.plural).glob("*.json")):
                yield kind, path


def key_of(kind: Kind, obj: Object) -> Key:
    """Where the object is kept."""
    return Key(kind, obj["metadata"].get("namespace", "") if kind.namespaced else "", obj["metadata"]["name"])


def timestamp(clock: Clock) -> str:
    """The present moment as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file as a whole, readable by the owner alone: a reader sees the old or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def _content(obj: Object) -> dict[str, Any]:
    return {m: v for m, v in obj.items() if m not in ("metadata", "status")}
