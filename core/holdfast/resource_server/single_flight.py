"""One refresh at a time, whoever asks for it: from threads, and from the tasks of an asyncio loop.

Owns who waits for whom. What is refreshed, and whether that is due at all, the callback decides.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary


class SingleFlight:
    """Calls `refresh`, never twice at once. `refresh` must find out by itself that somebody else has just done it."""

    def __init__(self, refresh: Callable[[], None], name: str) -> None:
        self._refresh = refresh
        self._lock = threading.Lock()
        # Its own thread: the loop's are the application's, which may wait in them for us.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._flights: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[None]] = WeakKeyDictionary()

    def run(self, *, wait: bool) -> None:
        """Refresh in this thread. Without `wait`: only if nobody is doing it."""
        if self._lock.acquire(blocking=wait):
            try:
                self._refresh()
            finally:
                self._lock.release()

    async def arun(self, *, wait: bool) -> None:
        """Refresh in the worker's thread, once for all tasks of this loop. Without `wait`: begin, and go on."""
        loop = asyncio.get_running_loop()
        flight = self._flights.get(loop)
        if flight is None or flight.done():
            flight = self._flights[loop] = loop.run_in_executor(self._worker, self._locked)
        if wait:
            await asyncio.shield(flight)

    def _locked(self) -> None:
        with self._lock:
            self._refresh()
