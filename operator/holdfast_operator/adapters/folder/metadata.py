"""What every object must have, whatever its kind: a name, a namespace, labels and annotations of strings.

Owns identity and the small kinds that no CRD describes (ConfigMap, Namespace, issuers). Neighbours: `documents`.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from holdfast_operator.reconcile.ports import Key, Kind, Object

DEFAULT_NAMESPACE = "default"

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

_SERVER_OWNED = {
    *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
    *("managedFields", "selfLink", "finalizers", "ownerReferences"),
}
"""What `kubectl get -o yaml` prints and a declaration does not decide."""
_DECLARED = {"name", "namespace", "labels", "annotations"}

SMALL_KINDS = (Kind.CONFIG_MAP, Kind.NAMESPACE, Kind.ISSUER, Kind.CLUSTER_ISSUER)
"""Kinds that no CRD of ours describes and that a folder may declare."""

Problems = list[tuple[str, str]]


def is_subdomain(name: object) -> bool:
    """RFC 1123 subdomain, as most object names must be; also safe as one part of a path."""
    return isinstance(name, str) and len(name) <= 253 and bool(_SUBDOMAIN.fullmatch(name))


def is_label(name: object) -> bool:
    """RFC 1123 label, as namespaces must be."""
    return isinstance(name, str) and len(name) <= 63 and bool(_LABEL.fullmatch(name))


def identify(kind: Kind, value: Mapping[str, Any]) -> tuple[Key | None, Problems]:
    """The object a document means and what is wrong with its metadata; no key where the name itself is wrong."""
    meta = value.get("metadata")
    if not isinstance(meta, dict):
        return None, [("metadata", f"expected an object, found {meta!r}")]
    name, namespace = meta.get("name"), meta.get("namespace")
    wrong = _name_problem(name, label=kind is Kind.NAMESPACE)
    if wrong:
        return None, [("metadata.name", wrong)]
    if not kind.namespaced:
        scope: Problems = [] if namespace is None else [("metadata.namespace", "Forbidden: not allowed on this type")]
        return Key(kind, "", str(name)), scope + _metadata_problems(meta)
    wrong = _name_problem(namespace, label=True) if namespace is not None else None
    if wrong:
        return None, [("metadata.namespace", wrong)]
    return Key(kind, namespace or DEFAULT_NAMESPACE, str(name)), _metadata_problems(meta)


def _name_problem(name: object, *, label: bool) -> str | None:
    """What the API server says of a name that it does not take."""
    if not name:
        return "Required value"
    if (label and is_label(name)) or (not label and is_subdomain(name)):
        return None
    form, signs = ("label", "or '-'") if label else ("subdomain", "'-' or '.'")
    comma = "" if label else ","
    return (
        f"Invalid value: {json.dumps(name)[:100]}: a lowercase RFC 1123 {form} must consist of lower case alphanumeric "
        f"characters{comma} {signs}, and must start and end with an alphanumeric character"
    )


def _metadata_problems(meta: Mapping[str, Any]) -> Problems:
    unknown = sorted(set(meta) - _DECLARED - _SERVER_OWNED)
    problems = [(f"metadata.{member}", f'unknown field "metadata.{member}"') for member in unknown]
    for member in ("labels", "annotations"):
        problems += _strings(f"metadata.{member}", meta.get(member))
        problems += _key_problems(f"metadata.{member}", meta.get(member), lowered=member == "annotations")
    labels = meta.get("labels")
    for label, value in labels.items() if isinstance(labels, dict) else ():
        if isinstance(value, str) and not (len(value) <= 63 and _LABEL_VALUE.fullmatch(value)):
            expected = "a label value of at most 63 letters, digits, '-', '_' and '.'"
            problems.append((f"metadata.labels[{label}]", f"expected {expected}, found {value!r}"))
    return problems


def _key_problems(field: str, value: Any, *, lowered: bool) -> Problems:
    """Keys must be qualified names; the API server takes those of annotations in any case."""
    expected = "a key of at most 63 letters, digits, '-', '_' and '.', which may follow a DNS subdomain and '/'"
    keys = [key for key in value if isinstance(key, str)] if isinstance(value, dict) else []
    return [
        (f"{field}[{key}]", f"expected {expected}") for key in keys if not _is_qualified(key.lower() if lowered else key)
    ]


def _is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return (not slash or is_subdomain(prefix)) and len(name) <= 63 and bool(_QUALIFIED.fullmatch(name))


def _strings(field: str, value: Any) -> Problems:
    if value is None:
        return []
    if not isinstance(value, dict):
        return [(field, f"expected a map of strings, found {value!r}")]
    return [(f"{field}[{k}]", f"expected a string, found {v!r}") for k, v in value.items() if not isinstance(v, str)]


def declared(key: Key, value: Mapping[str, Any]) -> Object:
    """The document as a declaration: no status, no metadata that a server owns, the namespace filled in."""
    meta = {member: v for member, v in value["metadata"].items() if member not in _SERVER_OWNED and v is not None}
    if key.namespace:
        meta["namespace"] = key.namespace
    if key.kind is Kind.NAMESPACE:
        labels = meta.get("labels")
        # The API server sets this label on every namespace; selectors lean on it.
        meta["labels"] = {**(labels if isinstance(labels, dict) else {}), "kubernetes.io/metadata.name": key.name}
    return {**{m: v for m, v in value.items() if m != "status"}, "metadata": meta}


def small_kind_problems(key: Key, obj: Object) -> Problems:
    """The rules of the kinds that have no CRD of ours: only what is read of them later."""
    if key.kind is Kind.CONFIG_MAP:
        return _config_map_problems(obj)
    return _unknown(obj, {"spec", "status"})


def _config_map_problems(obj: Object) -> Problems:
    problems = _unknown(obj, {"data", "binaryData", "immutable"})
    for member in ("data", "binaryData"):
        problems += _strings(member, obj.get(member))
        if isinstance(obj.get(member), dict):
            problems += [
                (f"{member}[{k}]", "expected a key of letters, digits, '-', '_' and '.'")
                for k in obj[member]
                if not _CONFIG_KEY.fullmatch(k)
            ]
    binary = obj.get("binaryData")
    for k, v in binary.items() if isinstance(binary, dict) else ():
        try:
            base64.b64decode(v, validate=True)
        except (ValueError, TypeError):
            problems.append((f"binaryData[{k}]", "expected base64"))
    return problems


def _unknown(obj: Object, known: set[str]) -> Problems:
    return [(m, f'unknown field "{m}"') for m in sorted(set(obj) - known - {"apiVersion", "kind", "metadata"})]
