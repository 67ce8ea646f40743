"""Waiting for what another task or process does."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> float:
    """Ask again and again; answers how long it took. Fails when it never happens."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not holds():
        assert loop.time() - begun < seconds, "it never happened"
        await asyncio.sleep(0.005)
    return loop.time() - begun
