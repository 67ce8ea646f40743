"""The page of the approver against the approver: its reasons, its settings and its example."""

import re
from pathlib import Path

import yaml

from holdfast_operator.approval.judge import USAGES, DenialReason
from holdfast_operator.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "approver.md").read_text()


def test_the_page_explains_every_reason_in_the_approvers_own_words() -> None:
    rows = dict(re.findall(r"^\| `([A-Za-z]+)` \| (.+) \|$", PAGE, re.MULTILINE))

    assert set(rows) == {str(reason) for reason in DenialReason}
    for reason in DenialReason:
        said = rows[str(reason)].replace("`", "").lower()
        assert said.startswith(reason.meaning.rstrip(".").lower()), reason


def test_the_page_names_every_setting_of_the_approver() -> None:
    settings = {f"HOLDFAST_{name.upper()}" for name in Settings.model_fields if name.startswith("approver_")}

    assert settings == set(re.findall(r"`(HOLDFAST_APPROVER_[A-Z_]+)`", PAGE))


def test_the_usages_of_the_pages_example_are_those_that_are_asked_for() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    assert set(yaml.safe_load(example)["spec"]["usages"]) == USAGES
