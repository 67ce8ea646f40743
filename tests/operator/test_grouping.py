"""Calls at the same time as one call."""

import asyncio
from collections.abc import Sequence

import pytest

from holdfast_operator.converge.grouping import Grouped


class Sender:
    """Answers with the doubled number, once it is let go; keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.one_by_one = False

    async def send(self, questions: Sequence[int]) -> Sequence[int | Exception]:
        self.sent.append(list(questions))
        await self.go.wait()
        if self.one_by_one:
            self.go.clear()
        if 13 in questions:
            raise ConnectionError("away")
        return [ValueError(str(q)) if q < 0 else 2 * q for q in questions]


def _is_new(group: Sequence[int], question: int) -> bool:
    return question not in group


async def _begin(*tasks: "asyncio.Task[int]") -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_single_call_goes_out_at_once() -> None:
    sender = Sender()

    assert await Grouped(sender.send, _is_new, 10).ask(4) == 8
    assert sender.sent == [[4]]


async def test_those_that_come_while_one_is_under_way_go_together() -> None:
    sender = Sender()
    grouped = Grouped(sender.send, _is_new, 10)
    sender.go.clear()
    tasks = [asyncio.create_task(grouped.ask(n)) for n in range(1, 5)]
    await _begin()
    sender.go.set()

    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert sender.sent == [[1], [2, 3, 4]]


async def test_no_group_is_larger_than_its_bound() -> None:
    sender = Sender()
    grouped = Grouped(sender.send, _is_new, 2)
    sender.go.clear()
    tasks = [asyncio.create_task(grouped.ask(n)) for n in range(1, 7)]
    await _begin()
    sender.go.set()
    await asyncio.gather(*tasks)

    assert max(map(len, sender.sent)) == 2
    assert sorted(n for group in sender.sent for n in group) == [1, 2, 3, 4, 5, 6]


async def test_what_may_not_go_together_waits_for_the_next() -> None:
    sender = Sender()
    grouped = Grouped(sender.send, _is_new, 10)
    sender.go.clear()
    tasks = [asyncio.create_task(grouped.ask(n)) for n in (1, 7, 7)]
    await _begin()
    sender.go.set()

    assert await asyncio.gather(*tasks) == [2, 14, 14]
    assert sender.sent == [[1], [7], [7]]


async def test_one_error_is_one_askers() -> None:
    sender = Sender()
    grouped = Grouped(sender.send, _is_new, 10)
    sender.go.clear()
    tasks = [asyncio.create_task(grouped.ask(n)) for n in (1, 2, -3)]
    await _begin()
    sender.go.set()
    good, also_good, bad = await asyncio.gather(*tasks, return_exceptions=True)

    assert (good, also_good) == (2, 4)
    assert isinstance(bad, ValueError)


async def test_what_is_true_of_the_call_is_told_to_all_who_were_in_it() -> None:
    sender = Sender()
    grouped = Grouped(sender.send, _is_new, 10)
    sender.go.clear()
    tasks = [asyncio.create_task(grouped.ask(n)) for n in (1, 13, 2)]
    await _begin()
    sender.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(f) for f in found] == [int, ConnectionError, ConnectionError]
    assert await grouped.ask(5) == 10


async def test_one_that_is_cancelled_while_it_sends_for_others_leaves_them_to_the_next() -> None:
    sender = Sender()
    grouped = Grouped(sender.send, _is_new, 10)
    sender.one_by_one = True
    sender.go.clear()
    first, second, third = (asyncio.create_task(grouped.ask(n)) for n in (1, 2, 3))
    await _begin()
    sender.go.set()
    await first
    await _begin()
    second.cancel()
    await _begin()
    sender.go.set()

    assert await third == 6
    assert sender.sent == [[1], [2, 3], [3]]
    with pytest.raises(asyncio.CancelledError):
        await second
