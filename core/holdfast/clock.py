"""Time is an argument: every process gets a clock, tests move theirs."""

import time
from collections.abc import Callable
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
