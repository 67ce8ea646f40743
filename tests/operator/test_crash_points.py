"""Every plan survives a crash between any two of its actions: whoever comes next ends it as if nothing had happened.

Each scenario runs once without a crash, and then once for each write that it makes, with the process killed in its place.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast_operator.reconcile.ports import Key, Kind, Object
from tests.operator.mortal import Killed, Life, MortalCluster, Succession
from tests.operator.small_house import ORDERS, House, house, manifest, policy_manifest

Step = Callable[[House], Awaitable[None]]

SELF_SIGNED = {"method": "self_signed_tls_client_auth"}
WEB = manifest("orders", "web", clientId="shop.legacy", adoptionPolicy="IfUnowned")
RELEASING = policy_manifest("releasing", grants={"allowedClientIds": ["shop.legacy", "web.*", "shop.*"]})


def write(file: str, *documents: Object) -> Step:
    return lambda home: home.write(file, *documents)


def remove(file: str) -> Step:
    return lambda home: home.remove(file)


def renew(**after: float) -> Step:
    async def step(home: House) -> None:
        home.clock.move(**after)
        await home.cluster.issue()

    return step


def orders(**spec: Any) -> Step:
    return write("orders.yaml", manifest(**spec))


SCENARIOS: dict[str, tuple[list[Step], list[Step]]] = {
    # What is there before, and what is done with a crash in it; between two steps the operator works.
    "create": ([], [orders(scopes=["orders.read"])]),
    "edit": ([orders(scopes=["orders.read"])], [orders(scopes=["orders.write"], tokens={"lifetime": "1m"})]),
    "rotate": ([orders()], [renew(hours=17)]),
    "rotate self-signed": ([orders(authentication=SELF_SIGNED)], [renew(hours=17), renew(hours=1)]),
    "suspend and resume": ([orders()], [orders(suspend=True), orders()]),
    "delete and apply again": ([orders()], [remove("orders.yaml"), orders()]),
    "orphan and adopt": (
        [orders(deletionPolicy="Orphan")],
        [remove("orders.yaml"), orders(adoptionPolicy="IfUnowned")],
    ),
    "adopt from another namespace": (
        [write("releasing.yaml", RELEASING), orders(clientId="shop.legacy", deletionPolicy="Orphan")],
        [remove("orders.yaml"), write("web.yaml", WEB)],
    ),
    "deny and allow again": (
        [orders()],
        [
            write("strict.yaml", policy_manifest("strict", authentication={"allowedMethods": ["private_key_jwt"]})),
            remove("strict.yaml"),
        ],
    ),
    "another Secret": ([orders()], [orders(certificate={"issuerRef": {"name": "workloads"}, "secretName": "another"})]),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_crash_at_any_write_changes_nothing_of_how_it_ends(name: str, tmp_path: Path) -> None:
    writes, undisturbed = await lived(_folder(tmp_path, "undisturbed"), name, None)
    assert writes > 0, "a scenario in which nothing is written proves nothing"

    for at in range(writes):
        _, end = await lived(_folder(tmp_path, f"killed-{at}"), name, at)

        assert end == undisturbed, f"killed in the place of write {at + 1} of {writes}"


async def test_who_is_killed_writes_nothing_any_more(tmp_path: Path) -> None:
    """What this test stands on: the dead neither write nor read."""
    async with house(tmp_path) as home:
        await home.write("orders.yaml", manifest())
        cluster = MortalCluster(home.cluster, Life(0))
        (client,) = await home.cluster.list(Kind.OAUTH_CLIENT)
        with pytest.raises(Killed):
            await cluster.apply_status(Kind.OAUTH_CLIENT, {**client, "status": {"clientId": "x"}})
        with pytest.raises(Killed):
            await cluster.get(*ORDERS)

        assert (await home.cluster.list(Kind.OAUTH_CLIENT))[0].get("status") == client.get("status")


async def lived(root: Path, name: str, at: int | None) -> tuple[int, object]:
    """How many writes the disturbed part made, and how everything was after each of its steps."""
    before, disturbed = SCENARIOS[name]
    async with house(root) as home:
        await through(home, before, Succession(home, None))
        processes = Succession(home, at)
        seen = await through(home, disturbed, processes)
        assert processes.killed is (at is not None)
        return processes.writes, seen


def _folder(root: Path, name: str) -> Path:
    (root / name).mkdir()
    return root / name


async def through(home: House, steps: list[Step], processes: Succession) -> list[object]:
    """How it is after each step."""
    seen: list[object] = []
    for step in steps:
        await step(home)
        await processes.work()
        home.clock.move(seconds=5)  # an id that changes hands is nobody's for a moment
        await processes.work()
        seen.append(await how_it_is(home))
    return seen


async def how_it_is(home: House) -> object:
    """Without what is another in each run by its nature: uids, keys, certificates, times, how often was written."""
    clients = [_shown(client) for client in await home.cluster.list(Kind.OAUTH_CLIENT)]
    certificates = [c["spec"] for c in await home.cluster.list(Kind.CERTIFICATE)]
    configs = [c["data"] for c in await home.cluster.list(Kind.CONFIG_MAP)]
    registered = {}
    live = {str(client["metadata"]["uid"]) for client in await home.cluster.list(Kind.OAUTH_CLIENT)}
    for client_id in await home.registered():
        stored = await home.keeper.writer.get_client(client_id)
        assert stored is not None
        registered[client_id] = _registered(stored.metadata, live)
    return clients, certificates, configs, registered


def _shown(client: Object) -> object:
    metadata, status = client["metadata"], client["status"]
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    place = Key(Kind.OAUTH_CLIENT, metadata["namespace"], metadata["name"])
    return place, metadata["generation"], metadata.get("finalizers"), metadata.get("deletionTimestamp"), conditions


def _registered(client: ClientMetadata, live: set[str]) -> dict[str, Any]:
    whose = "an object's" if client.owner.uid in live else "nobody's" if client.owner.is_gone else "a lost object's"
    return {
        "whose": (whose, client.owner.namespace, client.owner.name, client.owner.generation),
        "scopes": client.scopes,
        "suspended": client.suspended,
        "lifetime": client.token_lifetime,
        "anchors": len(client.trust_anchors),
        "keys": len(client.jwks or ()),
        "policy": client.policy,
        "deletion": client.deletion_policy,
    }
