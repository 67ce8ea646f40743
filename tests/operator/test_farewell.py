"""The end of an installation: the Lease is taken for good, and no object waits for the operator any more."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast_operator import release
from holdfast_operator.engine.farewell import HELD, let_go, take_lease
from holdfast_operator.engine.lease import Elector, LeaseRecord, LeaseTimes
from holdfast_operator.reconcile.actions import FINALIZER
from holdfast_operator.reconcile.ports import Conflict, Kind, Object
from tests.operator.small_house import ORDERS, House, MovedClock, house, manifest
from tests.operator.virtual_time import run

FOREIGN = "foreign.test/x"


class Store:
    """A Lease in memory; `interrupt`: a record that somebody writes just before the next write."""

    def __init__(self, record: LeaseRecord | None = None) -> None:
        self.record = record
        self.interrupt: LeaseRecord | None = None

    async def read(self) -> LeaseRecord | None:
        return self.record

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        if self.interrupt is not None:
            self.record, self.interrupt = self.interrupt, None
        if record.version != (self.record.version if self.record else None):
            raise Conflict("changed")
        self.record = replace(record, version=str(int(record.version or 0) + 1))
        return self.record


def held_by(holder: str | None, version: str = "1") -> LeaseRecord:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return LeaseRecord(holder=holder, duration=10, acquired_at=now, renewed_at=now, transitions=3, version=version)


class Slept:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize(("before", "waits"), [
    (None, []), (held_by(None), []), (held_by("operator-0"), [LeaseTimes().give_up]),
], ids=["no lease", "given back", "held"])  # fmt: skip
async def test_the_lease_is_taken_and_a_holder_has_the_time_to_notice(
    before: LeaseRecord | None, waits: list[float]
) -> None:
    store, slept = Store(before), Slept()

    await take_lease(store, "release", MovedClock(), sleep=slept)

    assert store.record is not None
    assert (store.record.holder, store.record.duration) == ("release", HELD)
    assert slept.seconds == waits


async def test_a_renewal_in_between_does_not_keep_the_lease() -> None:
    store, slept = Store(held_by("operator-0")), Slept()
    store.interrupt = held_by("operator-0", "2")

    await take_lease(store, "release", MovedClock(), sleep=slept)

    assert store.record is not None
    assert store.record.holder == "release"


def test_whoever_held_it_stops_in_time_and_nobody_gets_it_back_soon() -> None:
    async def main() -> None:
        store, clock = Store(), MovedClock()
        leader, standby = Elector(store, "operator-0", clock), Elector(store, "operator-1", clock)
        await leader.contend()
        holding = asyncio.create_task(leader.hold())

        await take_lease(store, "release", clock)
        assert not leader.leading
        await holding

        contending = [asyncio.create_task(elector.contend()) for elector in (leader, standby)]
        await asyncio.sleep(HELD - 10)
        assert not any(task.done() for task in contending)
        for task in contending:
            task.cancel()
        await asyncio.gather(*contending, return_exceptions=True)

    run(main)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


async def _client(home: House, name: str) -> Object:
    found = await home.cluster.get(Kind.OAUTH_CLIENT, "shop", name)
    assert found is not None
    return found


async def test_our_finalizer_goes_from_every_client_and_others_stay(home: House) -> None:
    await home.write("clients.yaml", *(manifest(name) for name in ("orders", "cart", "free")))
    await home.settle()
    cart = await _client(home, "cart")
    await home.cluster.set_finalizers(Kind.OAUTH_CLIENT, cart, [FINALIZER, FOREIGN])

    released = await let_go(home.cluster)

    assert released == 2
    found = {name: (await _client(home, name))["metadata"].get("finalizers", []) for name in ("orders", "cart", "free")}
    assert found == {"orders": [], "cart": [FOREIGN], "free": []}
    assert await let_go(home.cluster) == 0


async def test_an_object_that_waits_for_its_finalizer_goes(home: House) -> None:
    await home.write("orders.yaml", manifest())
    await home.settle()
    await home.remove("orders.yaml")
    assert await home.cluster.get(*ORDERS) is not None

    await let_go(home.cluster)

    assert await home.cluster.get(*ORDERS) is None


def test_the_command_says_that_there_is_no_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    assert release.main() == 2
    assert capsys.readouterr().err.startswith("holdfast operator release: no API server: ")


def test_the_command_names_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOLDFAST_WATCH_NAMESPACES", "shop,No Name")

    assert release.main() == 2
    assert "HOLDFAST_WATCH_NAMESPACES" in capsys.readouterr().err
