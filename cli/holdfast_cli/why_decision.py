"""A decision of the past in plain words, from the line of the audit log that has its id.

Owns finding the line and the words. What a reason means stands in `holdfast.oauth.refusal`. Neighbours: `why` prints.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.oauth.refusal import Refusal

_EVENTS = {
    "token.issued": "A token was issued.",
    "token.refused": "A token was refused.",
    "introspection.answered": "A question about a token was answered.",
    "introspection.refused": "A question about a token was refused.",
    "token.revoked": "A token was revoked.",
    "revocation.refused": "The revocation of a token was refused.",
}
_WORDS = {
    "time": "when",
    "client_id": "client",
    "method": "authenticated by",
    "thumbprint": "certificate (x5t#S256)",
    "error": "answered with",
    "reason": "reason",
    "detail": "in detail",
    "policy": "policy (hash)",
    "revision": "registry revision",
    "remote": "from address",
}
"""The members that are told, in this order; others follow under their own name."""


@dataclass(frozen=True, slots=True)
class Told:
    """`facts`: name and value, unescaped: they may hold what a stranger sent."""

    summary: str
    facts: tuple[tuple[str, str], ...]
    refused: bool


def find(lines: Iterable[bytes], decision: str) -> list[dict[str, Any]]:
    """Every line of this decision, in order. What is no JSON object is passed over."""
    wanted = decision.encode()
    found = []
    for line in lines:
        if wanted in line and (value := _parse(line)) is not None and value.get("decision") == decision:
            found.append(value)
    return found


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def tell(line: Mapping[str, Any]) -> Told:
    """One line of the log, for people."""
    event = str(line.get("event"))
    refused = event.endswith(".refused")
    summary = _EVENTS.get(event, event)
    reason = str(line.get("reason", ""))
    if refused and (meaning := _meaning(reason)):
        summary = f"{summary} {meaning}"
    known = [(word, line[name]) for name, word in _WORDS.items() if name in line]
    others = [(name, value) for name, value in line.items() if name not in {*_WORDS, "event", "decision"}]
    return Told(summary, tuple((name, _text(value)) for name, value in known + others), refused)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _meaning(reason: str) -> str:
    """Empty for a word of a newer or older server."""
    return next((known.meaning for known in Refusal if known == reason), "")
