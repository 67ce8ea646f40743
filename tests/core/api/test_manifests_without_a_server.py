"""The corpus judged by the CRDs' own rules where there is no API server. tests/e2e has the API server judge it, too."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.v1alpha1.crd import crds
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from tests.core.api.manifests import INVALID, MANIFESTS, QUICKSTART, SAMPLES, expected_message, name_of, own_documents


@pytest.mark.parametrize("path", [*SAMPLES, QUICKSTART], ids=name_of)
def test_a_sample_is_valid(path: Path) -> None:
    for obj in own_documents(path):
        apply_defaults_and_validate(obj)


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_a_sample_says_what_it_shows(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_an_invalid_manifest_is_refused_with_its_message(path: Path) -> None:
    """Among them a rule too many, one beside another method, keys twice or not at all (M-26, M-32, M-35)."""
    *before, last = own_documents(path)
    stored = None
    for obj in before:
        stored = apply_defaults_and_validate(obj, stored)

    with pytest.raises(InvalidObject) as refused:
        apply_defaults_and_validate(last, stored)

    assert expected_message(path) in str(refused.value)


def test_every_rule_of_a_spec_refuses_something_in_the_corpus() -> None:
    expected = [expected_message(path) for path in INVALID]
    rules = {message for crd in crds().values() for message in _messages(_part(crd, "spec"))}

    assert len(rules) > 15
    assert {rule for rule in rules if not any(rule in message for message in expected)} == set()


@pytest.mark.parametrize("kind", ["oauthclient", "mtlspolicy"])
def test_all_options_names_every_field_of_a_spec(kind: str) -> None:
    crd = next(crd for crd in crds().values() if crd["spec"]["names"]["singular"] == kind)
    written = {
        field
        for obj in own_documents(MANIFESTS / "samples" / f"{kind}-all-options.yaml")
        for field in _written(obj["spec"], "spec")
    }
    known = set(_fields(_part(crd, "spec"), "spec"))
    # One subject rule excludes the others, and a selector needs one of its two forms.
    known -= {f"spec.authentication.subject.{other}" for other in ("dn", "dns", "ip", "email")}
    known -= {"spec.namespaceSelector.matchExpressions", "spec.clientSelector.matchLabels"}

    assert known - written == set(_below("spec.namespaceSelector.matchExpressions", known))


def test_the_client_of_the_quickstart_takes_ten_lines() -> None:
    orders = next(text for text in QUICKSTART.read_text().split("---\n") if "name: orders\n" in text)

    assert len(orders.splitlines()) == 10


def _below(path: str, known: set[str]) -> Iterator[str]:
    return (field for field in known if field.startswith(f"{path}[]"))


def _part(crd: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
    return schema


def _messages(node: Mapping[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in node.get("x-kubernetes-validations", ()))
    for child in [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]:
        yield from _messages(child)


def _fields(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _fields(child, f"{path}.{name}")
        yield from _fields(child.get("items", {}), f"{path}.{name}[]")


def _written(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield f"{path}.{name}"
            yield from _written(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from _written(child, f"{path}[]")
