"""Whether the registry may be answered from: not before it was confirmed, and not when it is too old.

Neighbours: `registry/startup_hold.py` (how long a confirmation is waited for), `operations.py` (what readiness says of it).
"""

from dataclasses import dataclass

from holdfast.oauth.errors import TemporarilyUnavailable
from holdfast.oauth.refusal import Refusal
from holdfast_authserver.registry.keeper import RegistryKeeper
from holdfast_authserver.registry.startup_hold import StartupHold


@dataclass(frozen=True, slots=True)
class Availability:
    """`max_staleness`: seconds; what the registry said longer ago answers nobody. `ready_staleness`: says "not ready"."""

    keeper: RegistryKeeper
    hold: StartupHold
    max_staleness: float
    ready_staleness: float

    def check_fresh(self) -> None:
        """Raises TemporarilyUnavailable."""
        age = self.keeper.age
        if age > self.max_staleness:
            detail = f"the registry was last seen {age:.0f} s ago, max_staleness is {self.max_staleness:.0f} s"
            raise TemporarilyUnavailable(detail, retry_after=5, reason=Refusal.REGISTRY_STALE)

    def check_hold(self) -> None:
        """Raises TemporarilyUnavailable."""
        self.check_fresh()
        if not self.hold.over(self.keeper.snapshot):
            raise TemporarilyUnavailable(
                "the registry has not been confirmed since it was opened", reason=Refusal.REGISTRY_UNCONFIRMED
            )
