"""Imports go down only: the contracts in `.importlinter` hold, notice a trespass, and know a place for each module."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT

LINT = Path(sys.executable).with_name("lint-imports")


def test_the_layers_hold() -> None:
    seen = _lint(ROOT, PACKAGES.values())

    assert seen.returncode == 0, seen.stdout + seen.stderr


@pytest.mark.parametrize(
    ("package", "module", "line"),
    [
        ("holdfast", "holdfast/x509/trespass.py", "import holdfast.policy.model"),
        ("holdfast", "holdfast/oauth/trespass.py", "import kubernetes"),
        ("holdfast_authserver", "holdfast_authserver/endpoints/trespass.py", "import holdfast.api"),
        ("holdfast_authserver", "holdfast_authserver/endpoints/trespass.py", "import holdfast_operator"),
        ("holdfast_authserver", "holdfast_authserver/registry/trespass.py", "import holdfast_authserver.endpoints"),
        ("holdfast_authserver", "holdfast_authserver/transport/trespass.py", "import holdfast_authserver.settings"),
        ("holdfast_operator", "holdfast_operator/reconcile/trespass.py", "import httpx"),
        ("holdfast_operator", "holdfast_operator/reconcile/trespass.py", "import asyncio"),
        ("holdfast_operator", "holdfast_operator/converge/trespass.py", "import holdfast_operator.engine"),
        ("holdfast_operator", "holdfast_operator/engine/trespass.py", "import kopf"),
        ("holdfast_cli", "holdfast_cli/trespass.py", "import kopf"),
    ],
)
def test_a_trespass_is_seen(tmp_path: Path, package: str, module: str, line: str) -> None:
    shutil.copy(ROOT / ".importlinter", tmp_path)
    folders = {name: _copy(folder, name, tmp_path) for name, folder in PACKAGES.items()}
    (folders[package] / module).write_text(f'"""Imports what it must not."""\n\n{line}\n', "utf-8")

    seen = _lint(tmp_path, folders.values())

    assert seen.returncode == 1, seen.stdout + seen.stderr
    assert "trespass" in seen.stdout


@pytest.mark.parametrize("package", ["holdfast", "holdfast_authserver", "holdfast_operator"])
def test_a_module_without_a_place_is_seen(tmp_path: Path, package: str) -> None:
    shutil.copy(ROOT / ".importlinter", tmp_path)
    folders = {name: _copy(folder, name, tmp_path) for name, folder in PACKAGES.items()}
    (folders[package] / package / "stranger.py").write_text('"""Stands in no layer."""\n', "utf-8")

    seen = _lint(tmp_path, folders.values())

    assert seen.returncode == 1, seen.stdout + seen.stderr
    assert "stranger" in seen.stdout


def _copy(folder: Path, package: str, target: Path) -> Path:
    copied = target / folder.name
    shutil.copytree(folder / package, copied / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def _lint(root: Path, folders: Iterable[Path]) -> subprocess.CompletedProcess[str]:
    """Judges the packages in `folders` (they come before the installed ones) by the contracts that lie in `root`."""
    return subprocess.run(
        [LINT, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(folder) for folder in folders)},
        capture_output=True,
        text=True,
        check=False,
    )
