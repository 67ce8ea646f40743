"""Findings for people, one a line as compilers print them, and for scripts as JSON.

Owns both forms. Neighbour: `sarif`, the form for code hosts.
"""

import json
from collections.abc import Sequence

from holdfast_cli.linting.findings import Finding, Level, count
from holdfast_cli.terminal import visible


def as_text(findings: Sequence[Finding], *, objects: int, files: int) -> str:
    """`objects`, `files`: how many were looked at."""
    return "\n".join([*map(_line, findings), _summary(findings, objects, files)])


def _line(finding: Finding) -> str:
    place = f"{finding.place.file}:{finding.place.line}:{finding.place.column}"
    what = ": ".join(part for part in (finding.object, finding.field, finding.message) if part)
    return visible(f"{place}: {finding.level}: {what} [{finding.rule}]")


def _summary(findings: Sequence[Finding], objects: int, files: int) -> str:
    counted = count(findings)
    found = ", ".join(_many(counted[level], str(level)) for level in Level)
    return f"{_many(objects, 'object')} in {_many(files, 'file')}: {found}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def as_json(findings: Sequence[Finding], *, objects: int, files: int) -> str:
    """One member for each finding, none of which ever goes away."""
    return json.dumps(
        {
            "files": files,
            "objects": objects,
            "findings": [
                {
                    "rule": finding.rule,
                    "level": finding.level,
                    "file": finding.place.file,
                    "line": finding.place.line,
                    "column": finding.place.column,
                    "object": finding.object,
                    "field": finding.field,
                    "message": finding.message,
                }
                for finding in findings
            ],
        },
        indent=2,
    )
