"""The CRDs as the types make them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.api.v1alpha1 import crd
from holdfast.api.v1alpha1.crd import NotStructural, crds
from tools import generate


def test_what_is_committed_is_what_the_types_say() -> None:
    assert generate.stale_own_files() == [], "run `make generate`"


def test_what_was_changed_lost_or_is_no_longer_made_is_named(tmp_path: Path) -> None:
    generate.write(generate.own_files(), tmp_path)
    (tmp_path / "crds" / "holdfast.dev_oauthclients.yaml").write_text("kind: Other\n")
    (tmp_path / "crds" / "holdfast.dev_grants.yaml").write_text("kind: Gone\n")
    (tmp_path / "docs" / "reference" / "conditions.md").unlink()

    assert generate.stale_own_files(tmp_path) == [
        *("crds/holdfast.dev_grants.yaml", "crds/holdfast.dev_oauthclients.yaml", "docs/reference/conditions.md"),
    ]


def test_the_yaml_reads_back_as_the_definition() -> None:
    for name, definition in crds().items():
        assert yaml.safe_load(generate.own_files()[f"crds/{name}"]) == definition


@pytest.mark.parametrize(
    ("plural", "scope", "short"), [("oauthclients", "Namespaced", "hfc"), ("mtlspolicies", "Cluster", "mtlsp")]
)
def test_names_scope_and_status_are_as_documented(plural: str, scope: str, short: str) -> None:
    spec = _crd(plural)["spec"]

    assert (spec["group"], spec["scope"], spec["names"]["shortNames"]) == ("holdfast.dev", scope, [short])
    assert spec["names"]["categories"] == ["holdfast"]
    assert [(v["name"], v["served"], v["storage"]) for v in spec["versions"]] == [("v1alpha1", True, True)]
    assert spec["versions"][0]["subresources"] == {"status": {}}


def test_columns_of_a_client_in_their_order() -> None:
    columns = _crd("oauthclients")["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [c["name"] for c in columns if not c.get("priority")] == [
        *("Ready", "Reason", "Client-ID", "Method", "Expires", "Age"),
    ]
    assert [c["name"] for c in columns if c.get("priority")] == ["Issuer", "Policies", "Last-Token"]


@pytest.mark.parametrize("plural", ["oauthclients", "mtlspolicies"])
def test_every_field_says_what_it_means(plural: str) -> None:
    silent = [path for path, node in _nodes(_schema(plural), "") if "description" not in node and "[]" not in path]

    assert silent == [".apiVersion", ".kind", ".metadata", ".metadata.name"]


@pytest.mark.parametrize("plural", ["oauthclients", "mtlspolicies"])
def test_conditions_are_told_apart_by_type(plural: str) -> None:
    conditions = _schema(plural)["properties"]["status"]["properties"]["conditions"]

    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_only_mode_of_a_policy_has_a_default() -> None:
    spec = _schema("mtlspolicies")["properties"]["spec"]

    assert [path for path, node in _nodes(spec, "") if "default" in node and "[]" not in path] == [".mode"]


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "unions are not structural"),
        ({"type": "string"}, "so that the cost of rules has a bound"),
        ({"type": "array", "items": {"type": "boolean"}}, "so that the cost of rules has a bound"),
        ({"type": "string", "maxLength": 9, "pattern": "[a-z]"}, "expected a pattern of the whole value"),
        (
            {"type": "array", "maxItems": 9, "items": {"type": "boolean"}, "uniqueItems": True},
            "uniqueItems has no structural",
        ),
        ({"description": "anything"}, "expected a type, found none"),
    ],
)
def test_a_type_without_structural_form_is_an_error(node: dict[str, Any], complaint: str) -> None:
    with pytest.raises(NotStructural, match=complaint):
        crd._structural(node, {}, "X.field")


def _crd(plural: str) -> Mapping[str, Any]:
    return crds()[f"holdfast.dev_{plural}.yaml"]


def _schema(plural: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = _crd(plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _nodes(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from _nodes(child, f"{path}.{name}")
    if "items" in node:
        yield f"{path}[]", node["items"]
        yield from _nodes(node["items"], f"{path}[]")
