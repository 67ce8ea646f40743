"""What a plan says of one object, as a value.

Owns the words of the report. Neighbours: `compare` makes it, `table` prints it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from holdfast_operator.reconcile.ports import Key

ABSENT = "absent"
"""In the place of a value that is not there."""


class Verb(StrEnum):
    """What happens to an object: by the files, or (`follow`) because of what they change elsewhere."""

    CREATE = "create"
    CHANGE = "change"
    FOLLOW = "follow"
    NONE = "unchanged"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`before`, `after`: JSON values, or ABSENT."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who would say no in `rule`: a condition's reason, or `InvalidObject` for the API server."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`effects`: what the operator would do. `refusals`: why it would not work; `warnings`: what to look at besides."""

    key: Key
    verb: Verb
    fields: tuple[FieldChange, ...] = ()
    effects: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def says_something(self) -> bool:
        """Whether it belongs into a report."""
        return self.verb is not Verb.NONE or bool(self.effects or self.refusals or self.warnings)


def differences(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """Every field that differs, as deep as objects go; a list is one value."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            below = f"{path}.{name}" if path else name
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), below)
    elif before != after:
        yield FieldChange(path, before, after)
