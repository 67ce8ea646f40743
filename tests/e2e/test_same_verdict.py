"""An API server and the rules without one come to the same verdict, on every field set to what it was not meant for."""

import copy
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.api.v1alpha1.validation import InvalidObject, apply_defaults_and_validate
from tests.controlplane.plane.plane import ControlPlane
from tests.core.api.manifests import MANIFESTS, own_documents

pytestmark = pytest.mark.controlplane

ODD: tuple[Any, ...] = (None, "", "x", "a b", "1h", "0s", "99999h", "https://a.b/c", "a\n", 0, 256, 2.5, True, [], ["x"], {})
"""Each of these takes the place of each field; some fit, most do not."""


@pytest.mark.parametrize("kind", ["oauthclient", "mtlspolicy"])
def test_both_accept_and_refuse_the_same_objects(kind: str, plane: ControlPlane, namespace: str) -> None:
    documents = own_documents(MANIFESTS / "samples" / f"{kind}-all-options.yaml")
    objects = [document for document in documents if document["kind"].lower() == kind]
    for obj in objects if kind == "oauthclient" else ():
        obj["metadata"]["namespace"] = namespace
    variants = [_named(variant, number) for number, variant in enumerate(v for obj in objects for v in _variants(obj))]

    by_rules = {v["metadata"]["name"] for v in variants if _accepted(v)}
    by_server = _accepted_by_server(plane, variants)

    assert len(variants) > 200
    assert len(by_rules) > 20
    assert [v["spec"] for v in variants if v["metadata"]["name"] in by_rules ^ by_server] == []


def _variants(obj: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The object with one place of its spec changed to something odd, or taken away."""
    for path in _paths(obj["spec"]):
        for odd in ODD:
            variant, place = _copy(obj, path)
            place[path[-1]] = odd
            yield variant
        variant, place = _copy(obj, path)
        del place[path[-1]]
        yield variant


def _copy(obj: dict[str, Any], path: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    """A copy, and in it what holds the last step of `path`."""
    variant = copy.deepcopy(obj)
    place = variant["spec"]
    for step in path[:-1]:
        place = place[step]
    return variant, place


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Every place below `value`, outer ones first."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in entries:
        yield (step,)
        yield from ((step, *rest) for rest in _paths(below))


def _named(obj: dict[str, Any], number: int) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "name": f"variant-{number}"}}


def _accepted(obj: dict[str, Any]) -> bool:
    try:
        apply_defaults_and_validate(obj)
    except InvalidObject:
        return False
    return True


def _accepted_by_server(plane: ControlPlane, variants: list[dict[str, Any]]) -> set[str]:
    """Names of those that it would have created; it was asked for a rehearsal."""
    command = [str(plane.kubectl), f"--kubeconfig={plane.kubeconfig}", "create", "--dry-run=server", "--validate=strict"]
    done = subprocess.run(
        [*command, "--output=name", "--filename=-"],
        input="\n---\n".join(json.dumps(variant) for variant in variants),  # a List is refused as a whole
        env=os.environ | {"KUBECACHEDIR": str(plane.root / "kubectl-cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    return {line.rsplit("/", 1)[1] for line in done.stdout.splitlines()}
