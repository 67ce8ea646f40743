"""Previews for people and for scripts.

Owns both forms. Neighbour: `preview` makes the values.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from holdfast.policy.model import PolicyMode
from holdfast_cli.previewing.preview import Preview, Violation
from holdfast_cli.terminal import visible

_THEN = {
    PolicyMode.ENFORCE: "they will be refused",
    PolicyMode.WARN: "they will be warned, and refused once it is Enforce",
    PolicyMode.AUDIT: "its status will count them, and they will be refused once it is Enforce",
}


def as_text(previews: Iterable[Preview], *, first: int | None) -> str:
    """`first`: as many clients are named for each policy; None: all."""
    return "\n".join(visible(line) for preview in previews for line in _lines(preview, first))


def _lines(preview: Preview, first: int | None) -> Iterator[str]:
    title = f"MTLSPolicy {preview.policy} ({preview.mode})"
    if preview.problem:
        yield f"{title}: cannot be accepted: {preview.problem}"
        return
    count = len(preview.violations)
    told = f"{count} would break it" if count else "none would break it"
    yield f"{title}: matches {_many(preview.matched, 'client')}, {told}{f'; {_THEN[preview.mode]}' if count else ''}"
    shown = preview.violations if first is None else preview.violations[:first]
    for violation in shown:
        yield from _of_client(violation)
    if len(shown) < count:
        yield f"  … and {count - len(shown)} more: --all names them"
    for client, why in preview.unjudged.items():
        yield f"  {client.namespace}/{client.name}: not judged in full: {why}"


def _of_client(violation: Violation) -> Iterator[str]:
    already = " (refused already)" if violation.refused else ""
    for breach in violation.breaches:
        yield f"  {violation.client.namespace}/{violation.client.name}{already}: {breach.reason}: {breach.message}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def as_json(previews: Sequence[Preview]) -> str:
    """Every client; members only ever come to it."""
    return json.dumps({"policies": [_policy(preview) for preview in previews]}, indent=2)


def _policy(preview: Preview) -> dict[str, object]:
    return {
        "name": preview.policy,
        "mode": preview.mode.value,
        "problem": preview.problem,
        "matchedClients": preview.matched,
        "violations": {
            "count": len(preview.violations),
            "clients": [_violation(violation) for violation in preview.violations],
        },
        "unjudged": [
            {"namespace": client.namespace, "name": client.name, "message": why} for client, why in preview.unjudged.items()
        ],
    }


def _violation(violation: Violation) -> dict[str, object]:
    return {
        "namespace": violation.client.namespace,
        "name": violation.client.name,
        "refusedAlready": violation.refused,
        "breaches": [{"reason": breach.reason.value, "message": breach.message} for breach in violation.breaches],
    }
