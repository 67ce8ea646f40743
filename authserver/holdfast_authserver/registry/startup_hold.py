"""When tokens may be given out after a registry was opened: once the operator has confirmed it, or a bound has passed.

A client that was released while the server was down is swept before it can get a token; a registry that began anew
while the server ran is filled before its clients are told that nobody knows them.
"""

import time
from collections.abc import Callable

from holdfast_authserver.registry.snapshot import Snapshot


class StartupHold:
    """One for the process; begins with it, and again with each new instance of the registry."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._until = monotonic() + seconds
        self._instance: str | None = None
        self._confirmed = self._over = False

    def over(self, snapshot: Snapshot) -> bool:
        """Whether tokens may be issued. Once over, it stays over for as long as the registry is the same."""
        if snapshot.instance != self._instance or (self._confirmed and not snapshot.confirmed):
            self._begin(snapshot.instance)
        self._confirmed = snapshot.confirmed
        if not self._over:
            self._over = snapshot.confirmed or self._monotonic() >= self._until
        return self._over

    def _begin(self, instance: str) -> None:
        """A registry that was confirmed and no longer is has been lost, before its successor is open."""
        if self._instance is not None:
            self._until = self._monotonic() + self._seconds
        self._instance, self._over = instance, False
