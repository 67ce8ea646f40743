"""The pages of the two kinds: every field has its row, and each YAML block does what a reader is told to apply it for.

Offline by the CRDs' rules; all blocks of a page together by `holdfast dev`; each block by a real API server.
"""

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.api.v1alpha1.crd import crds
from holdfast.api.v1alpha1.validation import apply_defaults_and_validate
from holdfast.clock import system_clock
from holdfast_cli.local.composition import LocalOptions, LocalPlane
from holdfast_cli.local.data_folder import Ports
from tests.controlplane.plane.plane import ControlPlane
from tests.core.api.manifests import SAMPLES, documents

KINDS = ("oauthclient", "mtlspolicy")
PAGES = {kind: (Path(__file__).parents[2] / "docs" / "kinds" / f"{kind}.md").read_text() for kind in KINDS}
ORDER = ["Example", "What happens", "Run it", "Every field", "Working with it", "Status"]
SHOWN_AS_MEMBERS = r"status\.effectivePolicy\.(allowedSubjects\[\]|minimumKey)\.\w+"
"""Named in the row of what holds them."""


@dataclass(frozen=True)
class Block:
    """One YAML block of a page."""

    page: str
    number: int
    text: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all(self.text))

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


BLOCKS = [
    Block(kind, number, text)
    for kind in KINDS
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```$", PAGES[kind], re.MULTILINE | re.DOTALL), 1)
]
each_block = pytest.mark.parametrize("block", BLOCKS, ids=str)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_its_sections_in_the_order_that_readers_know(kind: str) -> None:
    assert re.findall(r"^## (.*)$", PAGES[kind], re.MULTILINE) == ORDER


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_one_row_and_every_row_its_field(kind: str) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGES[kind], re.MULTILINE)

    assert sorted(rows) == sorted(f for f in _fields_of(kind) if not re.fullmatch(SHOWN_AS_MEMBERS, f))


def test_what_has_no_row_of_its_own_is_named_where_its_holder_is() -> None:
    for field in (f for f in _fields_of("oauthclient") if re.fullmatch(SHOWN_AS_MEMBERS, f)):
        holder, _, member = field.replace("[]", "").rpartition(".")
        (row,) = re.findall(rf"^\| `{re.escape(holder)}` \|(.*)$", PAGES["oauthclient"], re.MULTILINE)
        assert f"`{member}`" in row, field


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_spec_is_shown_in_some_block(kind: str) -> None:
    shown = {
        field
        for block in BLOCKS
        for obj in block.objects
        if obj["kind"].lower() == kind
        for field in _written(obj["spec"], "")
    }
    fields = {f for f in _fields_of(kind) if not f.startswith("status.")}

    assert {f for f in fields - shown if not _is_a_sibling(f)} == set()


def _is_a_sibling(field: str) -> bool:
    """One subject rule excludes the others; a selector is shown in one of its two forms or the other."""
    return bool(re.fullmatch(r"authentication\.subject\.(ip|email|uri)|clientSelector\.matchLabels", field))


def test_no_object_of_the_pages_is_declared_twice() -> None:
    for kind in KINDS:
        names = [(obj["kind"], obj["metadata"]["name"]) for block in BLOCKS if block.page == kind for obj in block.objects]
        assert sorted(set(names)) == sorted(names)


@each_block
def test_a_block_is_valid_without_an_api_server(block: Block) -> None:
    own = [obj for obj in block.objects if obj["apiVersion"].startswith("holdfast.dev/")]

    assert own
    for obj in own:
        apply_defaults_and_validate(obj)


@pytest.mark.parametrize("kind", KINDS)
async def test_all_blocks_of_a_page_together_do_what_it_says(kind: str, tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    for block in BLOCKS:
        if block.page == kind:
            (tmp_path / "manifests" / f"{block}.yaml").write_text(block.text)
    if kind == "oauthclient":
        (tmp_path / "manifests" / "by-kubectl-create-configmap.yaml").write_text(yaml.safe_dump(_partner_ca()))
    plane = LocalPlane(LocalOptions(root=tmp_path / "manifests", data=tmp_path / "data", ports=Ports(0, 0)), system_clock)
    plane.hold()
    await plane.start()
    try:
        report = await plane.report()
    finally:
        await plane.stop()

    declared = [o for block in BLOCKS if block.page == kind for o in block.objects if o["kind"] == "OAuthClient"]
    expected = {o["metadata"]["name"]: "Suspended" if o["spec"].get("suspend") else "Ready" for o in declared}
    assert {row.name: row.reason for row in report.clients} == expected
    assert [row.name for row in report.policies if not row.accepted] == []
    assert report.problems == ()


@pytest.fixture(scope="module")
def namespaces(plane: ControlPlane) -> Iterator[dict[str, str]]:
    """Of the pages, and what they are called on the plane that others use, too."""
    names = {obj["metadata"]["namespace"] for block in BLOCKS for obj in block.objects if "namespace" in obj["metadata"]}
    mapped = {name: f"{name}-{secrets.token_hex(4)}" for name in sorted(names)}
    for name in mapped.values():
        plane.kubectl_run("create", "namespace", name)
    yield mapped
    plane.kubectl_run("delete", "namespace", *mapped.values(), "--wait=false")


@pytest.mark.controlplane
@each_block
def test_the_api_server_takes_a_block(block: Block, plane: ControlPlane, namespaces: Mapping[str, str]) -> None:
    objects = [_moved(obj, namespaces) for obj in block.objects if obj["apiVersion"] != "cert-manager.io/v1"]
    whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})

    plane.kubectl_run("apply", "--validate=strict", "--dry-run=server", "--filename=-", input=whole)


def _moved(obj: Mapping[str, Any], namespaces: Mapping[str, str]) -> dict[str, Any]:
    metadata = dict(obj["metadata"])
    if "namespace" in metadata:
        metadata["namespace"] = namespaces[metadata["namespace"]]
    return {**obj, "metadata": metadata}


def _partner_ca() -> dict[str, Any]:
    """What the page has its reader make by a command."""
    sample = next(path for path in SAMPLES if path.stem == "oauthclient-own-certificate")
    return next(obj for obj in documents(sample) if obj["kind"] == "ConfigMap")


def _fields_of(kind: str) -> list[str]:
    crd = next(crd for crd in crds().values() if crd["spec"]["names"]["singular"] == kind)
    parts = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return [*_fields(parts["spec"], ""), *_fields(parts["status"], "status.")]


def _fields(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, child in node.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from _fields(child, f"{prefix}{name}.")
        yield from _fields(child.get("items", {}), f"{prefix}{name}[].")


def _written(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield f"{prefix}{name}"
            yield from _written(child, f"{prefix}{name}.")
            if isinstance(child, list):
                for item in child:
                    yield from _written(item, f"{prefix}{name}[].")
