"""Findings as SARIF 2.1.0, which code hosts show beside the lines that they are about.

Owns the form. A file below the working directory is named relative to it, with `/`, as code hosts want it.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from holdfast import __version__
from holdfast_cli.linting.findings import Finding, Rule
from holdfast_cli.manifests.files import STANDARD_INPUT

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://holdfast.dev"


def as_sarif(findings: Sequence[Finding]) -> str:
    """One run, with the rules that it met."""
    rules = sorted({finding.rule for finding in findings})
    driver = {
        "name": "holdfast lint",
        "version": __version__,
        "informationUri": _HOME,
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, rules.index(finding.rule)) for finding in findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: Rule) -> dict[str, Any]:
    return {"id": str(rule), "name": str(rule), "shortDescription": {"text": rule.meaning}}


def _result(finding: Finding, index: int) -> dict[str, Any]:
    name = ": ".join(part for part in (finding.object, finding.field) if part)
    logical = [{"fullyQualifiedName": name, "kind": "object"}] if name else []
    place = finding.place
    physical = {
        "artifactLocation": {"uri": _uri(place.file)},
        "region": {"startLine": place.line, "startColumn": place.column},
    }
    return {
        "ruleId": str(finding.rule),
        "ruleIndex": index,
        "level": str(finding.level),
        "message": {"text": f"{name}: {finding.message}" if name else finding.message},
        "locations": [{"physicalLocation": physical, **({"logicalLocations": logical} if logical else {})}],
        "partialFingerprints": {"holdfast/v1": _fingerprint(finding)},
    }


def _uri(file: str) -> str:
    if file == STANDARD_INPUT:
        return "stdin"
    absolute = os.path.abspath(file)
    relative = os.path.relpath(absolute)
    if relative.startswith(os.pardir):
        return Path(absolute).as_uri()
    return quote(relative.replace(os.sep, "/"))


def _fingerprint(finding: Finding) -> str:
    """The same while the lines above it move."""
    told = "\0".join((finding.rule, finding.place.file, finding.object, finding.field, finding.message))
    return hashlib.sha256(told.encode(errors="backslashreplace")).hexdigest()
