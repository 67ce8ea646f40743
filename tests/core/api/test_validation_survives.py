"""Whatever a file holds, validation answers with an object or with problems."""

import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.api.v1alpha1.crd import crds
from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate


def _names() -> list[str]:
    """Every field name of both kinds, so that the odd values below end up where they matter."""
    found: set[str] = set()

    def walk(node: dict[str, Any]) -> None:
        for name, child in node.get("properties", {}).items():
            found.add(name)
            walk(child)
        walk(node.get("items", {})) if "items" in node else None

    for crd in crds().values():
        walk(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    return sorted(found)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1h", "0s", "https://a.b", "In", "ECDSA", "RSA", "clientId"])
    | st.dates(min_value=datetime.date(2000, 1, 1))
)
KEYS = st.sampled_from(_names()) | st.text(max_size=5) | st.integers()
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
KINDS = st.sampled_from(["OAuthClient", "MTLSPolicy"])


@settings(max_examples=120, deadline=None)
@given(kind=KINDS, metadata=ANYTHING, spec=ANYTHING, status=ANYTHING)
def test_no_content_makes_validation_fail_otherwise(kind: str, metadata: Any, spec: Any, status: Any) -> None:
    obj = {"apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status}

    assert all(_complaints(obj, None))


@settings(max_examples=120, deadline=None)
@given(kind=KINDS, spec=st.dictionaries(KEYS, ANYTHING, max_size=6), old=ANYTHING)
def test_no_change_makes_validation_fail_otherwise(kind: str, spec: Any, old: Any) -> None:
    address = {"apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": {"name": "a", "namespace": "b"}}

    assert all(_complaints({**address, "spec": spec}, {**address, "spec": old}))


def test_a_number_beyond_64_bits_is_told() -> None:
    spec = {"certificate": {"issuerRef": {"name": "workloads"}, "privateKey": {"size": 2**70}}}
    obj = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": {"name": "a", "namespace": "b"}}

    complaints = _complaints({**obj, "spec": spec}, None)

    assert any("spec.certificate.privateKey.size in body must be of type int32" in complaint for complaint in complaints)


def _complaints(obj: dict[str, Any], old: dict[str, Any] | None) -> list[str]:
    """What is wrong; anything but InvalidObject fails the test."""
    try:
        apply_defaults_and_validate(obj, old)
    except InvalidObject as refused:
        return [problem.message for problem in refused.problems]
    return []
