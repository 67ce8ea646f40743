"""The loop that follows the keys: it sees what others do, and tells trouble once for as long as it lasts."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast_authserver.keys import rotation
from holdfast_authserver.keys.follower import POLL, KeyFollower
from tests.authserver.keys.rings import START, book_file, ring_in
from tests.authserver.running import MovingClock


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_a_look_comes_several_times_a_second() -> None:
    assert POLL <= 0.5


async def test_what_another_process_retires_is_gone_here(tmp_path: Path) -> None:
    clock = MovingClock(START)
    ring, other = ring_in(tmp_path, clock), ring_in(tmp_path, clock)
    await ring.refresh()
    await other.refresh()
    stolen = ring.signing()
    follower = KeyFollower(ring, poll=0.01)
    try:
        await other.change(lambda book: rotation.without(book, stolen.kid, clock.now, other.times))
        await _until(lambda: ring.find(stolen.kid) is None)
    finally:
        await follower.close()


async def test_trouble_is_told_once_without_any_key_and_passes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """(S-09)."""
    looks = 0.0

    def counted() -> float:
        nonlocal looks
        looks += 1
        return 0.0

    ring = ring_in(tmp_path, MovingClock(START), elapsed=counted)
    await ring.refresh()
    value = book_file(tmp_path).read_bytes()
    book_file(tmp_path).write_bytes(value[:-2])
    follower = KeyFollower(ring, poll=0.005)
    try:
        with caplog.at_level(logging.ERROR):
            begun = looks
            await _until(lambda: looks >= begun + 5)
        kept = ring.published()
        book_file(tmp_path).write_bytes(value)
        begun = looks
        await _until(lambda: looks >= begun + 5)
    finally:
        await follower.close()

    (line,) = caplog.messages
    assert line == f"keys: {book_file(tmp_path)}: damaged: not the form that keys are kept in"
    assert ring.published() == kept
