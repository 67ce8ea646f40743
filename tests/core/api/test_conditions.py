"""The closed sets of conditions and reasons."""

import re
from pathlib import Path

import pytest

from holdfast.api.v1alpha1.base import Condition
from holdfast.api.v1alpha1.conditions import ConditionType, Polarity, Reason, condition_type, reason
from holdfast.policy.decision import DenialReason

ROOT = Path(__file__).parents[3]


def test_every_condition_and_reason_says_what_it_means() -> None:
    assert all(member.meaning.endswith(".") for member in (*ConditionType, *Reason))


def test_what_needs_attention_is_told_apart_from_what_is_good() -> None:
    negative = {t for t in ConditionType if t.polarity is Polarity.NEGATIVE}

    assert negative == {
        ConditionType.RECONCILING,
        ConditionType.STALLED,
        ConditionType.ISSUER_UNGUARDED,
        ConditionType.CERTIFICATE_EXPIRING,
    }


def test_a_policy_has_four_conditions() -> None:
    assert [str(t) for t in ConditionType if "MTLSPolicy" in t.kinds] == ["Ready", "Accepted", "Reconciling", "Stalled"]


@pytest.mark.parametrize("denial", DenialReason)
def test_every_no_of_a_policy_is_a_documented_reason(denial: DenialReason) -> None:
    assert reason(denial) == denial.value


@pytest.mark.parametrize("member", Reason, ids=str)
def test_a_reason_is_one_that_a_condition_may_carry(member: Reason) -> None:
    Condition(
        type=ConditionType.READY,
        status="True",
        last_transition_time="2026-01-01T00:00:00Z",  # type: ignore[arg-type]  # as on the wire
        reason=member,
        message="",
    )


def test_unknown_words_are_refused() -> None:
    with pytest.raises(KeyError):
        reason("NoSuchReason")
    with pytest.raises(KeyError):
        condition_type("NoSuchType")


def test_a_word_is_found_by_its_text() -> None:
    assert condition_type("Ready") is ConditionType.READY
    assert reason("IssuerNotFound") is Reason.ISSUER_NOT_FOUND


def test_every_reason_is_used_by_some_process() -> None:
    sources = [p.read_text() for folder in ("operator", "cli") for p in (ROOT / folder).rglob("*.py")]
    used = {name for text in sources for name in re.findall(r"\bReason\.([A-Z_]+)", text)}
    denials = {member.name for member in DenialReason}

    assert {member.name for member in Reason} - used - denials == set()


def test_every_reason_has_its_advice_and_no_advice_is_for_an_unknown_one() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    headed = {word for line in page.splitlines() if line.startswith("### `") for word in re.findall(r"`(\w+)`", line)}

    assert {str(member) for member in Reason if f"`{member}`" not in page} == set()
    assert headed - set(Reason) == set()
