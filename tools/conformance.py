"""The page that says which test holds which duty of the specifications: duties from a file, tests from their docstrings.

Owns how a test names a duty, and how the page looks. A test names it in its docstring, as `(M-20)` or `(M-20, M-24)` at the
end of a sentence, or in its own name, as `test_m20_…` or `test_m29_and_y03_…`. Must not know what a duty means:
`conformance.yaml` tells.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
PAGE = "docs/conformance.md"

_CLAIMS = Path(__file__).with_suffix(".yaml")
_ID = re.compile(r"\b[A-Z]-\d{2}\b")
_IN_NAME = re.compile(r"(?<=_)([a-z])(\d{2})(?=_)")
_HEADER = "<!-- Generated from tools/conformance.yaml and the tests by `make generate`; do not edit. -->\n\n"
_INTRODUCTION = """# Conformance

What the specifications ask, and the tests that hold it. Each test is run by `make test`; one that is skipped fails the
pipeline. *choice* marks what a specification leaves open. Of what is not served the tests say that it is not, and the reason
stands beside them.
"""


@dataclass(frozen=True, slots=True)
class Duty:
    """One claim. `reason`: why no test holds it, or what the tests leave open; empty: a test must hold it."""

    id: str
    rfc: str
    claim: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    duties: tuple[Duty, ...]


@dataclass(frozen=True, slots=True, order=True)
class Proof:
    """A test function. `path`: from the repository's root."""

    path: str
    name: str


@cache
def chapters() -> tuple[Chapter, ...]:
    """Every duty, in the order of the file."""
    document = yaml.safe_load(_CLAIMS.read_text("utf-8"))
    return tuple(Chapter(part["title"], tuple(_duties(part["items"]))) for part in document)


def _duties(items: Mapping[str, Mapping[str, str]]) -> Iterator[Duty]:
    for identifier, item in items.items():
        yield Duty(identifier, item["rfc"], item["claim"], item.get("reason", ""))


def proofs(root: Path = REPOSITORY) -> dict[str, list[Proof]]:
    """Id -> the tests below `root`/tests that name it, sorted."""
    found: dict[str, set[Proof]] = {}
    for file in sorted((root / "tests").rglob("test_*.py")):
        for function in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_"):
                for identifier in _named_by(function):
                    found.setdefault(identifier, set()).add(Proof(file.relative_to(root).as_posix(), function.name))
    return {identifier: sorted(tests) for identifier, tests in found.items()}


def _named_by(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    named = set(_ID.findall(ast.get_docstring(function) or ""))
    return named | {f"{letter.upper()}-{number}" for letter, number in _IN_NAME.findall(function.name)}


def unproven(root: Path = REPOSITORY) -> list[str]:
    """Ids with neither a test nor a reason."""
    proven = proofs(root)
    return [duty.id for chapter in chapters() for duty in chapter.duties if duty.id not in proven and not duty.reason]


def unknown(root: Path = REPOSITORY) -> dict[str, list[Proof]]:
    """Ids that tests name within a chapter's letter and that no chapter has: slips of the pen."""
    known = {duty.id for chapter in chapters() for duty in chapter.duties}
    letters = {identifier[0] for identifier in known}
    return {i: tests for i, tests in proofs(root).items() if i not in known and i[0] in letters}


def page(root: Path = REPOSITORY) -> str:
    """The page as Markdown."""
    proven = proofs(root)
    parts = [_HEADER + _INTRODUCTION]
    for chapter in chapters():
        rows = "".join(_row(duty, proven.get(duty.id, [])) for duty in chapter.duties)
        parts.append(f"## {chapter.title}\n\n| Id | Where | What holds | Tests |\n| --- | --- | --- | --- |\n{rows}")
    return "\n".join(parts)


def _row(duty: Duty, tests: list[Proof]) -> str:
    cells = [f"[`{test.name}`](../{test.path})" for test in tests]
    if duty.reason:
        cells.append(f"*{duty.reason}.*")
    where = f"*{duty.rfc}*" if duty.rfc == "choice" else duty.rfc
    return f"| {duty.id} | {where} | {duty.claim}. | {'<br>'.join(cells) or '**none**'} |\n"


def main() -> int:
    """Print the ids that nothing holds, one a line."""
    print("\n".join(unproven()))
    return 0


if __name__ == "__main__":
    main()
