"""The committed manifests as tests read them: samples, and what has to be refused with which message."""

from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[3] / "manifests"
SAMPLES = sorted((MANIFESTS / "samples").glob("*.yaml"))
INVALID = sorted((MANIFESTS / "invalid").glob("*.yaml"))
QUICKSTART = MANIFESTS / "quickstart" / "quickstart.yaml"

_EXPECT = "# expect: "


def documents(path: Path) -> list[dict[str, Any]]:
    """Every object a file declares."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def own_documents(path: Path) -> list[dict[str, Any]]:
    """Those that a CRD of ours describes."""
    return [document for document in documents(path) if document["apiVersion"].startswith("holdfast.dev/")]


def expected_message(path: Path) -> str:
    """What the last object of a file in manifests/invalid has to be refused with; objects before it are valid."""
    first = path.read_text().splitlines()[0]
    assert first.startswith(_EXPECT), f"{path.name}: expected its first line to begin with {_EXPECT!r}, found {first!r}"
    return first.removeprefix(_EXPECT)


def name_of(path: Path) -> str:
    """The file as a test's id."""
    return path.stem
