"""A token bucket: how many passes may begin per second, so that a burst of edits does not flood the API server.

Owns nothing but the count. Neighbour: `engine` asks it before each pass.
"""

import asyncio


class Pace:
    """`rate` passes a second in the long run, `burst` at once. Time is the event loop's."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left = float(burst)
        self._seen: float | None = None

    async def wait(self) -> None:
        """Take one, waiting for it in turn where the bucket is empty."""
        now = asyncio.get_running_loop().time()
        if self._seen is not None:
            self._left = min(float(self._burst), self._left + (now - self._seen) * self._rate)
        self._seen = now
        self._left -= 1
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)
