"""The engine under load and while it waits: pauses that servers ask for, own writes, who goes first after a start."""

import asyncio
from typing import Any

from holdfast_operator.converge.outcome import Outcome
from holdfast_operator.engine.engine import Engine, EngineSettings
from holdfast_operator.engine.pace import LONGEST_HOLD, Pace
from holdfast_operator.reconcile.ports import ClusterUnavailable, Key, Kind, Object
from tests.operator.simulated import mtls_policy
from tests.operator.test_engine import BASELINE, CART, ORDERS, SETTINGS, Script, client, now, started
from tests.operator.virtual_time import run

LATE = Key(Kind.OAUTH_CLIENT, "shop", "late")


class Shelves:
    """Counts what the engine asks of its stores."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def begin_term(self) -> None:
        self.asked.append("term")

    async def warm(self) -> None:
        self.asked.append("warm")

    async def refresh(self) -> None:
        self.asked.append("refresh")


def _current(obj: Object, *, generation: int = 1, observed: int = 1) -> Object:
    obj["metadata"] |= {"generation": generation}
    return {**obj, "status": {"observedGeneration": observed}}


def _when_busy(seconds: float | None) -> Any:
    """A pass over the first client is told to come back later; the others succeed."""
    told: list[Key] = []

    def answer(key: Key) -> Outcome:
        if key == ORDERS and not told:
            told.append(key)
            raise ClusterUnavailable("429 too many requests", seconds)
        return Outcome()

    return answer


def test_a_server_that_asks_for_a_pause_gets_it_from_every_worker() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        script.answer = _when_busy(5.0)
        began = now()
        engine.queue.add(ORDERS)
        await asyncio.sleep(0.1)
        for key in (CART, LATE, BASELINE):
            engine.queue.add(key)
        await asyncio.sleep(4)
        before = {key for at, key in script.passes if at >= began}
        await asyncio.sleep(3)
        assert before == {ORDERS}
        assert {CART, LATE, BASELINE} <= {key for at, key in script.passes if at >= began + 5}
        await engine.stop()

    run(main)


def test_a_failure_without_a_wish_holds_nobody_else_back() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        script.answer = _when_busy(None)
        engine.queue.add(ORDERS)
        engine.queue.add(CART)
        began = now()
        await asyncio.sleep(0.5)
        assert CART in {key for at, key in script.passes if at >= began}
        await engine.stop()

    run(main)


def test_a_registry_that_asks_for_a_pause_gets_it_as_well() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        script.answer = lambda key: Outcome(retry=key == ORDERS, requeue_after=5.0 if key == ORDERS else None)
        engine.queue.add(ORDERS)
        await asyncio.sleep(0.1)
        began = now()
        engine.queue.add(CART)
        await asyncio.sleep(4)
        before = [key for at, key in script.passes if at >= began]
        await asyncio.sleep(2)
        assert before == []
        assert CART in {key for at, key in script.passes if at >= began}
        await engine.stop()

    run(main)


def test_a_pause_is_believed_up_to_a_bound() -> None:
    async def main() -> None:
        pace = Pace(1000, 1000)
        began = now()
        pace.hold(3600)
        await pace.wait()
        assert now() - began == LONGEST_HOLD

    run(main)


def test_while_it_waits_it_queues_nothing_and_its_start_looks_at_everything() -> None:
    async def main() -> None:
        script = Script()
        engine = Engine(script, SETTINGS, jitter=lambda low, high: 1.0)
        engine.on_change(Kind.OAUTH_CLIENT, client(ORDERS))
        waiting = len(engine.queue)
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(ORDERS), client(CART)]}
        await engine.start()
        await engine.settled()
        assert waiting == 0
        assert {key for _, key in script.passes} == {ORDERS, CART}
        await engine.stop()

    run(main)


def test_what_changed_after_its_status_was_written_goes_first_after_a_start() -> None:
    async def main() -> None:
        script = Script()
        script.listing.objects = {
            Kind.OAUTH_CLIENT: [
                _current(client(CART)),
                _current(client(ORDERS)),
                _current(client(LATE), generation=2),
            ]
        }
        engine = await started(script, EngineSettings(workers=1))
        assert next(key for _, key in script.passes) == LATE
        await engine.stop()

    run(main)


def test_a_term_is_opened_before_anything_is_read_and_a_listing_is_made_anew_only_when_due() -> None:
    async def main() -> None:
        script, shelves = Script(), Shelves()
        engine = Engine(script, EngineSettings(listing=100), jitter=lambda low, high: 1.0, stores=shelves)
        await engine.start()
        at_the_start = list(shelves.asked)
        await asyncio.sleep(250)
        assert at_the_start == ["term", "warm"]
        assert shelves.asked == ["term", "warm", "refresh", "refresh"]
        await engine.stop()

    run(main)


def test_an_own_write_has_others_looked_at_but_not_the_object_itself() -> None:
    async def main() -> None:
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(ORDERS)], Kind.MTLS_POLICY: [mtls_policy("baseline")]}
        engine = await started(script)
        script.passes.clear()
        written = client(ORDERS)
        written["status"] = {"certificate": {"thumbprint": "x"}}
        engine.on_own_write(Kind.OAUTH_CLIENT, written, False)
        await asyncio.sleep(30)
        assert {key for _, key in script.passes} == {BASELINE}
        await engine.stop()

    run(main)


def test_an_own_write_that_met_somebody_elses_has_the_object_looked_at_again() -> None:
    async def main() -> None:
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(ORDERS)]}
        engine = await started(script)
        script.passes.clear()
        engine.on_own_write(Kind.OAUTH_CLIENT, client(ORDERS), True)
        await engine.settled()
        assert [key for _, key in script.passes] == [ORDERS]
        await engine.stop()

    run(main)
