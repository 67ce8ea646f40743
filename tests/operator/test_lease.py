"""One of several replicas works; it gives up in time, gives back on a stop, and believes no foreign clock."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from holdfast_operator.engine.lease import Elector, LeaseRecord, LeaseTimes, WentBack
from holdfast_operator.reconcile.ports import ClusterUnavailable, Conflict
from tests.operator.virtual_time import run

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = LeaseTimes(duration=15, give_up=10, renew=3, contend=2)


class SharedLease:
    """A Lease as an API server keeps it: replaced whole, under its version."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.available = True
        self._version = 0

    async def read(self) -> LeaseRecord | None:
        self._check()
        return self.record

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        self._check()
        if record.version != (None if self.record is None else self.record.version):
            raise Conflict("somebody was faster")
        self._version += 1
        self.record = replace(record, version=str(self._version))
        return self.record

    def _check(self) -> None:
        if not self.available:
            raise ClusterUnavailable("connection refused")


def elector(store: SharedLease, identity: str) -> Elector:
    return Elector(store, identity, lambda: START, times=TIMES, jitter=lambda low, high: 1.0)


def now() -> float:
    return asyncio.get_running_loop().time()


async def holding(contender: Elector) -> "asyncio.Task[None]":
    await contender.contend()
    return asyncio.create_task(contender.hold())


def test_a_lease_that_nobody_has_is_taken_at_once() -> None:
    async def main() -> None:
        store, started = SharedLease(), now()
        await elector(store, "a").contend()
        assert now() == started
        assert store.record is not None
        assert (store.record.holder, store.record.transitions) == ("a", 0)

    run(main)


def test_a_lease_that_is_renewed_is_left_alone() -> None:
    async def main() -> None:
        store = SharedLease()
        first, second = elector(store, "a"), elector(store, "b")
        task = await holding(first)
        contending = asyncio.create_task(second.contend())
        await asyncio.sleep(3600)
        assert not contending.done()
        assert first.leading
        for each in (task, contending):
            each.cancel()

    run(main)


def test_a_lease_that_is_given_back_is_taken_without_waiting_for_its_end() -> None:
    async def main() -> None:
        store = SharedLease()
        first, second = elector(store, "a"), elector(store, "b")
        task = await holding(first)
        contending = asyncio.create_task(second.contend())
        await asyncio.sleep(30)
        started = now()
        task.cancel()
        await first.release()
        await contending
        assert now() - started <= TIMES.contend
        assert store.record is not None
        assert (store.record.holder, store.record.transitions) == ("b", 1)

    run(main)


def test_a_lease_whose_holder_died_is_taken_after_its_duration_whatever_its_times_say() -> None:
    async def main() -> None:
        store = SharedLease()
        await elector(store, "dead").contend()
        assert store.record is not None
        store.record = replace(store.record, renewed_at=datetime(2036, 1, 1, tzinfo=UTC))
        started = now()
        await elector(store, "b").contend()
        assert TIMES.duration <= now() - started <= TIMES.duration + TIMES.contend

    run(main)


def test_a_holder_that_cannot_renew_gives_up_before_others_may_take_over() -> None:
    async def main() -> None:
        store = SharedLease()
        first = elector(store, "a")
        task = await holding(first)
        await asyncio.sleep(30)
        store.available, started = False, now()
        await task
        assert now() - started <= TIMES.duration - 1
        assert not first.leading

    run(main)


def test_a_holder_whose_lease_was_taken_stops() -> None:
    async def main() -> None:
        store = SharedLease()
        task = await holding(elector(store, "a"))
        assert store.record is not None
        store.record = replace(store.record, holder="b", version="x")
        await task

    run(main)


def test_a_holder_whose_lease_was_only_touched_goes_on() -> None:
    async def main() -> None:
        store = SharedLease()
        first = elector(store, "a")
        task = await holding(first)
        assert store.record is not None
        store.record = replace(store.record, version="x")
        await asyncio.sleep(60)
        assert first.leading
        task.cancel()

    run(main)


def test_giving_back_what_somebody_else_has_by_now_changes_nothing() -> None:
    async def main() -> None:
        store = SharedLease()
        first = elector(store, "a")
        await first.contend()
        assert store.record is not None
        store.record = replace(store.record, holder="b", version="x")
        await first.release()
        assert store.record.holder == "b"

    run(main)


@pytest.mark.parametrize("contenders", [2, 5])
def test_of_several_contenders_one_leads(contenders: int) -> None:
    async def main() -> None:
        store = SharedLease()
        all_of_them = [elector(store, str(i)) for i in range(contenders)]
        tasks = [asyncio.create_task(holding(e)) for e in all_of_them]
        await asyncio.sleep(600)
        assert [e.leading for e in all_of_them].count(True) == 1
        for task in tasks:
            task.cancel()

    run(main)


@pytest.mark.parametrize("leads", [True, False], ids=["the holder", "who waits"])
def test_a_cluster_that_is_an_earlier_one_is_noticed_by_its_lease(leads: bool) -> None:
    """Nothing that this process remembers of it can be trusted: it ends, and begins anew without memory."""

    async def main() -> None:
        store = SharedLease()
        holder, waiting = elector(store, "a"), elector(store, "b")
        task = await holding(holder)
        await asyncio.sleep(10)
        backup = store.record
        contending = asyncio.create_task(waiting.contend())
        await asyncio.sleep(60)

        store.record, store._version = backup, int(backup.version or 0) if backup else 0
        done, left = await asyncio.wait([task, contending], return_when=asyncio.FIRST_COMPLETED)

        assert {type(each.exception()) for each in done} == {WentBack}
        if leads:
            with pytest.raises(WentBack, match="a backup of the cluster was restored"):
                await task
        else:
            with pytest.raises(WentBack):
                await contending
        for each in left:
            each.cancel()

    run(main)
