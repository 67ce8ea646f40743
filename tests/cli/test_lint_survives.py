"""`holdfast lint` ends with findings whatever a document holds: the parser, the rules and the operator's plan meet junk."""

import copy
from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.clock import system_clock
from holdfast_cli.linting.across import judge_together
from holdfast_cli.linting.findings import Finding, in_order
from holdfast_cli.linting.sarif import as_sarif
from holdfast_cli.linting.single import judge_each
from holdfast_cli.linting.text import as_text
from holdfast_cli.manifests.documents import read_documents
from holdfast_cli.manifests.files import Source
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.api.manifests import QUICKSTART, SAMPLES, documents

GOOD = [obj for path in [*SAMPLES, QUICKSTART] for obj in documents(path)]
GOOD.append({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "a"}, "spec": {}})
JUNK: list[Any] = [None, [], {}, "x", 5, -1.5, True, "", "a" * 300, [None], [{}], {"a": None}, "{{ x }}", "\0", 2**70]

places = st.integers(0, 2**30)
edits = st.lists(st.tuples(places, st.sampled_from([*JUNK, "remove"])), max_size=3)
edited = st.tuples(st.sampled_from(GOOD), edits)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place below the value."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from _paths(below, (*path, key))


def _edit(value: Any, number: int, junk: Any) -> None:
    """Put junk into a place of the value, or take the place away."""
    paths = list(_paths(value))
    if not paths:
        return
    *above, last = paths[number % len(paths)]
    for step in above:
        value = value[step]
    if junk == "remove":
        del value[last]
    else:
        value[last] = copy.deepcopy(junk)


def _linted(text: str) -> tuple[Finding, ...]:
    single, valid = judge_each(read_documents([Source("in.yaml", text)]))
    return in_order([*single, *judge_together(valid, ReconcileSettings(), system_clock())])


@given(st.lists(edited, min_size=1, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_document_gets_findings_with_places_in_its_file(chosen: list[tuple[Any, Any]], listed: bool) -> None:
    objects = []
    for good, changes in chosen:
        obj = copy.deepcopy(good)
        for number, junk in changes:
            _edit(obj, number, junk)
        objects.append(obj)
    text = yaml.safe_dump_all([{"apiVersion": "v1", "kind": "List", "items": objects}] if listed else objects)

    findings = _linted(text)

    lines = text.count("\n") + 1
    assert all(1 <= finding.place.line <= lines and finding.message for finding in findings)
    assert as_sarif(findings)
    assert as_text(findings, objects=len(objects), files=1)


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_every_text_gets_findings(text: str) -> None:
    assert as_text(_linted(text), objects=0, files=1)
