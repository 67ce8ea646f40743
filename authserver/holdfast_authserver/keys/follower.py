"""The loop that keeps a ring at what its store holds, for as long as the server runs.

Owns when to look and what is said when it fails: once for as long as it lasts. Neighbour: `ring`.
"""

import asyncio
import logging
from contextlib import suppress

from holdfast.clock import pause
from holdfast_authserver.keys.ring import KeyRing
from holdfast_authserver.keys.signing_key import SigningKeyError

_LOG = logging.getLogger(__name__)

POLL = 0.25
"""Seconds between looks: what one process changes holds in all others within a second."""


class KeyFollower:
    """Made once the ring has been read; ended by `close`."""

    def __init__(self, ring: KeyRing, *, poll: float = POLL) -> None:
        self._ring = ring
        self._poll = poll
        self._wake = asyncio.Event()
        self._trouble = ""
        self._task = asyncio.create_task(self._follow(), name="keys-follow")

    def wake(self) -> None:
        """Look at once: the registry has begun anew."""
        self._wake.set()

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self) -> None:
        while True:
            await pause(self._poll, self._wake)
            try:
                await self._ring.refresh()
                self._trouble = ""
            except SigningKeyError as error:
                self._say(str(error))
            except Exception:
                _LOG.exception("following the keys failed; it goes on")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            _LOG.error("keys: %s", trouble)
        self._trouble = trouble
