"""What somebody else changes or deletes is put right, told once and counted; what we changed ourselves is no drift."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast_operator.converge.reconciler import Reconciler
from holdfast_operator.reconcile.drift import DriftKind
from holdfast_operator.reconcile.ports import Conflict, Key, Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.core.x509.authority import Authority
from tests.operator.simulated import condition_of
from tests.operator.small_house import ORDERS, House, house, manifest, policy_manifest

BASELINE = Key(Kind.MTLS_POLICY, "", "baseline")
CONFIG = Key(Kind.CONFIG_MAP, "shop", "holdfast")


class Watched:
    """A house, and what its reconciler counted."""

    def __init__(self, home: House) -> None:
        self.home = home
        self.counted: Counter[DriftKind] = Counter()
        self.watch(home.reconciler)

    def watch(self, reconciler: Reconciler) -> None:
        reconciler.drifts.on_correction = lambda kind: self.counted.update([kind])
        self.home.reconciler = reconciler

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(e.key.kind.kind, e.message) for e in self.home.cluster.events if e.reason == "DriftCorrected"]

    async def ready(self, **spec: Any) -> None:
        await self.home.write("orders.yaml", manifest(**spec))
        await self.home.settle()
        assert condition_of(await self.home.status(), "Ready") == ("True", "Ready")

    async def live(self, kind: Kind, name: str = "orders") -> Object:
        found = await self.home.cluster.get(kind, "shop", name)
        assert found is not None
        return found


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with house(tmp_path) as home:
        yield Watched(home)


async def tamper(home: House, change: Callable[[ClientMetadata], ClientMetadata]) -> None:
    """As somebody with the operator's certificate does it, under the operator's own term."""
    writer = home.keeper.writer
    stored = await writer.get_client("shop.orders")
    assert stored is not None
    await writer.put_client(change(stored.metadata), term=(await writer.describe()).term)


def as_applied(live: Object, **members: Any) -> Object:
    """The object as somebody writes it down who changes these members."""
    kept = {k: v for k, v in live["metadata"].items() if k in ("namespace", "name", "labels", "ownerReferences")}
    return {**live, "metadata": kept, **members}


CHANGES: dict[str, Callable[[ClientMetadata], ClientMetadata]] = {
    "scopes": lambda client: replace(client, scopes=("everything",)),
    "token_lifetime": lambda client: replace(client, token_lifetime=86_000),
    "suspended": lambda client: replace(client, suspended=True),
    "trust_anchors": lambda client: replace(client, trust_anchors=(_foreign_anchor(client),)),
    "owner": lambda client: replace(client, scopes=("x",), owner=replace(client.owner, generation=99)),
}


def _foreign_anchor(client: ClientMetadata) -> Any:
    return replace(client.trust_anchors[0], der=Authority.root("CN=thief").certificate.der)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_registration_that_another_writer_changed_is_put_right_and_told(watched: Watched, change: str) -> None:
    await watched.ready(scopes=["orders.read"])
    before = (await watched.home.registered())["shop.orders"].digest

    await tamper(watched.home, CHANGES[change])
    assert (await watched.home.registered())["shop.orders"].digest != before
    if change == "owner":
        with pytest.raises(Conflict, match="generation"):  # ahead of ours: the next pass has a new term
            await watched.home.settle()
    await watched.home.settle()

    assert (await watched.home.registered())["shop.orders"].digest == before
    (told,) = watched.told
    assert (told[0], "changed by another writer" in told[1]) == ("OAuthClient", True)
    assert change == "owner" or change in told[1]
    assert watched.counted == {DriftKind.REGISTRATION: 1}


async def test_a_sweep_finds_the_change_by_the_listing_alone(watched: Watched) -> None:
    await watched.ready()
    await tamper(watched.home, CHANGES["scopes"])

    assert (await watched.home.reconciler.sweep()).look_at == (ORDERS,)


async def test_a_registration_that_was_deleted_is_made_again_and_told(watched: Watched) -> None:
    await watched.ready()
    (summary,) = await watched.home.keeper.writer.list_clients()
    writer = watched.home.keeper.writer
    await writer.delete_client("shop.orders", uid=summary.owner.uid, term=(await writer.describe()).term)

    await watched.home.settle()

    assert list(await watched.home.registered()) == ["shop.orders"]
    assert ["did not have the client any more" in message for _, message in watched.told] == [True]


async def test_what_was_changed_while_no_operator_ran_is_told_by_the_next(watched: Watched) -> None:
    await watched.ready()
    await tamper(watched.home, CHANGES["scopes"])

    watched.watch(watched.home.another_reconciler("next"))
    await watched.home.settle()

    assert watched.counted == {DriftKind.REGISTRATION: 1}


async def test_a_registration_without_an_object_is_swept_and_counted(watched: Watched) -> None:
    await watched.ready()
    writer = watched.home.keeper.writer
    stored = await writer.get_client("shop.orders")
    assert stored is not None
    owner = replace(stored.metadata.owner, name="ghost", uid="nobody")
    ghost = replace(stored.metadata, client_id="shop.ghost", owner=owner)
    await writer.put_client(ghost, term=(await writer.describe()).term)

    assert (await watched.home.reconciler.sweep()).deleted == ("shop.ghost",)

    assert watched.counted == {DriftKind.ORPHAN: 1}


async def test_a_certificate_that_was_changed_is_put_right_and_told(watched: Watched) -> None:
    await watched.ready()
    live = await watched.live(Kind.CERTIFICATE)
    stolen = {**live["spec"], "uris": ["spiffe://cluster.local/ns/bank/sa/vault"]}
    await watched.home.cluster.apply(Kind.CERTIFICATE, as_applied(live, spec=stolen))

    await watched.home.settle()

    assert (await watched.live(Kind.CERTIFICATE))["spec"]["uris"] == live["spec"]["uris"]
    assert watched.told == [("OAuthClient", "the Certificate orders had been changed (uris): it is as asked for again")]
    assert watched.counted == {DriftKind.CERTIFICATE: 1}


async def test_a_certificate_that_was_deleted_is_asked_for_again_and_told(watched: Watched) -> None:
    await watched.ready()
    live = await watched.live(Kind.CERTIFICATE)
    await watched.home.cluster.delete(Kind.CERTIFICATE, "shop", "orders", live["metadata"]["uid"])

    await watched.home.settle()

    assert condition_of(await watched.home.status(), "Ready") == ("True", "Ready")
    assert watched.told == [("OAuthClient", "the Certificate orders had been deleted: it is asked for again")]


async def test_a_status_that_was_changed_says_what_is_observed_again_and_is_told(watched: Watched) -> None:
    await watched.ready()
    await watched.home.settle()
    live = await watched.live(Kind.OAUTH_CLIENT)
    forged = {**live["status"], "conditions": [], "clientId": "shop.orders"}
    await watched.home.cluster.apply_status(Kind.OAUTH_CLIENT, {**live, "status": forged})

    await watched.home.settle()

    assert condition_of(await watched.home.status(), "Ready") == ("True", "Ready")
    assert watched.counted == {DriftKind.STATUS: 1}


async def test_an_object_that_is_made_anew_under_its_name_is_no_drift(watched: Watched) -> None:
    """It begins without the status that the one before was left with."""
    await watched.ready()
    await watched.home.write("orders.yaml")
    await watched.home.settle()
    watched.home.clock.move(seconds=5)  # until the id may be given out again
    await watched.ready()

    assert watched.told == []
    assert not watched.counted


async def test_a_status_that_the_leader_between_has_written_is_no_drift(watched: Watched) -> None:
    await watched.ready()
    await watched.home.settle()
    first = watched.home.reconciler
    watched.watch(watched.home.another_reconciler("second"))
    await watched.home.write("orders.yaml", manifest(scopes=["more"]))
    await watched.home.settle()

    watched.watch(first)
    first.abandon_term()
    await watched.home.write("orders.yaml", manifest(scopes=["less"]))
    await watched.home.settle()

    assert (watched.counted, watched.told) == ({}, [])


@pytest.mark.parametrize("how", ["changed", "deleted"])
async def test_the_config_map_of_a_namespace_is_put_right_and_told(watched: Watched, tmp_path: Path, how: str) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(Authority.root("CN=Listeners").pem)
    settings = ReconcileSettings(holder="test", config_map_name="holdfast", server_ca_file=ca)
    home = watched.home
    watched.watch(Reconciler(home.cluster, home.line, settings, home.clock))
    await watched.ready()
    await home.settle(CONFIG)
    live = await watched.live(Kind.CONFIG_MAP, "holdfast")
    if how == "deleted":
        await home.cluster.delete(Kind.CONFIG_MAP, "shop", "holdfast", live["metadata"]["uid"])
    else:
        forged = {**live["data"], "issuer": "https://thief.test"}
        await home.cluster.apply(Kind.CONFIG_MAP, as_applied(live, data=forged))

    await home.settle(CONFIG)

    assert (await watched.live(Kind.CONFIG_MAP, "holdfast"))["data"] == live["data"]
    assert watched.told == [("ConfigMap", f"the ConfigMap holdfast had been {how}: it says where the server is again")]


async def test_denied_certificates_that_another_writer_let_in_again_are_denied_and_told(watched: Watched) -> None:
    thief = "kV0dVqUC6mMnxTnB0pZPr2vAGSHEkLnRlTfpQeDzyZ0"
    await watched.home.write("baseline.yaml", policy_manifest("baseline", certificates={"deniedThumbprints": [thief]}))
    await watched.home.settle(BASELINE)
    writer = watched.home.keeper.writer
    before = (await writer.describe()).denials
    await writer.put_denied_thumbprints(frozenset(), term=(await writer.describe()).term)

    await watched.home.reconciler.sweep()

    assert (await writer.describe()).denials == before != ""
    assert [kind for kind, _ in watched.told] == ["MTLSPolicy"]
    assert watched.counted == {DriftKind.DENIALS: 1}


async def test_nothing_that_is_asked_for_is_called_drift(watched: Watched) -> None:
    """Creation, edits, a policy that comes and goes, suspending, renewing, deleting: by the operator itself."""
    home = watched.home
    await watched.ready(scopes=["orders.read"])
    await home.write(
        "orders.yaml", manifest(scopes=["more"], certificate={"issuerRef": {"name": "workloads"}, "duration": "12h"})
    )
    await home.settle()
    await home.write(
        "baseline.yaml", policy_manifest("baseline", tokens={"maxLifetime": "1m"}, certificates={"maxDuration": "24h"})
    )
    await home.settle(BASELINE)
    await home.settle()
    await home.write("orders.yaml", manifest(suspend=True))
    await home.settle()
    await home.remove("baseline.yaml")
    await home.settle()
    home.clock.move(hours=17)
    await home.cluster.issue()
    await home.settle()
    await home.reconciler.sweep()
    await home.remove("orders.yaml")
    await asyncio.gather(home.reconciler.reconcile(ORDERS), home.reconciler.reconcile(BASELINE))

    assert (watched.counted, watched.told) == ({}, [])
