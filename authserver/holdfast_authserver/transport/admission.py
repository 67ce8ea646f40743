"""How many connections there may be at once, in all and from one peer, half-open ones included.

Owns the counts. Must not know sockets or HTTP. Neighbours: `arrival` asks before each handshake.
"""

from collections import Counter
from dataclasses import dataclass

from holdfast_authserver.transport.addresses import is_loopback, peer_of
from holdfast_authserver.transport.limits import ConnectionLimits


@dataclass(slots=True)
class Slot:
    """A connection's place. `peer` None: it counts in all, and for no peer."""

    _admission: "Admission"
    peer: str | None
    taken: bool = True

    def leave(self) -> None:
        """The connection is over; again is nothing."""
        if self.taken:
            self.taken = False
            self._admission.left(self.peer)


class Admission:
    """Of one listener in one process."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._all = 0
        self._by_peer: Counter[str] = Counter()
        self._refused = 0

    def enter(self, address: str | None) -> Slot | None:
        """A place for a connection from there; None: there are too many. `address` None: a Unix socket."""
        peer = None if address is None or self._exempt(address) else peer_of(address)
        if self._all >= self._limits.connections or self._is_full(peer):
            self._refused += 1
            return None
        self._all += 1
        if peer is not None:
            self._by_peer[peer] += 1
        return Slot(self, peer)

    def _is_full(self, peer: str | None) -> bool:
        return peer is not None and self._by_peer[peer] >= self._limits.connections_per_peer

    def take_refused(self) -> int:
        """How many were refused since this was asked the last time."""
        refused, self._refused = self._refused, 0
        return refused

    def _exempt(self, address: str) -> bool:
        return not self._limits.count_loopback and is_loopback(address)

    def left(self, peer: str | None) -> None:
        """Called by a slot."""
        self._all -= 1
        if peer is not None:
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]  # so that memory is bounded by connections, not by addresses ever seen
