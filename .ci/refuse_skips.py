"""Refuses a test run in which something was left out.

    python .ci/refuse_skips.py REPORT

REPORT is the JUnit file that pytest wrote. A skipped test, an expected failure or an empty run ends with exit code 1 and
a line for each. Owns that one decision; must not know which tests there are. Its neighbour is `.ci/run`.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def left_out(report: str) -> tuple[int, list[str]]:
    """How many test cases the report holds, and one line for each that did not run to a verdict of its own."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))  # noqa: S314
    lines = [
        f"{case.get('classname')}::{case.get('name')}: {skipped.get('message', 'no reason given')}"
        for case in cases
        for skipped in case.iter("skipped")
    ]
    return len(cases), lines


def main(path: str) -> int:
    text = Path(path).read_text(encoding="utf-8")
    if not text:
        print("no test report was written")
        return 1
    count, lines = left_out(text)
    print(f"{count} tests, {len(lines)} left out")
    for line in lines:
        print(f"  {line}")
    return 1 if lines or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
