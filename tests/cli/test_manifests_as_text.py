"""Manifests as the command writes them: what kubectl reads is what was meant."""

from holdfast_cli.manifests.output import to_yaml
from holdfast_operator.adapters.folder.yaml_text import load, split


def test_a_member_that_kubectl_would_take_for_a_boolean_is_quoted() -> None:
    """The `y` of an elliptic curve key; `load` reads as kubectl does."""
    key = {"kty": "EC", "x": "a", "y": "b", "use": "n"}
    text = to_yaml([key])
    assert "'y': b" in text
    assert [load(part) for part in split(text)] == [key]
