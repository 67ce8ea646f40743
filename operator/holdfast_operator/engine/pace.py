"""How many passes may begin per second, so that a burst of edits does not flood anybody, and none while somebody asks for a
pause.

Owns the count of a token bucket and the end of the pause. Neighbour: `engine` asks it before each pass.
"""

import asyncio

LONGEST_HOLD = 30.0
"""Seconds; what a server may ask for beyond that is not believed."""


class Pace:
    """`rate` passes a second in the long run, `burst` at once. Time is the event loop's."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left = float(burst)
        self._seen: float | None = None
        self._held_until = 0.0

    def hold(self, seconds: float) -> None:
        """Let nothing begin for so long: a server said when it wants to be asked again (429, 503 with Retry-After)."""
        until = asyncio.get_running_loop().time() + min(seconds, LONGEST_HOLD)
        self._held_until = max(self._held_until, until)

    async def wait(self) -> None:
        """Take one, waiting for it in turn where the bucket is empty."""
        now = asyncio.get_running_loop().time()
        if self._seen is not None:
            self._left = min(float(self._burst), self._left + (now - self._seen) * self._rate)
        self._seen = now
        self._left -= 1
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)
        if (left := self._held_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)
