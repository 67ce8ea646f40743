"""The files of this repository as git knows them: what the tests in this folder look at.

Owns where the root is and which files count. Must not know what is asked of them.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = {
    "holdfast": ROOT / "core",
    "holdfast_authserver": ROOT / "authserver",
    "holdfast_operator": ROOT / "operator",
    "holdfast_workload": ROOT / "workload",
    "holdfast_cli": ROOT / "cli",
}
"""Every package that is installed, and the folder that it lies in."""


def tracked(*patterns: str) -> list[Path]:
    """Absolute paths of the tracked files that match any of the git patterns; all of them when there is none."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
