"""How clients stand, counted from their statuses as these come: conditions, and when certificates end.

Owns the counts, so that whoever asks for them need not look at ten thousand objects. Only words of the closed lists are told
apart, whatever a status says. Neighbours: `index` feeds it, `metrics` shows it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast_operator.reconcile.issued import moment
from holdfast_operator.reconcile.names import mapping
from holdfast_operator.reconcile.ports import Key, Object

Stand = tuple[str, str, str]
"""Type, status and reason of a condition."""

_TYPES, _REASONS = frozenset(map(str, ConditionType)), frozenset(map(str, Reason))
_STATUSES = frozenset({"True", "False", "Unknown"})


class RenewedBy(StrEnum):
    """Who puts another certificate in the place of one that ends."""

    CERT_MANAGER = "cert-manager"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class _Known:
    stands: frozenset[Stand]
    ends: datetime | None
    renewed_by: RenewedBy


class Standing:
    """Of every client that was seen."""

    def __init__(self) -> None:
        self._clients: dict[Key, _Known] = {}
        self._stands: Counter[Stand] = Counter()

    def observe(self, key: Key, client: Object | None) -> None:
        """Take in a client as it is now; None: it is gone. Never raises, whatever its status holds."""
        before = self._clients.pop(key, None)
        after = None if client is None else _known(mapping(client.get("status")))
        self._stands.subtract(before.stands if before else ())
        if after is not None:
            self._stands.update(after.stands)
            self._clients[key] = after

    @property
    def conditions(self) -> Mapping[Stand, int]:
        """How many clients have each condition, with this status and for this reason; those that none has are left out."""
        return +self._stands

    def ends(self) -> Iterator[tuple[datetime, RenewedBy]]:
        """When each client's certificate ends, where its status says so."""
        return ((known.ends, known.renewed_by) for known in self._clients.values() if known.ends is not None)


def _known(status: Mapping[str, object]) -> _Known:
    certificate = mapping(status.get("certificate"))
    listed = status.get("conditions")
    found = (mapping(entry) for entry in (listed if isinstance(listed, list | tuple) else ()))
    stands = ((str(entry.get("type")), str(entry.get("status")), str(entry.get("reason"))) for entry in found)
    ends = certificate.get("notAfter")
    return _Known(
        stands=frozenset(stand for stand in stands if _is_known(*stand)),
        ends=moment(ends) if isinstance(ends, str) else None,
        renewed_by=RenewedBy.CERT_MANAGER if certificate.get("secretName") else RenewedBy.NOBODY,
    )


def _is_known(kind: str, status: str, reason: str) -> bool:
    return kind in _TYPES and status in _STATUSES and reason in _REASONS
