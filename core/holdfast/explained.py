"""A closed set of words, each with what it means: reasons, refusals, rules. Their documents are made of it.

Owns the form alone. Must not know any word.
"""

from enum import StrEnum
from typing import Self


class Explained(StrEnum):
    """A member is its word; `meaning` is a sentence for people. Written as `NAME = "word", "meaning"`."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member
