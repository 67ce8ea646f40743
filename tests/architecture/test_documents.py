"""What the documents name exists: files, links, make targets. A page that has gone stale fails here."""

import re
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, relative, tracked

PAGES = [path for path in tracked("*.md") if not relative(path).startswith("docs/reference/")]
FOLDERS = sorted({relative(path).partition("/")[0] for path in tracked() if "/" in relative(path)})

MUST_NOT_EXIST = {"operator/__init__.py"}
"""Named as a warning."""

_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:" + "|".join(re.escape(folder) for folder in FOLDERS) + r")/[\w./-]*")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_TARGET = re.compile(r"\bmake ([a-z-]+)\b(?!\.)")
_FENCED_OR_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=relative)


@each_page
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = {code for code in _CODE.findall(page.read_text("utf-8")) if _PATH.fullmatch(code)}

    assert sorted(name for name in named - MUST_NOT_EXIST if not (ROOT / name).exists()) == []


@each_page
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text("utf-8")) if "://" not in link]

    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    code = " ".join(_FENCED_OR_CODE.findall(page.read_text("utf-8")))

    assert sorted(set(_TARGET.findall(code)) - targets) == []


def test_the_architecture_names_files_of_each_way_through_the_house() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    ways = re.split(r"^## \([a-d]\) ", text, flags=re.MULTILINE)[1:]

    assert [len(_PATH.findall(way)) >= 3 for way in ways] == [True] * 4
