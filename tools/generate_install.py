"""Generates what comes from the chart and goes into it: `manifests/install/`, and the chart's copy of the CRDs.

Owns: which of those files exist and what is in them. Must not know how the CRDs come to be (`tools/generate.py`).
`python -m tools.generate_install` writes them, `--check` only compares. Needs Helm, and builds it when there is none.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.plane import build

REPOSITORY = Path(__file__).parents[1]
CHART = REPOSITORY / "charts" / "holdfast"
NAMESPACE = "holdfast-system"

_FOLDERS = ("charts/holdfast/files/crds", "manifests/install")
_HEADER = b"# Generated from charts/holdfast by `make generate`; do not edit.\n"


def files() -> dict[str, bytes]:
    """All of them: path from the repository's root -> content. Raises BuildError when there is no Helm to be had."""
    crds = chart_crds()
    with tempfile.TemporaryDirectory(prefix="holdfast-chart-") as name:
        chart = _chart_with(crds, Path(name))  # the copies in the tree may be the stale ones
        return crds | _install(render(chart=chart))


def chart_crds() -> dict[str, bytes]:
    """Helm reads nothing outside the chart's folder, so the CRDs lie there once more. Needs no Helm."""
    return {f"{_FOLDERS[0]}/{path.name}": path.read_bytes() for path in sorted((REPOSITORY / "crds").glob("*.yaml"))}


def stale(wanted: dict[str, bytes]) -> list[str]:
    """Paths whose content is not the wanted one: changed, missing, or no longer generated."""
    present = {str(path.relative_to(REPOSITORY)) for folder in _FOLDERS for path in (REPOSITORY / folder).glob("*.yaml")}
    return sorted(path for path in present | set(wanted) if _content(path) != wanted.get(path))


def render(
    *arguments: str, chart: Path = CHART, release: str = "holdfast", namespace: str = NAMESPACE, hooks: bool = False
) -> str:
    """What `helm template` makes of the chart. Raises BuildError with what Helm complains of.

    `hooks`: also what Helm runs at an uninstallation, which nobody may apply.
    """
    command = [_helm(), "template", release, str(chart), f"--namespace={namespace}", *arguments]
    if not hooks:
        command.append("--no-hooks")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise build.BuildError(f"the chart could not be rendered: {done.stderr.strip()}")
    return done.stdout


def _helm() -> str:
    """The one that was built for the tests, else the machine's, else it is built."""
    built = build.present()
    found = None if built else shutil.which("helm")
    return found or str((built or build.ensure()).path("helm"))


def _chart_with(crds: dict[str, bytes], scratch: Path) -> Path:
    chart = scratch / "holdfast"
    shutil.copytree(CHART, chart, ignore=lambda folder, _: ["crds"] if folder == str(CHART / "files") else [])
    (chart / "files" / "crds").mkdir(parents=True, exist_ok=True)
    for path, content in crds.items():
        (chart / "files" / "crds" / Path(path).name).write_bytes(content)
    return chart


def _install(rendered: str) -> dict[str, bytes]:
    """In two files, for `kubectl apply --server-side -f manifests/install`, which takes them by their names' order."""
    documents = [document for document in yaml.safe_load_all(rendered) if document]
    definitions = [document for document in documents if document["kind"] == "CustomResourceDefinition"]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    others = [document for document in documents if document not in definitions]
    return {
        f"{_FOLDERS[1]}/crds.yaml": _dumped([_without_helm(document) for document in definitions]),
        f"{_FOLDERS[1]}/holdfast.yaml": _dumped([namespace, *(_without_helm(document) for document in others)]),
    }


def _without_helm(document: dict[str, Any]) -> dict[str, Any]:
    """kubectl applies it, so nothing may say that Helm manages it, in the object or in its pods."""
    annotations = document["metadata"].get("annotations", {})
    if annotations.pop("helm.sh/resource-policy", None) and not annotations:
        del document["metadata"]["annotations"]
    for metadata in (document["metadata"], document.get("spec", {}).get("template", {}).get("metadata", {})):
        for label in ("app.kubernetes.io/managed-by", "helm.sh/chart"):
            metadata.get("labels", {}).pop(label, None)
    return document


def _dumped(documents: list[dict[str, Any]]) -> bytes:
    return _HEADER + yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True).encode()


def _content(path: str) -> bytes | None:
    file = REPOSITORY / path
    return file.read_bytes() if file.exists() else None


def _write(path: str, content: bytes | None) -> None:
    file = REPOSITORY / path
    if content is None:
        file.unlink()
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is not fresh")
    check = parser.parse_args().check
    wanted = files()
    changed = stale(wanted)
    for path in changed:
        print(f"{path} is not fresh: run `make generate`" if check else f"wrote {path}", file=sys.stderr)
        if not check:
            _write(path, wanted.get(path))
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
