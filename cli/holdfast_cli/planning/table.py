"""A plan for people and for scripts.

Owns both forms. Clients that only follow, and for whom nothing changes but the policy they are ruled by, are one line.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from holdfast_cli.planning.changes import Change, FieldChange, Verb
from holdfast_cli.terminal import visible
from holdfast_operator.adapters.folder.documents import describe

_SECRETIVE = ("data.", "binaryData.")
"""Fields of a ConfigMap are named; what they hold is long, and may be what should not be there."""
_LONGEST = 60  # characters of a value in a line


def as_table(changes: Sequence[Change]) -> str:
    """A line for each object, below it what changes and what follows from it."""
    shown = [change for change in changes if change.says_something]
    quiet = [change for change in shown if _is_quiet(change)]
    lines = [line for change in shown if not _is_quiet(change) for line in _lines(change)]
    if quiet:
        lines.append(f"{Verb.FOLLOW:<9}  {len(quiet)} clients: {quiet[0].effects[0].partition(': ')[2]}")
    return "\n".join(visible(line) for line in [*lines, _summary(changes)])


def _is_quiet(change: Change) -> bool:
    """Of many clients a policy changes nothing but its hash."""
    policy_only = len(change.effects) == 1 and change.effects[0].endswith("the policy that rules it")
    return change.verb is Verb.FOLLOW and policy_only and not change.refusals and not change.warnings


def _lines(change: Change) -> Iterator[str]:
    yield f"{change.verb:<9}  {describe(change.key)}"
    for field in change.fields:
        yield f"    {field.field}: {_value(field, field.before)} -> {_value(field, field.after)}"
    for effect in change.effects:
        yield f"    then: {effect}"
    for refusal in change.refusals:
        yield f"    refused: {refusal.rule}: {refusal.message}"
    for warning in change.warnings:
        yield f"    warning: {warning}"


def _value(field: FieldChange, value: Any) -> str:
    if field.field.startswith(_SECRETIVE):
        return "..."
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _summary(changes: Iterable[Change]) -> str:
    counted = summary(changes)
    return ", ".join(
        f"{number} to {verb}" if verb in _INFINITIVES else f"{number} {verb}" for verb, number in counted.items()
    )


_INFINITIVES = ("create", "change", "follow")


def summary(changes: Iterable[Change]) -> dict[str, int]:
    """How many objects of each verb, and how many would be refused."""
    found = list(changes)
    counted = {str(verb): sum(change.verb is verb for change in found) for verb in Verb}
    return {**counted, "refused": sum(bool(change.refusals) for change in found)}


def as_json(changes: Sequence[Change]) -> str:
    """Every change, quiet ones as well."""
    listed = [_json(change) for change in changes if change.says_something]
    return json.dumps({"changes": listed, "summary": summary(changes)}, indent=2)


def _json(change: Change) -> dict[str, Any]:
    kind, namespace, name = change.key
    return {
        "action": change.verb,
        "kind": kind.kind,
        "namespace": namespace,
        "name": name,
        "fields": [
            {"field": f.field} | ({} if f.field.startswith(_SECRETIVE) else {"before": f.before, "after": f.after})
            for f in change.fields
        ],
        "effects": list(change.effects),
        "refusals": [{"rule": r.rule, "message": r.message} for r in change.refusals],
        "warnings": list(change.warnings),
    }
