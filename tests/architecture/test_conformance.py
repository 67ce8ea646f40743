"""The page of duties is fresh, and no duty stands on it without a test or a reason."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tools import conformance, generate

PAGE = (ROOT / conformance.PAGE).read_text("utf-8")


def test_every_duty_has_a_test_or_a_reason() -> None:
    assert conformance.unproven(ROOT) == []


def test_the_page_of_duties_is_fresh() -> None:
    assert generate.stale_files(generate.conformance_page(ROOT), ROOT) == []


def test_no_test_names_a_duty_that_there_is_not() -> None:
    assert conformance.unknown(ROOT) == {}


def test_no_duty_is_listed_twice() -> None:
    source = (ROOT / "tools" / "conformance.yaml").read_text("utf-8")
    ids = re.findall(r"^    ([A-Z]-\d{2}):", source, re.MULTILINE)

    assert sorted(i for i in set(ids) if ids.count(i) > 1) == []
    assert ids == [duty.id for chapter in conformance.chapters() for duty in chapter.duties]


def test_no_number_is_left_out() -> None:
    numbers: dict[str, set[int]] = {}
    for identifier in (duty.id for chapter in conformance.chapters() for duty in chapter.duties):
        numbers.setdefault(identifier[0], set()).add(int(identifier[2:]))

    assert {letter: max(found) for letter, found in numbers.items()} == {
        letter: len(found) for letter, found in numbers.items()
    }


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"\[`(\w+)`\]\(\.\./([\w/.]+)\)", PAGE)

    assert len(named) > 100
    assert [f"{path}: {name}" for name, path in named if name not in _functions(ROOT / path)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def test_a() -> None:\n    """Refused (M-20)."""\n', ["M-20"]),
        ('async def test_a() -> None:\n    """Refused (M-20, M-24)."""\n', ["M-20", "M-24"]),
        ('class TestA:\n    def test_a(self) -> None:\n        """M-20: refused."""\n', ["M-20"]),
        ("def test_m20_and_y03_refused() -> None:\n    pass\n", ["M-20", "Y-03"]),
        ("def test_rsa_20_and_t2_and_m200_refused() -> None:\n    pass\n", []),
        ('def helper() -> None:\n    """Refused (M-20)."""\n', []),
        ("def test_a() -> None:\n    # M-20\n    pass\n", []),
        ('def test_a() -> None:\n    """SHA-256, RSA-20 and M-200."""\n', []),
    ],
)
def test_a_test_names_its_duties_in_its_docstring_or_name(source: str, found: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "area"
    folder.mkdir(parents=True)
    (folder / "test_sample.py").write_text(source, "utf-8")

    assert sorted(conformance.proofs(tmp_path)) == found


def test_a_duty_without_test_and_reason_is_told(tmp_path: Path) -> None:
    assert "M-20" in conformance.unproven(tmp_path)
    assert "M-61" not in conformance.unproven(tmp_path)
    assert "| M-20 | RFC 5280 section 4.2.1.9 |" in conformance.page(tmp_path)
    assert "**none**" in conformance.page(tmp_path)


def _functions(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_bytes()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
