"""Counting clients for policies: with one listing for those that wait together, never an old one, and never at a stretch."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from holdfast_operator.converge.counting import TURN, Counting
from holdfast_operator.reconcile.policies import in_force
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.operator.simulated import mtls_policy, oauth_client

NAMESPACES = {"shop": {"team": "shop"}}
POLICIES = [in_force(mtls_policy(name, tokens={"maxLifetime": "15m"})) for name in ("a", "b", "c")]


class Cluster:
    """Clients in memory, listed after a moment, as an API server does."""

    def __init__(self, size: int) -> None:
        self.listed = 0
        self.clients: dict[str, Object] = {}
        for i in range(size):
            self.put(f"c{i}", "10m")

    def put(self, name: str, lifetime: str, generation: int = 1) -> None:
        metadata = {"name": name, "uid": f"uid-{name}", "generation": generation}
        self.clients[name] = oauth_client(metadata=metadata, tokens={"lifetime": lifetime})

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self.clients.get(name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Object]:
        self.listed += 1
        found = list(self.clients.values())
        await asyncio.sleep(0)
        return found


async def broken(counting: Counting, index: int = 0) -> set[str]:
    count = await counting.count(POLICIES[index], POLICIES, NAMESPACES)
    return {name for _, name in count.broken}


async def test_a_count_sees_every_change_that_came_before_it() -> None:
    cluster = Cluster(3)
    counting = Counting(cluster, ReconcileSettings())
    assert await broken(counting) == set()

    cluster.put("c1", "1h", generation=2)
    assert await broken(counting) == {"c1"}

    del cluster.clients["c1"]
    assert await broken(counting) == set()
    assert cluster.listed == 3


async def test_policies_that_wait_for_a_count_share_a_listing() -> None:
    cluster = Cluster(3)
    counting = Counting(cluster, ReconcileSettings())

    await asyncio.gather(*(broken(counting, i) for i in range(3)))

    assert cluster.listed == 2, "one for the first, and one for the two that came while it was made"


async def test_a_listing_that_began_before_a_count_was_asked_for_is_not_used_for_it() -> None:
    cluster = Cluster(3)
    counting = Counting(cluster, ReconcileSettings())
    first = asyncio.create_task(broken(counting))
    await asyncio.sleep(0)  # it lists
    cluster.put("c1", "1h", generation=2)

    assert await broken(counting, 1) == {"c1"}
    await first


async def test_others_have_their_turn_while_many_clients_are_counted() -> None:
    counting = Counting(Cluster(1000), ReconcileSettings())
    task, longest = asyncio.create_task(broken(counting)), 0.0
    turns = 0
    while not task.done():
        began = time.thread_time()
        await asyncio.sleep(0)
        turns, longest = turns + 1, max(longest, time.thread_time() - began)

    assert turns >= 5
    assert longest < 20 * TURN, "a thousand new clients take longer than that in one go"


async def test_a_policy_that_is_gone_is_forgotten() -> None:
    counting = Counting(Cluster(3), ReconcileSettings())
    await broken(counting)

    counting.forget("a")

    assert await broken(counting) == set()
