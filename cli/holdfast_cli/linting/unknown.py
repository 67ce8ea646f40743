"""What files refer to and do not declare. Nobody can judge it here, so it is left out, and said.

Owns the notes, and the objects without what cannot be known. Neighbour: `across` judges what is left.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from holdfast_cli.linting.findings import Finding, Level, OwnRule
from holdfast_cli.linting.single import of_field
from holdfast_cli.manifests.documents import Declared
from holdfast_operator.reconcile.names import mapping, references
from holdfast_operator.reconcile.ports import Key, Kind, Object

_OF_EVERY_NAMESPACE = "kubernetes.io/metadata.name"
"""The one label that a namespace has without a document."""
_LISTS = (("certificates", "trustAnchors"), ("certificates", "revocation", "crls"))
"""Where a policy's spec refers to ConfigMaps."""


def missing_references(declared: Mapping[Key, Declared]) -> Iterator[Finding]:
    """A note for each ConfigMap that is not among the files."""
    for found in declared.values():
        for field, place in _references(found):
            if Key(Kind.CONFIG_MAP, *place) not in declared:
                message = f"ConfigMap {place[0]}/{place[1]} is not among the files: what it holds was not judged"
                yield of_field(found, OwnRule.NOT_AMONG_THE_FILES, Level.NOTE, field, message)


def without_missing(found: Declared, declared: Mapping[Key, Declared]) -> Object:
    """A policy without the references that lead nowhere here: it would deny everybody. Other objects as they are."""
    obj = found.object
    if found.key.kind is not Kind.MTLS_POLICY:
        return obj
    spec = mapping(obj.get("spec"))
    for path in _LISTS:
        spec = _filtered(spec, path, declared)
    return {**obj, "spec": spec}


def _filtered(value: Mapping[str, Any], path: tuple[str, ...], declared: Mapping[Key, Declared]) -> dict[str, Any]:
    member, *rest = path
    if member not in value:
        return dict(value)
    if rest:
        return {**value, member: _filtered(mapping(value[member]), tuple(rest), declared)}
    kept = [entry for entry in value[member] if Key(Kind.CONFIG_MAP, *_place(entry)) in declared]
    return {**value, member: kept} if kept else {m: v for m, v in value.items() if m != member}


def _references(found: Declared) -> Iterator[tuple[str, tuple[str, str]]]:
    """Field, namespace and name."""
    if found.key.kind is Kind.OAUTH_CLIENT:
        for name in sorted(references(found.object).config_maps):
            yield "spec.authentication.trustAnchors", (found.key.namespace, name)
    if found.key.kind is Kind.MTLS_POLICY:
        for path in _LISTS:
            for index, entry in enumerate(_at(mapping(found.object.get("spec")), path)):
                yield f"spec.{'.'.join(path)}[{index}]", _place(entry)


def _at(value: Any, path: Iterable[str]) -> list[Any]:
    for member in path:
        value = mapping(value).get(member)
    return value if isinstance(value, list) else []


def _place(entry: Any) -> tuple[str, str]:
    reference = mapping(mapping(entry).get("configMapKeyRef"))
    return str(reference.get("namespace")), str(reference.get("name"))


def unknown_namespaces(declared: Mapping[Key, Declared]) -> Iterator[Finding]:
    """A note for each namespace whose labels a policy looks at, and nobody here knows."""
    selecting = sorted(key.name for key, found in declared.items() if key.kind is Kind.MTLS_POLICY and _looks(found.object))
    told: set[str] = set()
    for key, found in declared.items():
        if not selecting or key.kind is not Kind.OAUTH_CLIENT or key.namespace in told:
            continue
        told.add(key.namespace)
        if Key(Kind.NAMESPACE, "", key.namespace) not in declared:
            message = (
                f"Namespace {key.namespace} is not among the files, and MTLSPolicy {', '.join(selecting)} selects by labels "
                "of namespaces: it was judged as if it had none"
            )
            yield of_field(found, OwnRule.NOT_AMONG_THE_FILES, Level.NOTE, "metadata.namespace", message)


def _looks(policy: Object) -> bool:
    """Whether it selects by a label that a namespace need not have."""
    selector = mapping(mapping(policy.get("spec")).get("namespaceSelector"))
    keys = {*mapping(selector.get("matchLabels"))}
    keys |= {str(mapping(entry).get("key")) for entry in selector.get("matchExpressions") or ()}
    return bool(keys - {_OF_EVERY_NAMESPACE})
