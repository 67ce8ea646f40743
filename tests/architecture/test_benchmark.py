"""A token costs at most twice the least that it can cost on this stack, measured in processor time of the server."""

import re
import subprocess
import sys

from tests.architecture.tree import ROOT

TARGET = 0.5


def test_a_token_costs_at_most_twice_the_floor() -> None:
    command = [sys.executable, "-m", "benchmarks.token_endpoint", "--rounds", "3", "--seconds", "0.5"]

    seen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    found = re.search(r"^median .* ratio ([\d.]+)$", seen.stdout, re.MULTILINE)
    assert found, seen.stdout + seen.stderr
    assert float(found[1]) >= TARGET, seen.stdout
