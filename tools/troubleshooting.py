"""The reasons' part of docs/troubleshooting.md, by symptom, between two marks; what surrounds it is written by hand.

Owns how it looks. What is said stands in `holdfast.api.v1alpha1`: in `conditions` what a reason means, in `advice` what to
do about it.
"""

from pathlib import Path

from holdfast.api.v1alpha1.advice import ADVICE, Symptom
from holdfast.api.v1alpha1.conditions import Reason

PAGE = "docs/troubleshooting.md"
BEGIN = "<!-- Generated from core/holdfast/api/v1alpha1/advice.py by `make generate`; do not edit up to the next mark. -->"
END = "<!-- From here on written by hand. -->"


def page(root: Path) -> str:
    """The page as it lies below `root`, with what is between the marks made anew. Raises ValueError without marks."""
    before, begin, rest = (root / PAGE).read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE}: expected the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{reasons()}\n{END}{after}"


def reasons() -> str:
    """Each symptom with its reasons, in the order in which `conditions` has them."""
    return "\n".join(_symptom(symptom) for symptom in Symptom)


def _symptom(symptom: Symptom) -> str:
    entries = "\n".join(_entry(reason) for reason in Reason if ADVICE[reason].symptom is symptom)
    return f"## {symptom.title}\n\n{symptom.lead}\n\n{entries}"


def _entry(reason: Reason) -> str:
    text = ADVICE[reason].text
    return f"### `{reason}`\n{reason.meaning}\n" + (f"\n*What to do:* {text}\n" if text else "")
