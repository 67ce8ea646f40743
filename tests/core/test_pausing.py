"""A loop that pauses until it is woken, and that can always be ended."""

import asyncio

import pytest

from holdfast.clock import pause


async def test_a_pause_ends_when_it_is_woken_and_the_next_one_is_a_pause_again() -> None:
    wake = asyncio.Event()
    pausing = asyncio.create_task(pause(60, wake))
    await asyncio.sleep(0)

    wake.set()
    await asyncio.wait_for(pausing, 1)

    assert not wake.is_set()


async def test_a_pause_ends_when_its_time_is_over() -> None:
    wake = asyncio.Event()

    await asyncio.wait_for(pause(0.01, wake), 1)

    assert not wake.is_set()


async def test_what_woke_before_the_pause_counts() -> None:
    wake = asyncio.Event()
    wake.set()

    await asyncio.wait_for(pause(60, wake), 1)

    assert not wake.is_set()


async def test_a_pause_that_is_cancelled_as_it_is_woken_is_cancelled() -> None:
    """`asyncio.wait_for` of Python 3.11 forgets it, and a loop over it could not be ended."""
    wake = asyncio.Event()
    pausing = asyncio.create_task(pause(60, wake))
    await asyncio.sleep(0)

    wake.set()
    pausing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await pausing
