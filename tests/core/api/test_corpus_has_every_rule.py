"""manifests/invalid has a file for every rule of the schema. CEL rules are counted in test_manifests_without_a_server.

A rule is a limit as such, wherever fields share it (a scope's length), but of each field that it is required and which
values it may have.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from holdfast.api.v1alpha1 import structural
from holdfast.api.v1alpha1.crd import crds
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from tests.core.api.manifests import INVALID, own_documents

LIMITS = (
    *("pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties"),
    "x-kubernetes-list-type",
)
SCHEMAS: dict[str, dict[str, Any]] = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds().values()
}
Rule = tuple[str, ...]

TOO_LONG_FOR_A_FILE = {("maxItems", "1024")}
"""Thumbprints: fifty kilobytes. Below instead."""


def rules(node: Mapping[str, Any], place: str) -> Iterator[Rule]:
    """`place`: kind and path of a node of the schema."""
    yield from ((limit, str(node[limit])) for limit in LIMITS if node.get(limit) not in (None, "atomic"))
    yield from (("required", f"{place}.{name}") for name in node.get("required", ()))
    if "enum" in node:
        yield "enum", place
    for step, child in children(node):
        yield from rules(child, f"{place}{step}")


def children(node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((f".{name}", child) for name, child in node.get("properties", {}).items())
    yield from ((mark, node[member]) for member, mark in MARKS.items() if member in node)


MARKS = {"items": "[]", "additionalProperties": "{}"}


def broken(obj: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules that an object breaks."""
    schema = SCHEMAS[obj["kind"]]
    body, _ = structural.settle({k: v for k, v in obj.items() if k != "metadata"}, schema)
    for error in structural.validator(schema).iter_errors(body):
        *steps, keyword = error.absolute_schema_path
        match keyword:
            case "enum":
                yield "enum", place_of(obj["kind"], steps)
            case "required":
                yield "required", f"{place_of(obj['kind'], steps)}.{error.message}"
            case _:
                yield str(keyword), str(error.validator_value)


def place_of(kind: str, steps: Iterable[str | int]) -> str:
    place, remaining = kind, iter(steps)
    for step in remaining:
        place += MARKS.get(str(step)) or f".{next(remaining)}"
    return place


def test_the_corpus_has_a_file_for_every_rule_of_the_schema() -> None:
    known = {rule for kind, schema in SCHEMAS.items() for rule in rules(schema["properties"]["spec"], f"{kind}.spec")} | {
        ("required", f"{kind}.spec") for kind in SCHEMAS
    }

    shown = {rule for path in INVALID for rule in broken(own_documents(path)[-1])}

    assert len(known) > 60
    assert known - shown - TOO_LONG_FOR_A_FILE == set()


def test_what_is_too_long_for_a_file_is_refused_as_well() -> None:
    certificates = {"deniedThumbprints": [f"{number:043}" for number in range(1025)]}
    policy = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "MTLSPolicy", "metadata": {"name": "stolen"}}

    with pytest.raises(InvalidObject, match="Too many: 1025: must have at most 1024 items"):
        apply_defaults_and_validate({**policy, "spec": {"certificates": certificates}})
