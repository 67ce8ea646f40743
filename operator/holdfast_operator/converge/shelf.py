"""What a mirror knows of the cluster's objects: each once, as JSON, under the newest resourceVersion that was seen of it.

Owns which of two versions is the newer one, and that a deletion is not undone by an older listing. As JSON, because ten
thousand objects as dictionaries would take some hundred megabytes. Must not do I/O. Neighbour: `mirror`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import orjson

from holdfast_operator.reconcile.ports import Kind, Object

Place = tuple[str, str]
"""Namespace ("" for cluster-scoped kinds) and name."""

_ANNOTATIONS = ("cert-manager.io/", "holdfast.dev/")
"""Those that somebody here reads."""


@dataclass(frozen=True, slots=True)
class _Stored:
    version: int
    text: bytes


class Parsed(Sequence[Object]):
    """Objects that are parsed when they are looked at, and again each time."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> Object: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Object]: ...

    def __getitem__(self, index: int | slice) -> Object | Sequence[Object]:
        if isinstance(index, slice):
            return Parsed(self._texts[index])
        found: Object = orjson.loads(self._texts[index])
        return found

    def __iter__(self) -> Iterator[Object]:
        return map(orjson.loads, self._texts)


class Shelf:
    """Objects of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._objects: dict[str, dict[str, _Stored]] = {}
        self._gone: dict[Place, int] = {}

    def put(self, obj: Object) -> bool:
        """Whether it is newer than what was known; what is not changes nothing."""
        namespace, name = place_of(obj)
        version, known = _version(obj), self._objects.get(namespace, {}).get(name)
        if version <= max(self._gone.get((namespace, name), 0), known.version if known else 0):
            return False
        self._gone.pop((namespace, name), None)
        self._objects.setdefault(namespace, {})[name] = _Stored(version, orjson.dumps(_essence(obj, self._kind)))
        return True

    def drop(self, place: Place, version: int = 0) -> bool:
        """It is gone, by an event with this version, or (0) as it was last known. Whether that is news: it is not where a
        newer one is known, but it is where only a write of ours had shown it before."""
        known, gone = self._objects.get(place[0], {}).get(place[1]), self._gone.get(place, 0)
        if version and max(gone, known.version if known else 0) > version:
            return False
        self._gone[place] = max(version, gone, known.version if known else 0)
        self._objects.get(place[0], {}).pop(place[1], None)
        return known is not None or version > gone

    def get(self, place: Place) -> Object | None:
        known = self._objects.get(place[0], {}).get(place[1])
        return None if known is None else orjson.loads(known.text)

    def all(self, namespace: str | None = None) -> Parsed:
        """Those of one namespace, or (None) of all."""
        found = self._objects.values() if namespace is None else (self._objects.get(namespace, {}),)
        return Parsed([stored.text for objects in found for stored in objects.values()])

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def versions(self) -> dict[Place, int]:
        """To tell later what has not changed since."""
        return {(ns, name): s.version for ns, found in self._objects.items() for name, s in found.items()}

    def forget_deletions(self) -> None:
        """After a listing that began when all of them were known."""
        self._gone.clear()


def place_of(obj: Object) -> Place:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def version_of(obj: Object) -> int:
    """Of one object, and since Kubernetes 1.35 by contract, a later version is a larger number; 0: it has none."""
    return _version(obj)


def _version(obj: Object) -> int:
    text = str(obj["metadata"].get("resourceVersion") or "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _essence(obj: Object, kind: Kind) -> Mapping[str, Any]:
    """Without what no decision depends on, which is a third of the whole and may be a quarter of a megabyte where a tenant
    writes annotations; with what a listing leaves out of its items.
    """
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("managedFields", "annotations")}
    if kept := {k: v for k, v in (obj["metadata"].get("annotations") or {}).items() if k.startswith(_ANNOTATIONS)}:
        metadata["annotations"] = kept
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": metadata}
