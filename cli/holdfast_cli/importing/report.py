"""What became of every client, and of every field that was left behind: for people, and as JSON.

Owns both forms. Holds no secret: a field is named, its value only where it is public. Neighbour: `manifest`.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from holdfast_cli.importing.foreign import Left
from holdfast_cli.importing.manifest import Outcome
from holdfast_cli.terminal import visible


def as_text(outcomes: Sequence[Outcome], left: Iterable[Left]) -> str:
    """One line for each client, its fields below it."""
    lines = [line for outcome in outcomes for line in _client(outcome)]
    lines += [f"{entry.field}: {entry.why}" for entry in left]
    carried = sum(outcome.manifest is not None for outcome in outcomes)
    own = sum(outcome.own for outcome in outcomes)
    lines.append(f"{carried} clients carried over, {len(outcomes) - carried - own} left out, {own} of the server itself")
    return "\n".join(visible(line) for line in lines)


def _client(outcome: Outcome) -> list[str]:
    if outcome.own:
        return []
    became = f"{outcome.manifest['metadata']['name']}" if outcome.manifest is not None else f"left out: {outcome.refusal}"
    return [f"{outcome.client_id} -> {became}", *(f"  {entry.field}: {entry.why}" for entry in outcome.left)]


def as_json(outcomes: Iterable[Outcome], left: Iterable[Left]) -> str:
    """Everything that `as_text` says, and the foreign server's own clients by id."""
    clients = [
        {
            "client_id": outcome.client_id,
            "object": None if outcome.manifest is None else outcome.manifest["metadata"],
            "left_out_because": outcome.refusal,
            "fields": _fields(outcome.left),
        }
        for outcome in outcomes
    ]
    return json.dumps({"clients": clients, "left": _fields(left)}, indent=2)


def _fields(left: Iterable[Left]) -> list[dict[str, Any]]:
    return [{"field": entry.field, "why": entry.why} for entry in left]
