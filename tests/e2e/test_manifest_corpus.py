"""The committed manifests, judged by a real API server; tests/core/api judges the same ones without it."""

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.plane.plane import ControlPlane, KubectlError
from tests.core.api.manifests import INVALID, QUICKSTART, SAMPLES, documents, expected_message, name_of

pytestmark = pytest.mark.controlplane

STRICT = ("apply", "--validate=strict", "--filename=-")


@pytest.fixture(scope="module")
def shared(plane: ControlPlane) -> Iterator[str]:
    """One namespace for all that is only rehearsed there."""
    name = f"corpus-{secrets.token_hex(4)}"
    plane.kubectl_run("create", "namespace", name)
    yield name
    plane.kubectl_run("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("path", [*SAMPLES, QUICKSTART], ids=name_of)
def test_the_api_server_takes_a_sample(path: Path, plane: ControlPlane, namespace: str) -> None:
    for obj in documents(path):
        plane.kubectl_run(*STRICT, *_dry_run(obj), input=_in(namespace, obj))


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_the_api_server_refuses_an_invalid_manifest_with_its_message(path: Path, plane: ControlPlane, shared: str) -> None:
    *before, last = documents(path)
    for obj in before:
        plane.kubectl_run(*STRICT, input=_in(shared, obj))

    try:
        with pytest.raises(KubectlError) as refused:
            plane.kubectl_run(*STRICT, "--dry-run=server", input=_in(shared, last))
    finally:
        if before:
            plane.kubectl_run("delete", "--filename=-", input=_in(shared, before[0]))

    assert expected_message(path) in str(refused.value)


def test_kubectl_shows_columns_and_explains_fields(plane: ControlPlane, namespace: str) -> None:
    minimal = documents(SAMPLES[[path.stem for path in SAMPLES].index("oauthclient-minimal")])
    plane.kubectl_run(*STRICT, input=_in(namespace, minimal[0]))

    assert plane.kubectl_run("get", "hfc", f"--namespace={namespace}").splitlines()[0].split() == [
        *("NAME", "READY", "REASON", "CLIENT-ID", "METHOD", "EXPIRES", "AGE"),
    ]
    assert "https URIs (RFC 8707)" in " ".join(plane.kubectl_run("explain", "oauthclients.spec.resources").split())


def _dry_run(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Of what belongs to the whole cluster, only a rehearsal: it would concern other tests."""
    return () if "namespace" in obj["metadata"] else ("--dry-run=server",)


def _in(namespace: str, obj: Mapping[str, Any]) -> str:
    """The object as YAML's subset JSON, put into the test's own namespace where it belongs to one."""
    metadata = {**obj["metadata"], **({"namespace": namespace} if "namespace" in obj["metadata"] else {})}
    return json.dumps({**obj, "metadata": metadata})
