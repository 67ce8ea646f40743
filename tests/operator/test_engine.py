"""When a key is looked at: on events and what they concern, after failures, at resyncs, when the registry is another."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from holdfast.registry.port import RegistryUnavailable, StaleTerm
from holdfast.registry.records import RegistryDescription, TokenSeen
from holdfast_operator.converge.outcome import Outcome, SweepResult
from holdfast_operator.engine.engine import Engine, EngineSettings
from holdfast_operator.engine.queue import Backoff
from holdfast_operator.reconcile.ports import Cluster, ClusterUnavailable, Key, Kind, Object
from tests.operator.simulated import ENDPOINTS, mtls_policy, oauth_client
from tests.operator.virtual_time import run

ORDERS = Key(Kind.OAUTH_CLIENT, "shop", "orders")
CART = Key(Kind.OAUTH_CLIENT, "web", "cart")
BASELINE = Key(Kind.MTLS_POLICY, "", "baseline")
SETTINGS = EngineSettings(workers=4, resync=600, backoff=Backoff(base=1, cap=30))
DESCRIBED = RegistryDescription(instance="i1", revision=1, digest="d1", term=1, confirmed=True, endpoints=ENDPOINTS)


class Listing:
    """The part of a cluster that the engine uses: it lists."""

    def __init__(self) -> None:
        self.objects: dict[Kind, list[Object]] = {}

    async def list(self, kind: Kind) -> "list[Object]":
        return self.objects.get(kind, [])


class Script:
    """Answers passes as it is told and keeps what it was asked: the engine's other side, without decisions."""

    def __init__(self) -> None:
        self.listing = Listing()
        self.cluster: Cluster = self.listing  # type: ignore[assignment]  # the engine only lists
        self.writes = 0
        self.passes: list[tuple[float, Key]] = []
        self.sweeps: list[float] = []
        self.found: tuple[Key, ...] = ()
        self.orphans: tuple[str, ...] = ()
        self.sweep_defects: list[Exception] = []
        self.changed_config_maps: list[tuple[str, str]] = []
        self.described: RegistryDescription | None = DESCRIBED
        self.answer: Callable[[Key], Outcome] = lambda key: Outcome()
        self.running = self.most_at_once = 0

    config_map_name = ""
    configs_differ = False

    async def configs_changed(self) -> bool:
        differ, self.configs_differ = self.configs_differ, False
        return differ

    def config_map_changed(self, namespace: str, name: str) -> None:
        self.changed_config_maps.append((namespace, name))

    async def reconcile(self, key: Key) -> Outcome:
        self.passes.append((now(), key))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        await asyncio.sleep(0.01)
        self.running -= 1
        return self.answer(key)

    async def sweep(self) -> SweepResult:
        self.sweeps.append(now())
        if self.sweep_defects:
            raise self.sweep_defects.pop()
        return SweepResult(deleted=self.orphans, look_at=self.found)

    async def describe(self) -> RegistryDescription:
        if self.described is None:
            raise RegistryUnavailable("connection refused")
        return self.described

    def times_of(self, key: Key) -> list[float]:
        return [round(at - self.passes[0][0], 2) for at, found in self.passes if found == key]


def now() -> float:
    return asyncio.get_running_loop().time()


async def started(script: Script, settings: EngineSettings = SETTINGS) -> Engine:
    engine = Engine(script, settings, jitter=lambda low, high: 1.0)
    await engine.start()
    await engine.settled()
    return engine


def client(key: Key, **spec: Any) -> Object:
    return oauth_client(metadata={"namespace": key.namespace, "name": key.name}, **spec)


def test_everything_there_is_is_looked_at_once_at_the_start() -> None:
    async def main() -> None:
        script = Script()
        script.listing.objects = {
            Kind.OAUTH_CLIENT: [client(ORDERS), client(CART)],
            Kind.MTLS_POLICY: [mtls_policy("baseline")],
        }
        engine = await started(script)
        assert sorted(k for _, k in script.passes if k.kind is Kind.OAUTH_CLIENT) == [ORDERS, CART]
        assert BASELINE in {k for _, k in script.passes}
        await engine.stop()

    run(main)


def test_a_policy_is_looked_at_before_the_clients_that_it_rules() -> None:
    """What it denies holds for everybody, and must not wait for a pass over each of them."""

    async def main() -> None:
        script = Script()
        engine = await started(script)
        for number in range(300):
            engine.on_change(Kind.OAUTH_CLIENT, client(Key(Kind.OAUTH_CLIENT, "shop", f"client-{number}")))
        await asyncio.sleep(0.001)  # the workers are busy, and the others wait in line
        engine.on_change(Kind.MTLS_POLICY, mtls_policy("baseline"))
        await engine.settled()
        assert len({key for _, key in script.passes}) == 301
        assert BASELINE in [key for _, key in script.passes[: 2 * SETTINGS.workers + 1]]
        await engine.stop()

    run(main)


def test_a_burst_of_events_becomes_one_further_pass() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        for _ in range(50):
            engine.on_change(Kind.OAUTH_CLIENT, client(ORDERS))
        await asyncio.sleep(0.005)
        for _ in range(50):
            engine.on_change(Kind.OAUTH_CLIENT, client(ORDERS))
        await engine.settled()
        assert len(script.times_of(ORDERS)) == 2
        await engine.stop()

    run(main)


def test_a_failing_key_comes_back_later_and_later_and_leaves_others_alone() -> None:
    async def main() -> None:
        script = Script()

        def answer(key: Key) -> Outcome:
            if key == ORDERS:
                raise ClusterUnavailable("connection refused")
            return Outcome()

        script.answer = answer
        engine = await started(script)
        engine.queue.add(ORDERS)
        engine.queue.add(CART)
        await asyncio.sleep(20)
        assert script.times_of(ORDERS) == [0.0, 1.01, 3.02, 7.03, 15.04]
        assert script.times_of(CART) == [0.0]
        await engine.stop()

    run(main)


def test_a_defect_in_one_pass_is_retried_and_ends_no_worker() -> None:
    async def main() -> None:
        script = Script()
        script.answer = lambda key: Outcome(requeue_after=1 / 0)
        engine = await started(script)
        engine.queue.add(ORDERS)
        await asyncio.sleep(5)
        assert len(script.times_of(ORDERS)) == 3
        await engine.stop()

    run(main)


def test_a_pass_that_hangs_is_ended_and_tried_again() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script, replace(SETTINGS, pass_limit=0.005))
        engine.queue.add(ORDERS)
        await asyncio.sleep(2)
        assert len(script.times_of(ORDERS)) == 2
        assert ORDERS in engine.queue.failing
        await engine.stop()

    run(main)


def test_an_outcome_says_when_to_come_back_and_every_key_comes_back_at_the_resync() -> None:
    async def main() -> None:
        script = Script()
        script.answer = lambda key: Outcome(requeue_after=5 if key == ORDERS else None)
        engine = await started(script)
        engine.queue.add(ORDERS)
        engine.queue.add(CART)
        await asyncio.sleep(599)
        assert script.times_of(ORDERS)[:3] == [0.0, 5.01, 10.02]
        assert script.times_of(CART) == [0.0]
        await asyncio.sleep(2)
        assert len(script.times_of(CART)) == 2
        await engine.stop()

    run(main)


def test_an_object_that_is_gone_does_not_come_back() -> None:
    async def main() -> None:
        script = Script()
        script.answer = lambda key: Outcome(gone=True)
        engine = await started(script)
        engine.queue.add(ORDERS)
        await asyncio.sleep(10000)
        assert script.times_of(ORDERS) == [0.0]
        await engine.stop()

    run(main)


def test_no_more_passes_run_at_once_than_there_are_workers() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        for i in range(100):
            engine.queue.add(Key(Kind.OAUTH_CLIENT, "shop", f"c{i}"))
        await engine.settled()
        assert (len(script.passes), script.most_at_once) == (100, 4)
        await engine.stop()

    run(main)


def test_passes_keep_to_their_rate_after_the_burst() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script, replace(SETTINGS, rate=10, burst=20))
        for i in range(120):
            engine.queue.add(Key(Kind.OAUTH_CLIENT, "shop", f"c{i}"))
        began = now()
        await engine.settled()
        assert 9.5 <= now() - began <= 11
        await engine.stop()

    run(main)


def test_a_vanished_client_is_found_by_the_periodic_listing() -> None:
    async def main() -> None:
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(ORDERS)]}
        engine = await started(script, replace(SETTINGS, listing=60, resync=100000))
        script.listing.objects = {}
        await asyncio.sleep(61)
        assert len(script.times_of(ORDERS)) == 2
        assert engine.index.clients() == set()
        await engine.stop()

    run(main)


def test_the_registry_is_swept_at_the_start_and_then_left_alone() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        await asyncio.sleep(200)
        assert len(script.sweeps) == 1
        await engine.stop()

    run(main)


def test_the_registry_is_swept_at_each_start_since_events_meanwhile_were_nobodys() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        await asyncio.sleep(5)
        await engine.stop()
        engine.on_change(Kind.OAUTH_CLIENT, client(ORDERS), deleted=True)
        await engine.start()
        await asyncio.sleep(5)
        assert len(script.sweeps) == 2
        await engine.stop()

    run(main)


def sweeps_after(change: RegistryDescription, *, own_write: bool = False) -> int:
    async def main() -> int:
        script = Script()
        engine = await started(script)
        await asyncio.sleep(5)
        script.writes += int(own_write)
        script.described = change
        await asyncio.sleep(5)
        await engine.stop()
        return len(script.sweeps) - 1

    return run(main)


def test_a_new_store_is_swept() -> None:
    assert sweeps_after(replace(DESCRIBED, instance="i2")) == 1


def test_a_foreign_change_is_swept_and_an_own_one_is_not() -> None:
    assert sweeps_after(replace(DESCRIBED, digest="d2")) == 1
    assert sweeps_after(replace(DESCRIBED, digest="d2"), own_write=True) == 0


def test_a_server_that_was_started_again_is_swept_until_it_is_confirmed() -> None:
    assert sweeps_after(replace(DESCRIBED, confirmed=False)) >= 4


def test_a_registry_that_comes_back_is_swept_within_two_seconds_and_failing_keys_go_at_once() -> None:
    async def main() -> None:
        script = Script()
        script.answer = lambda key: Outcome(retry=script.described is None)
        engine = await started(script)
        script.described = None
        engine.queue.add(ORDERS)
        await asyncio.sleep(100)
        before, passes = len(script.sweeps), len(script.times_of(ORDERS))
        script.described = DESCRIBED
        await asyncio.sleep(2)
        assert (len(script.sweeps) - before, len(script.times_of(ORDERS)) - passes) == (1, 1)
        assert not engine.queue.failing
        await engine.stop()

    run(main)


def test_a_defect_in_one_sweep_is_not_the_last_sweep() -> None:
    async def scenario() -> int:
        script = Script()
        script.sweep_defects = [KeyError("nobody foresaw this")]
        engine = await started(script)
        await asyncio.sleep(5)
        await engine.stop()
        return len(script.sweeps)

    assert run(scenario) == 2


def test_what_a_sweep_finds_is_looked_at() -> None:
    async def main() -> None:
        script = Script()
        script.found = (ORDERS,)
        engine = await started(script)
        await asyncio.sleep(1)
        assert script.times_of(ORDERS) == [0.0]
        await engine.stop()

    run(main)


def test_who_asks_for_a_resource_is_looked_at_when_a_sweep_has_deleted_what_may_have_owned_it() -> None:
    async def main() -> None:
        script = Script()
        script.listing.objects[Kind.OAUTH_CLIENT] = [
            oauth_client(resources=["https://billing.fin.svc"]),
            oauth_client(metadata={"namespace": "web", "name": "cart"}),
        ]
        engine = await started(script)
        before = len(script.times_of(ORDERS)), len(script.times_of(CART))
        script.orphans = ("fin.billing",)
        await engine.sweep()
        await engine.settled()
        assert (len(script.times_of(ORDERS)), len(script.times_of(CART))) == (before[0] + 1, before[1])
        await engine.stop()

    run(main)


def test_a_newer_writer_stops_all_passes() -> None:
    async def main() -> None:
        script = Script()

        def answer(key: Key) -> Outcome:
            raise StaleTerm("term 1 is over")

        script.answer = answer
        engine = await started(script)
        engine.queue.add(ORDERS)
        await engine.superseded.wait()
        passes = len(script.passes)
        engine.queue.add(CART)
        await asyncio.sleep(60)
        assert len(script.passes) - passes <= SETTINGS.workers
        await engine.stop()

    run(main)


def test_an_engine_that_was_stopped_starts_again_with_what_happened_meanwhile() -> None:
    async def main() -> None:
        script = Script()
        engine = await started(script)
        await engine.stop()
        engine.on_change(Kind.OAUTH_CLIENT, client(ORDERS))
        await asyncio.sleep(60)
        assert script.passes == []
        await engine.start()
        await engine.settled()
        assert script.times_of(ORDERS) == [0.0]
        await engine.stop()

    run(main)


def test_when_the_servers_ca_or_endpoints_change_every_namespace_with_a_client_is_looked_at_once() -> None:
    async def main() -> None:
        script = Script()
        script.config_map_name = "holdfast"
        keys = {Key(Kind.CONFIG_MAP, name, "holdfast") for name in ("shop", "web")}
        clients = [client(Key(Kind.OAUTH_CLIENT, key.namespace, f"c{n}")) for key in keys for n in range(3)]
        script.listing.objects[Kind.OAUTH_CLIENT] = clients
        engine = await started(script)
        await asyncio.sleep(5)
        assert sorted(key.namespace for _, key in script.passes if key in keys) == ["shop", "web"]

        script.passes.clear()
        script.configs_differ = True
        await asyncio.sleep(5)

        assert sorted(key.namespace for _, key in script.passes if key in keys) == ["shop", "web"]
        await engine.stop()

    run(main)


def test_who_gets_a_first_token_is_looked_at_once_and_soon() -> None:
    async def main() -> None:
        script = Script()
        script.listing.objects = {Kind.OAUTH_CLIENT: [client(ORDERS), client(CART)]}
        engine = await started(script)
        await asyncio.sleep(5)
        before = len(script.passes)
        began, seen = now(), TokenSeen("shop.orders", "shop", "orders", datetime(2026, 1, 1, tzinfo=UTC))

        script.described = replace(DESCRIBED, tokens=(seen,))
        await asyncio.sleep(30)
        assert [key for _, key in script.passes[before:]] == [ORDERS]
        assert script.passes[before][0] - began < 1.5

        script.described = DESCRIBED
        await asyncio.sleep(30)
        assert len(script.passes) == before + 1
        await engine.stop()

    run(main)
