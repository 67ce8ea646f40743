"""The demo is true: every step goes as it says, and nothing is left running."""

import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LIMIT = 30  # seconds; what the demo promises


def test_every_step_of_the_demo_goes_as_expected(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.demo"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )

    steps = [line for line in ended.stdout.splitlines() if re.match(r"(ok  |FAIL) \d", line)]
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(steps) == 9
    assert all(step.startswith("ok  ") for step in steps)
    assert not _left_running(tmp_path)
    assert not list(tmp_path.iterdir())


def _left_running(folder: Path) -> list[str]:
    """Command lines of processes that work below the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found
