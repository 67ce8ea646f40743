"""A key waits at most once, never runs twice at the same time, and comes back when it should."""

import asyncio

from holdfast_operator.engine.queue import Backoff, Priority, WorkQueue
from holdfast_operator.reconcile.ports import Key, Kind
from tests.operator.virtual_time import run

A, B, C = (Key(Kind.OAUTH_CLIENT, "shop", name) for name in "abc")


def queue() -> WorkQueue:
    return WorkQueue(backoff=Backoff(base=1.0, cap=30.0), jitter=lambda low, high: high)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_key_that_is_added_often_is_taken_once() -> None:
    async def main() -> None:
        found = queue()
        for _ in range(5):
            found.add(A)
        assert await found.get() == A
        found.done(A)
        assert len(found) == 0
        await found.idle()

    run(main)


def test_a_key_never_runs_twice_at_the_same_time_and_runs_again_if_it_changed_meanwhile() -> None:
    async def main() -> None:
        found = queue()
        found.add(A)
        assert await found.get() == A
        found.add(A)
        found.add(B)
        assert await found.get() == B
        waiting = asyncio.create_task(found.get())
        await asyncio.sleep(10)
        assert not waiting.done()
        found.done(A)
        assert await waiting == A

    run(main)


def test_deletions_go_before_changes_and_changes_before_resyncs() -> None:
    async def main() -> None:
        found = queue()
        found.add(A, Priority.RESYNC)
        found.add(B, Priority.CHANGE)
        found.add(C, Priority.DELETION)
        assert [await found.get() for _ in range(3)] == [C, B, A]

    run(main)


def test_a_key_is_raised_to_the_higher_priority_and_still_taken_once() -> None:
    async def main() -> None:
        found = queue()
        found.add(A, Priority.RESYNC)
        found.add(B, Priority.CHANGE)
        found.add(A, Priority.DELETION)
        assert [await found.get(), await found.get()] == [A, B]
        found.done(A)
        found.done(B)
        await found.idle()

    run(main)


def test_of_two_delays_the_earlier_wins_and_a_change_drops_the_delay() -> None:
    async def main() -> None:
        found, started = queue(), now()
        found.add_after(A, 60)
        found.add_after(A, 10)
        found.add_after(A, 30)
        assert await found.get() == A
        assert now() - started == 10
        found.done(A)
        found.add_after(B, 60)
        found.add(B)
        assert await found.get() == B
        assert now() - started == 10

    run(main)


def test_failures_in_a_row_wait_longer_and_longer_up_to_the_cap() -> None:
    async def main() -> None:
        found = queue()
        assert [found.retry(A) for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
        found.forget(A)
        assert found.retry(A) == 1.0

    run(main)


def test_a_server_that_says_when_is_asked_no_earlier() -> None:
    async def main() -> None:
        found, started = queue(), now()
        found.retry(A, at_least=20)
        await found.get()
        assert now() - started == 20

    run(main)


def test_failing_keys_need_not_wait_once_their_trouble_is_over() -> None:
    async def main() -> None:
        found, started = queue(), now()
        for _ in range(6):
            found.retry(A)
        found.retry_failing_now()
        await found.get()
        assert now() == started

    run(main)


def test_a_delayed_key_does_not_keep_the_queue_from_being_idle() -> None:
    async def main() -> None:
        found, started = queue(), now()
        found.add_after(A, 60)
        await found.idle()
        assert now() == started

    run(main)
