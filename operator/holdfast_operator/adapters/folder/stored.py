"""The form an object has on disk, checked before anything leans on it.

Owns what a stored file must hold; whoever edits or damages one is told which, and where it differs. Knows no rule of a
kind beyond that. Neighbours: `objects` writes and reads them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from holdfast_operator.reconcile.ports import ClusterError, Kind, Object

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """An object, what its field manager wants of it, and the file that declared it."""

    object: Object
    intent: Object | None
    origin: str | None


def read_record(kind: Kind, path: Path) -> Record:
    """Read the file of an object of `kind`. Raises ClusterError, which names the file and the member that is wrong."""
    try:
        record = json.loads(path.read_bytes())
        obj = _member(record, "object", dict)
        _check_object(kind, obj)
        if obj["metadata"]["uid"] != path.stem:
            raise ValueError(f"uid: expected {path.stem}, as the file is named")
        intent, origin = _optional(record, "intent", dict), _optional(record, "origin", str)
        if intent is not None:
            _check_names(kind, _member(intent, "metadata", dict))
        return Record(obj, intent, origin)
    except RecursionError as error:
        raise ClusterError(f"{path}: expected an object as written here earlier, found one nested too deeply") from error
    except ValueError as error:
        raise ClusterError(f"{path}: expected an object as written here earlier, found otherwise: {error}") from error
    except OSError as error:
        raise ClusterError(f"{path}: cannot be read: {error.strerror}") from error


def _check_object(kind: Kind, obj: Object) -> None:
    if (obj.get("apiVersion"), obj.get("kind")) != (kind.api_version, kind.kind):
        raise ValueError(f"object: expected a {kind.api_version} {kind.kind}")
    meta = _member(obj, "metadata", dict)
    _check_names(kind, meta)
    for member in ("uid", "creationTimestamp"):
        _member(meta, member, str)
    _member(meta, "generation", int)
    if not _member(meta, "resourceVersion", str).isdecimal():
        raise ValueError("resourceVersion: expected a number")
    for member in ("labels", "annotations"):
        for name, value in (_optional(meta, member, dict) or {}).items():
            _require(name, value, str)
    for reference in _optional(meta, "ownerReferences", list) or ():
        _require("ownerReferences", reference, dict)
    for finalizer in _optional(meta, "finalizers", list) or ():
        _require("finalizers", finalizer, str)
    if kind not in (Kind.CONFIG_MAP, Kind.ISSUER, Kind.CLUSTER_ISSUER):
        _optional(obj, "spec", dict)
    status = _optional(obj, "status", dict) or {}
    _optional(status, "certificate", str if kind is Kind.CERTIFICATE_REQUEST else dict)
    _optional(status, "revision", int)
    for condition in _optional(status, "conditions", list) or ():
        for member in ("type", "status"):
            _member(_require("conditions", condition, dict), member, str)


def _check_names(kind: Kind, meta: Mapping[str, Any]) -> None:
    _member(meta, "name", str)
    if kind.namespaced:
        _member(meta, "namespace", str)


def _member(value: Any, member: str, of: type[T]) -> T:
    return _require(member, _require("the file", value, dict).get(member), of)


def _optional(value: Any, member: str, of: type[T]) -> T | None:
    return None if _require("the file", value, dict).get(member) is None else _member(value, member, of)


def _require(name: str, value: Any, of: type[T]) -> T:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}
    if not isinstance(value, of):
        raise ValueError(f"{name}: expected {names[of]}")
    return value
