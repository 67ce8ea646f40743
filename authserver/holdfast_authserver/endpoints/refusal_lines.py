"""How many lines of the audit log somebody can cause who proved to be nobody.

Anybody can send requests that are refused, so their lines are limited for each minute: by address and the client that they
name, by address, and in all. What goes beyond is counted, and told by one line for each address when the minute is over.
Requests of clients that proved who they are always have their line. Neighbours: `surface.py` asks, `decisions.py` writes
the lines that are let through; metrics count every refusal, with a line or without.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import getrandbits

from holdfast.clock import Clock
from holdfast.oauth.errors import OAuthError
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.endpoints.received import Received
from holdfast_authserver.transport.addresses import peer_of

LEFT_OUT = "requests.left_out"
"""The event of the line that tells what has none of its own."""
_MINUTE = timedelta(minutes=1)
_PER_ADDRESS = 5  # times as many as for one client at one address
_IN_ALL = 50
_MAX_ADDRESSES = 1000  # with a count of their own; the rest shares one


@dataclass(slots=True)
class _LeftOut:
    """`first`, `last`: decision ids. `reasons`: how often, by the words of `Refusal`."""

    address: str | None
    first: str
    last: str = ""
    reasons: Counter[str] = field(default_factory=Counter)


class RefusalLines:
    """Of one process. `most`: lines a minute for one client at one address; 0: any number. Close it before the audit log.

    `registered`: whether a client of this id is known. `remote_address`: whether lines name addresses.
    """

    def __init__(
        self,
        audit: AuditLog,
        registered: Callable[[str], bool],
        clock: Clock,
        *,
        most: int,
        remote_address: bool = True,
        minute: timedelta = _MINUTE,
    ) -> None:
        self._audit = audit
        self._registered = registered
        self._clock = clock
        self._most = most
        self._remote_address = remote_address
        self._minute = minute
        self._until: datetime | None = None
        self._told: Counter[tuple[str, ...]] = Counter()
        self._left_out: dict[str, _LeftOut] = {}
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, received: Received, error: OAuthError) -> bool:
        """Whether this refusal gets a line of its own; it is counted where it does not."""
        if received.proven or not self._most:
            return True
        self._begin_anew(self._clock())
        address = _address(received)
        keys = self._keys(received, address)
        if all(self._told[key] < size for key, size in keys):
            self._told.update(key for key, _ in keys)
            return True
        self._leave_out(received, address, error)
        return False

    def _begin_anew(self, at: datetime) -> None:
        """Where the minute is over, or the clock was set back."""
        if self._until is None or not self._until - self._minute <= at < self._until:
            self.close()
            self._told.clear()
            self._until = at + self._minute

    def _keys(self, received: Received, address: str) -> list[tuple[tuple[str, ...], int]]:
        """What is counted, with its limit. Ids that nobody registered are one, so that they make no counts."""
        claimed = received.claimed_client_id
        who = (claimed,) if claimed is not None and self._registered(claimed) else ()
        return [
            (("client", address, *who), self._most),
            (("address", address), self._most * _PER_ADDRESS),
            (("all",), self._most * _IN_ALL),
        ]

    def _leave_out(self, received: Received, address: str, error: OAuthError) -> None:
        if address not in self._left_out and len(self._left_out) >= _MAX_ADDRESSES:
            address = "others"
        known = address != "others" and self._remote_address and received.scope.get("client") is not None
        entry = self._left_out.setdefault(address, _LeftOut(address if known else None, received.decision))
        entry.last = received.decision
        entry.reasons[error.reason] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._minute.total_seconds(), self.close)

    def close(self) -> None:
        """Tell what was left out so far."""
        if self._timer is not None:
            self._timer.cancel()
        left_out, self._left_out, self._timer = self._left_out, {}, None
        for entry in left_out.values():
            self._audit.record(
                LEFT_OUT,
                f"{getrandbits(64):016x}",
                remote=entry.address,
                count=entry.reasons.total(),
                reasons=dict(entry.reasons),
                first=entry.first,
                last=entry.last,
            )


def _address(received: Received) -> str:
    peer = received.scope.get("client")
    return "" if peer is None else peer_of(str(peer[0]))
