"""A pipeline's run in which a test was left out does not pass."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

PASSES = "def test_passes():\n    pass\n"
SKIPPED = "import pytest\n\n@pytest.mark.skip(reason='no plane')\ndef test_skipped():\n    pass\n"
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail(reason='known')\ndef test_fails():\n    assert False\n"


def test_a_run_of_everything_passes(tmp_path: Path) -> None:
    seen = _judge(_report(tmp_path, PASSES))

    assert (seen.returncode, seen.stdout) == (0, "1 tests, 0 left out\n")


@pytest.mark.parametrize(("source", "reason"), [(SKIPPED, "no plane"), (EXPECTED_FAILURE, "known")])
def test_a_test_that_was_left_out_is_named_and_refused(tmp_path: Path, source: str, reason: str) -> None:
    seen = _judge(_report(tmp_path, PASSES + source))

    assert seen.returncode == 1
    assert "2 tests, 1 left out" in seen.stdout
    assert reason in seen.stdout


def test_a_run_without_tests_is_refused(tmp_path: Path) -> None:
    assert _judge(_report(tmp_path, "")).returncode == 1


def test_a_run_that_wrote_no_report_is_refused(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.touch()

    assert _judge(report).returncode == 1


def _report(folder: Path, source: str) -> Path:
    """What pytest itself writes about a file of this content."""
    (folder / "test_sample.py").write_text(source, "utf-8")
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", f"--rootdir={folder}", f"--junitxml={report}"]
    subprocess.run([*command, "test_sample.py"], cwd=folder, capture_output=True, check=False)
    return report


def _judge(report: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "refuse_skips.py"), str(report)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
