"""docs/pipelines.md is run as it stands; its pipelines are valid, and docs/migrating.md imports what tests import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from holdfast.api.v1alpha1.validation import apply_defaults_and_validate
from holdfast_cli.linting.findings import OwnRule
from tests.architecture.tree import ROOT
from tests.cli.dev_process import dev

PIPELINES = (ROOT / "docs" / "pipelines.md").read_text("utf-8")
MIGRATING = (ROOT / "docs" / "migrating.md").read_text("utf-8")
BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
HERE = ("holdfast lint", "holdfast plan", "sed ")
"""Commands that need no cluster."""


def blocks(page: str, kind: str) -> list[tuple[str, str]]:
    """The line before each block of a kind, and its text."""
    return [(m["before"], m["text"]) for m in BLOCK.finditer(page) if m["kind"] == kind]


def section(title: str) -> str:
    return PIPELINES.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_commands_of_the_page_print_what_it_shows(tmp_path: Path) -> None:
    for before, text in blocks(section("Lint"), "yaml"):
        file = tmp_path / re.findall(r"`([^`]+\.yaml)`", before)[-1]
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    with dev(tmp_path) as process:
        (tmp_path / ".holdfast").symlink_to(process.data)
        said = ""
        for match in BLOCK.finditer(section("Lint") + section("Plan")):
            if match["kind"] == "sh":
                said = _typed(tmp_path, match["text"])
            elif match["kind"] == "text":
                assert said == match["text"]


def _typed(folder: Path, commands: str) -> str:
    """What the last of them printed."""
    said = ""
    for command in commands.strip().splitlines():
        assert command.startswith(HERE), command
        words = [sys.executable, "-m", "holdfast_cli.main", *command.split()[1:]]
        done = subprocess.run(
            words if command.startswith("holdfast") else command.split(),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout
    return said


@pytest.mark.parametrize(("title", "schema"), [("GitHub Actions", "github-workflows"), ("GitLab CI", "gitlab-ci")])
def test_the_pipelines_of_the_page_are_valid(title: str, schema: str, tmp_path: Path) -> None:
    ((_, text),) = blocks(section(title), "yaml")
    (tmp_path / "pipeline.yaml").write_text(text)

    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", "pipeline.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_lists_every_rule_that_is_no_reason_of_a_condition() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", section("Lint"), re.MULTILINE))

    assert listed == {str(rule) for rule in OwnRule}


def test_the_policy_for_a_move_is_valid() -> None:
    ((_, text),) = blocks(MIGRATING, "yaml")

    apply_defaults_and_validate(yaml.safe_load(text))
