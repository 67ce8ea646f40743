"""The repository is laid out as ARCHITECTURE.md says, and names nothing of the machine that it was written on."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.architecture.tree import PACKAGES, ROOT, relative, tracked

# In parts, so that this file is not the one that names them.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("golang", "org"),
        ("debian", "org"),
        ("crates", "io"),
        ("maven", "org"),
    ]
]

GENERATED = ("/migrations/", "/versions/")


def test_the_operator_folder_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_the_standard_operator_module_and_ours_are_imported_side_by_side() -> None:
    code = "import operator, holdfast_operator; print(operator.add(1, 2))"

    seen = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (seen.returncode, seen.stdout.strip()) == (0, "3"), seen.stderr


def test_folders_of_packages_are_no_packages() -> None:
    assert [relative(folder / "__init__.py") for folder in PACKAGES.values() if (folder / "__init__.py").exists()] == []


def test_every_package_is_typed() -> None:
    assert [name for name, folder in PACKAGES.items() if not (folder / name / "py.typed").is_file()] == []


def test_folders_of_tests_are_no_packages() -> None:
    assert [relative(path) for path in tracked("tests/**/__init__.py", "tests/__init__.py")] == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in tracked("tests/**/test_*.py")]

    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_every_module_begins_with_a_docstring() -> None:
    silent = [path for path in tracked("*.py") if ast.get_docstring(ast.parse(path.read_text("utf-8"))) is None]

    assert [relative(path) for path in silent if not any(part in f"/{relative(path)}" for part in GENERATED)] == []


def test_no_file_of_the_product_is_longer_than_400_lines() -> None:
    files = [path for path in tracked("*.py") if not relative(path).startswith("tests/")]

    assert {relative(path): count for path in files if (count := _lines(path)) > 400} == {}


def test_no_tracked_file_names_a_package_registry() -> None:
    pattern = re.compile(r"\b(" + "|".join(re.escape(host) for host in REGISTRY_HOSTS) + r")\b")

    assert {relative(path): found[0] for path in tracked() if (found := pattern.findall(_text(path)))} == {}


def test_no_tracked_file_names_a_path_of_this_machine() -> None:
    own = [f"{folder}/" for folder in (ROOT, Path.home()) if folder != Path("/")]

    assert {relative(path): name for path in tracked() for name in own if name in _text(path)} == {}


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace")


def _lines(path: Path) -> int:
    return len(_text(path).splitlines())
