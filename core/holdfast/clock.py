"""Time is an argument: every process gets a clock, tests move theirs."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the present moment as an aware UTC datetime."""


def system_clock() -> datetime:
    """The machine's own clock, in UTC."""
    return datetime.now(UTC)


_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the latter where a system has no clock that counts sleep


def boot_time() -> float:
    """Seconds that go on while the machine sleeps and that no clock setting moves: for how old something is."""
    return time.clock_gettime(_BOOT)


async def pause(seconds: float, wake: asyncio.Event) -> None:
    """Until the time is over or `wake` is set, which it no longer is afterwards."""
    # Not `wait_for`: in Python 3.11 it forgets that it was cancelled where the event comes at the same moment.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
    wake.clear()
