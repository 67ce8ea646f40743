"""docs/troubleshooting.md has each reason once, under its symptom, and is made from where the reasons stand."""

import re
from pathlib import Path

import pytest

from holdfast.api.v1alpha1.advice import ADVICE, Symptom
from holdfast.api.v1alpha1.conditions import Reason
from tests.architecture.tree import ROOT
from tools import generate, troubleshooting

PAGE = (ROOT / troubleshooting.PAGE).read_text("utf-8")


def test_the_page_is_as_the_reasons_make_it() -> None:
    assert generate.stale_files(generate.troubleshooting_page(ROOT), ROOT) == [], "run `make generate`"


def test_every_reason_has_its_advice() -> None:
    assert set(ADVICE) == set(Reason)


def test_only_what_is_well_or_goes_on_by_itself_needs_no_advice() -> None:
    without = {reason for reason, advice in ADVICE.items() if not advice.text}

    assert {ADVICE[reason].symptom for reason in without} <= {Symptom.WELL, Symptom.UNDER_WAY}


@pytest.mark.parametrize("symptom", Symptom, ids=lambda symptom: symptom.name.lower())
def test_a_symptom_has_its_section_with_its_reasons(symptom: Symptom) -> None:
    section = PAGE.partition(f"\n## {symptom.title}\n")[2].partition("\n## ")[0]

    expected = [str(reason) for reason in Reason if ADVICE[reason].symptom is symptom]

    assert expected
    assert re.findall(r"^### `(\w+)`$", section, re.MULTILINE) == expected


def test_a_page_without_its_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / troubleshooting.PAGE).write_text("# Troubleshooting\n")

    with pytest.raises(ValueError, match="expected the marks"):
        troubleshooting.page(tmp_path)
