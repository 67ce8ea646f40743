"""Writes every generated file from its one source, or says which are stale: CRDs, pages, and the chart's part.

Owns: which files exist and where they lie. What is in them comes from `holdfast.api.v1alpha1` (CRDs), `tools.reference`,
`tools.settings_reference`, `tools.conformance` and `tools.troubleshooting` (pages), `tools.operator_roles` (the chart's
rules for the operator), and `tools.generate_install` (chart and install manifests).
`python -m tools.generate` writes; with `--check` it only compares, names what is stale and exits 1.
"""

import argparse
import sys
from pathlib import Path

import yaml

from holdfast.api.v1alpha1.crd import crds
from tools import conformance, generate_install, operator_roles, reference, settings_reference, troubleshooting

REPOSITORY = Path(__file__).parents[1]

_HEADER = "# Generated from core/holdfast/api/v1alpha1 by `make generate`; do not edit.\n"


def own_files() -> dict[str, bytes]:
    """What is made from the types alone: path from the repository's root -> content. Nothing else lies in their folders."""
    definitions = {f"crds/{name}": to_yaml(crd) for name, crd in crds().items()}
    pages = reference.pages() | {settings_reference.PAGE: settings_reference.page()}
    return definitions | {f"docs/reference/{name}": text.encode() for name, text in pages.items()}


def conformance_page(root: Path = REPOSITORY) -> dict[str, bytes]:
    """What is made from the tests below `root`: it lies among pages written by hand."""
    return {conformance.PAGE: conformance.page(root).encode()}


def troubleshooting_page(root: Path = REPOSITORY) -> dict[str, bytes]:
    """What is made from the reasons: a part of a page that is written by hand."""
    return {troubleshooting.PAGE: troubleshooting.page(root).encode()}


def operator_rules() -> dict[str, bytes]:
    """What is made from the calls of the operator: it lies among templates written by hand."""
    return {operator_roles.FILE: operator_roles.page().encode()}


def to_yaml(document: object) -> bytes:
    """The same bytes for the same document, on every machine."""
    text = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
    return (_HEADER + text).encode()


def stale_own_files(root: Path = REPOSITORY) -> list[str]:
    """Paths below `root` whose content is not what the types say: changed, missing, or no longer made."""
    wanted = own_files()
    folders = {Path(path).parent for path in wanted}
    present = {str(p.relative_to(root)) for f in folders for p in (root / f).glob("*") if p.is_file()}
    return sorted(path for path in present | set(wanted) if _content(root / path) != wanted.get(path))


def stale_files(wanted: dict[str, bytes], root: Path = REPOSITORY) -> list[str]:
    """Those of `wanted` whose content below `root` is another one, or missing."""
    return sorted(path for path, content in wanted.items() if _content(root / path) != content)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def write(files: dict[str, bytes], root: Path = REPOSITORY) -> None:
    """Write what differs, and say so."""
    for path, content in files.items():
        if _content(root / path) != content:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
            print(f"wrote {path}")


def main() -> int:
    """Exit code for the shell: 0, or 1 with the stale files named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what is stale")
    if not parser.parse_args().check:
        write(own_files() | conformance_page() | troubleshooting_page() | operator_rules())
        write(generate_install.files())  # after: the chart carries the CRDs as they now are
        return 0
    stale = (
        stale_own_files()
        + stale_files(conformance_page() | troubleshooting_page() | operator_rules())
        + generate_install.stale(generate_install.files())
    )
    for path in stale:
        print(f"stale: {path} (run `make generate`)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
