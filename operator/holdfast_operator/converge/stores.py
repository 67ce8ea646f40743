"""Everything at hand before the first pass: all objects and all registrations, listed once and kept by events.

Owns when a listing is needed: a replica that waits for the Lease keeps its stores warm, so that taking over costs none.
Neighbours: `mirror` (objects), `reconciler` (registrations); the engine and `leadership` ask.
"""

import logging

from holdfast.registry.port import RegistryError
from holdfast_operator.converge.mirror import Mirror
from holdfast_operator.converge.reconciler import Reconciler

log = logging.getLogger(__name__)


class Stores:
    """Belongs to one event loop."""

    def __init__(self, mirror: Mirror, reconciler: Reconciler) -> None:
        self._mirror, self._reconciler = mirror, reconciler

    async def warm(self) -> None:
        """List what was never listed. Raises ClusterUnavailable; a registry that is away is asked later."""
        if not self._mirror.whole:
            await self._mirror.fill()
        await self._learn()

    async def refresh(self) -> None:
        """List everything afresh, without haste; what no event has shown comes as one. Raises ClusterUnavailable."""
        await self._mirror.renew()
        await self._learn()

    async def begin_term(self) -> None:
        """From here on no earlier leader changes the registry, whatever it was about to do."""
        try:
            await self._reconciler.begin_term()
        except RegistryError as error:
            log.info("the registry could not be asked for a term, the first write will: %s", error)

    async def _learn(self) -> None:
        try:
            await self._reconciler.learn_registry()
        except RegistryError as error:
            log.info("the registry could not be listed: %s", error)
