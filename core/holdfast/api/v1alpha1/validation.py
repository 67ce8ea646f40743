"""Refuses what the API server refuses, from the same generated CRDs and in the same words, where there is no API server.

Owns the order of the checks (names, unknown fields, defaults, limits, rules) and gathering all problems of one object. Has
no rule of its own but those on names, which no CRD states. Neighbours: `crd`, `structural`, `rules`; `holdfast dev` calls.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft4Validator

from holdfast.api.v1alpha1 import structural
from holdfast.api.v1alpha1.base import JsonSchema
from holdfast.api.v1alpha1.crd import crds
from holdfast.api.v1alpha1.rules import RuleTree, broken, compile_rules
from holdfast.oauth.client_metadata import Problem

Object = dict[str, Any]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_METADATA = {
    *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers"),
    "managedFields",
}


class InvalidObject(ValueError):
    """The API server would refuse this object; lists every problem by field."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))


@dataclass(frozen=True, slots=True)
class _Kind:
    """One CRD, ready to be applied to objects."""

    namespaced: bool
    name_length: int
    schema: JsonSchema
    validator: Draft4Validator
    rules: RuleTree | None


def apply_defaults_and_validate(obj: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> Object:
    """The object with the CRD's defaults, as the API server would store it. `old`: the object it would take the place of.

    Raises InvalidObject with every problem.
    """
    kind = _kinds().get((str(obj.get("apiVersion")), str(obj.get("kind"))))
    if kind is None:
        known = ", ".join(f"{version} {name}" for version, name in _kinds())
        raise InvalidObject((Problem("kind", f"expected one of {known}; found {obj.get('apiVersion')} {obj.get('kind')}"),))
    problems = list(_metadata_problems(obj.get("metadata"), kind))
    body, unknown = structural.settle({k: v for k, v in obj.items() if k != "metadata"}, kind.schema)
    limits, blocking = structural.check(body, kind.validator)
    problems += unknown + limits
    if not blocking:
        before = None if old is None else structural.with_text_keys({k: v for k, v in old.items() if k != "metadata"})
        problems += broken(kind.rules, body, before)
    if problems:
        raise InvalidObject(tuple(problems))
    return {**body, "metadata": dict(obj["metadata"])}


@cache
def _kinds() -> Mapping[tuple[str, str], _Kind]:
    """Compiled when first asked for: it takes a while, and not every process validates."""
    return {_address(crd): _compiled(crd["spec"]) for crd in crds().values()}


def _address(crd: JsonSchema) -> tuple[str, str]:
    spec = crd["spec"]
    return f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["kind"]


def _compiled(spec: JsonSchema) -> _Kind:
    whole = spec["versions"][0]["schema"]["openAPIV3Schema"]
    schema = whole | {"properties": {k: v for k, v in whole["properties"].items() if k != "metadata"}}
    return _Kind(
        namespaced=spec["scope"] == "Namespaced",
        name_length=whole["properties"]["metadata"]["properties"]["name"]["maxLength"],
        schema=schema,
        validator=structural.validator(schema),
        rules=compile_rules(schema),
    )


def _metadata_problems(metadata: object, kind: _Kind) -> Iterator[Problem]:
    if not isinstance(metadata, Mapping):
        yield Problem("metadata", f"expected an object, found {structural.shown(metadata)}")
        return
    for key in metadata:
        if key not in _METADATA:
            yield Problem(f"metadata.{key}", f'unknown field "metadata.{key}"')
    yield from _name_problems(metadata.get("name"), kind)
    namespace = metadata.get("namespace")
    if kind.namespaced:
        yield from _namespace_problems(namespace)
    elif namespace:
        yield Problem("metadata.namespace", "Forbidden: not allowed on this type")


def _name_problems(name: object, kind: _Kind) -> Iterator[Problem]:
    if not name:
        yield Problem("metadata.name", "Required value: name or generateName is required")
    elif not isinstance(name, str) or not _SUBDOMAIN.fullmatch(name):
        yield Problem(
            "metadata.name",
            f"Invalid value: {structural.shown(name)}: a lowercase RFC 1123 subdomain must consist of lower case "
            "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        )
    elif len(name) > kind.name_length:
        yield Problem("metadata.name", f"Too long: may not be more than {kind.name_length} bytes")


def _namespace_problems(namespace: object) -> Iterator[Problem]:
    if not namespace:
        yield Problem("metadata.namespace", "Required value")
    elif not isinstance(namespace, str) or len(namespace) > 63 or not _LABEL.fullmatch(namespace):
        yield Problem(
            "metadata.namespace",
            f"Invalid value: {structural.shown(namespace)}: a lowercase RFC 1123 label must consist of lower case "
            "alphanumeric characters or '-', and must start and end with an alphanumeric character",
        )
