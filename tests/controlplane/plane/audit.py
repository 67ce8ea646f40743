"""The API server's audit log, read as values.

Owns: what a line means. Must not know who reads it: tests count writes with it, and see who touched Secrets.
"""

import json
from dataclasses import dataclass
from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True)
class Request:
    """One answered request to the API server."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    status: int
    credential: str
    """Which token the user came with, where it was one."""

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES


def read(log: Path, offset: int = 0) -> list[Request]:
    """All requests whose line begins at byte `offset` or later; an unfinished last line is left for the next read."""
    with log.open("rb") as handle:
        handle.seek(offset)
        complete, _, _ = handle.read().rpartition(b"\n")
    return [_request(json.loads(line)) for line in complete.splitlines()]


def _request(event: dict[str, object]) -> Request:
    reference = _mapping(event.get("objectRef"))
    return Request(
        user=str(_mapping(event.get("user")).get("username", "")),
        verb=str(event.get("verb", "")),
        group=str(reference.get("apiGroup", "")),
        resource=str(reference.get("resource", "")),
        subresource=str(reference.get("subresource", "")),
        namespace=str(reference.get("namespace", "")),
        name=str(reference.get("name", "")),
        status=int(str(_mapping(event.get("responseStatus")).get("code", 0))),
        credential=" ".join(_listed(_mapping(_mapping(event.get("user")).get("extra")).get(_CREDENTIAL))),
    )


def _listed(value: object) -> list[str]:
    return [str(entry) for entry in value] if isinstance(value, list) else []


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
