"""The types and the schema made from them accept the same objects."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.api.v1alpha1 import structural
from holdfast.api.v1alpha1.convert import UnreadableObject, parse_mtls_policy, parse_oauth_client
from holdfast.api.v1alpha1.crd import crds
from holdfast.api.v1alpha1.mtls_policy import MTLSPolicy
from holdfast.api.v1alpha1.oauth_client import OAuthClient
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate

PARSE: Mapping[str, Callable[[Mapping[str, Any]], OAuthClient | MTLSPolicy]] = {
    "OAuthClient": parse_oauth_client,
    "MTLSPolicy": parse_mtls_policy,
}
METADATA = {"OAuthClient": {"name": "a", "namespace": "b"}, "MTLSPolicy": {"name": "a"}}
SPECS = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for crd in crds().values()
}
SLOW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit the schema for the most part, and sometimes not."""
    match schema["type"]:
        case "string":
            return _strings(schema)
        case "integer":
            return st.sampled_from([256, 384, 2048, 4096, 0, -1]) | st.integers()
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(values(schema["items"]), max_size=3)
        case _ if "additionalProperties" in schema:
            return st.dictionaries(st.sampled_from(["tier", "a/b"]), values(schema["additionalProperties"]), max_size=2)
        case _ if "properties" not in schema:  # whatever a JSON object may hold
            return st.dictionaries(
                st.sampled_from(["kty", "x5c"]), st.none() | st.text(max_size=3) | st.lists(st.integers())
            )
    properties = {name: values(child) for name, child in schema["properties"].items()}
    required = {*schema.get("required", ()), *({"certificate"} & set(properties))}  # without one, rules refuse most
    return st.fixed_dictionaries(
        {name: value for name, value in properties.items() if name in required},
        optional={name: value for name, value in properties.items() if name not in required},
    )


def _strings(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) if len(schema["enum"]) > 1 else st.just(schema["enum"][0])
    usual = st.sampled_from(["orders", "https://a.b", "1h", "90s", "10.0.0.1", "a@b", "urn:a:b", "*"])
    odd = st.text(max_size=8)
    if "pattern" in schema:
        fitting = st.from_regex(schema["pattern"][1:-1], fullmatch=True)
        return st.integers(0, 7).flatmap(lambda n: (usual | odd) if n == 7 else fitting)
    return usual | odd


def objects(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return values(SPECS[kind]).map(
        lambda spec: {"apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": METADATA[kind], "spec": spec}
    )


@pytest.mark.parametrize("kind", ["OAuthClient", "MTLSPolicy"])
@SLOW
@given(data=st.data())
def test_what_the_schema_accepts_can_be_read(kind: str, data: st.DataObject) -> None:
    obj = data.draw(objects(kind))
    try:
        stored = apply_defaults_and_validate(obj)
    except InvalidObject:
        return

    PARSE[kind](stored)


@pytest.mark.parametrize("kind", ["OAuthClient", "MTLSPolicy"])
@SLOW
@given(data=st.data())
def test_what_the_types_accept_fits_the_schema(kind: str, data: st.DataObject) -> None:
    obj = data.draw(objects(kind))
    try:
        typed = PARSE[kind](obj)
    except UnreadableObject:
        return
    written = typed.spec.model_dump(by_alias=True, exclude_none=True, mode="json")

    settled, unknown = structural.settle(written, SPECS[kind], "spec")
    broken, _ = structural.check(settled, structural.validator(SPECS[kind]), "spec")

    assert unknown == []
    # That no entry stands twice is a property of lists on the wire; a tuple has no way to say it.
    assert [problem for problem in broken if not problem.message.startswith("Duplicate value")] == []


@pytest.mark.parametrize("kind", ["OAuthClient", "MTLSPolicy"])
@SLOW
@given(data=st.data())
def test_reading_adds_the_defaults_of_the_schema(kind: str, data: st.DataObject) -> None:
    obj = data.draw(objects(kind))
    try:
        stored = apply_defaults_and_validate(obj)
    except InvalidObject:
        return

    unseen = stored.pop("status")  # the API server's mark on what is new, and of no use to whoever reads a spec
    assert unseen == obj.get("status", {"observedGeneration": -1})
    assert PARSE[kind]({**obj, "status": None}) == PARSE[kind](stored)
