"""The whole way, from files to a real registry: what is written, what is not, and how losses heal."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.registry.port import StaleTerm
from holdfast_operator.reconcile.actions import FINALIZER
from holdfast_operator.reconcile.ports import Key, Kind
from tests.core.x509.authority import NOW
from tests.operator.simulated import FOREIGN, condition_of, message_of
from tests.operator.small_house import ORDERS, House, house, manifest, open_keeper, policy_manifest

BASELINE = Key(Kind.MTLS_POLICY, "", "baseline")


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


async def ready(home: House, **spec: Any) -> None:
    await home.write("orders.yaml", manifest(**spec))
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")


async def test_a_manifest_becomes_a_registered_client_whose_certificate_is_the_shown_one(home: House) -> None:
    await ready(home, scopes=["orders.read"])

    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    assert stored.metadata.scopes == ("orders.read",)
    status = await home.status()
    assert status["certificate"]["subject"] == "spiffe://cluster.local/ns/shop/sa/orders"
    assert len(status["certificate"]["thumbprint"]) == 43


async def test_a_second_pass_writes_nothing_anywhere(home: House) -> None:
    await ready(home)
    before = (await home.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders"), await home.keeper.writer.describe())

    outcome = await home.reconciler.reconcile(ORDERS)

    assert not outcome.wrote
    after = (await home.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders"), await home.keeper.writer.describe())
    assert after == before


async def test_an_edit_is_registered_by_the_next_pass(home: House) -> None:
    await ready(home)

    await home.write("orders.yaml", manifest(scopes=["more"]))
    await home.reconciler.reconcile(ORDERS)

    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    assert (stored.metadata.scopes, stored.metadata.owner.generation) == (("more",), 2)


async def test_a_deleted_manifest_takes_its_registration_with_it(home: House) -> None:
    await ready(home)

    await home.remove("orders.yaml")
    await home.reconciler.reconcile(ORDERS)

    assert await home.registered() == {}
    assert await home.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders") is None


async def test_a_renewed_certificate_is_followed(home: House) -> None:
    await ready(home)
    before = (await home.status())["certificate"]

    home.clock.move(hours=17)
    await home.cluster.issue()
    await home.settle()

    after = (await home.status())["certificate"]
    assert after["thumbprint"] != before["thumbprint"]
    assert after["notAfter"] > before["notAfter"]
    assert "CertificateRenewed" in [e.reason for e in home.cluster.events]


async def test_a_registry_that_is_away_is_shown_and_heals_by_itself(home: House) -> None:
    await ready(home)
    await home.write("orders.yaml", manifest(scopes=["more"]))

    home.line.cut = True
    outcome = await home.reconciler.reconcile(ORDERS)
    assert outcome.retry
    assert condition_of(await home.status(), "Registered") == ("False", "RegistryUnavailable")
    assert not (await home.reconciler.reconcile(ORDERS)).wrote, "trying again writes nothing"

    home.line.cut = False
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    assert stored.metadata.scopes == ("more",)


async def test_a_deletion_is_let_go_after_its_bound_and_swept_before_the_registry_is_confirmed(home: House) -> None:
    await ready(home)
    home.line.cut = True
    await home.remove("orders.yaml")

    outcome = await home.reconciler.reconcile(ORDERS)
    assert outcome.requeue_after == 2.0
    home.clock.move(seconds=10)
    assert (await home.reconciler.reconcile(ORDERS)).gone
    assert await home.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders") is None
    assert list(await home.registered()) == ["shop.orders"]

    home.line.cut = False
    result = await home.reconciler.sweep()
    assert result.deleted == ("shop.orders",)
    assert await home.registered() == {}
    assert (await home.keeper.writer.describe()).confirmed


async def test_a_registry_that_lost_its_file_is_filled_again(home: House) -> None:
    await ready(home)
    instance = (await home.reconciler.describe()).instance
    await home.keeper.close()
    (home.root / "registry.db").unlink()
    home.keeper = await open_keeper(home.root, home.clock)
    home.line.registry = home.keeper.writer

    await home.reconciler.sweep()
    described = await home.reconciler.describe()
    assert (described.instance != instance, described.confirmed) == (True, True)
    assert list(await home.registered()) == ["shop.orders"]
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")


async def test_a_sweep_writes_what_changed_meanwhile_before_it_confirms(home: House) -> None:
    await ready(home)
    await home.write("orders.yaml", manifest(suspend=True))
    reopened = await open_keeper(home.root, home.clock)
    home.line.registry = reopened.writer
    assert not (await reopened.writer.describe()).confirmed

    await home.another_reconciler("second").sweep()

    stored = await reopened.writer.get_client("shop.orders")
    assert stored is not None
    assert stored.metadata.suspended
    assert (await reopened.writer.describe()).confirmed
    await reopened.close()


async def test_a_sweep_of_what_agrees_writes_nothing(home: House) -> None:
    await ready(home)
    await home.reconciler.sweep()
    before = await home.keeper.writer.describe()

    result = await home.reconciler.sweep()

    assert (result.deleted, result.look_at) == ((), ())
    assert await home.keeper.writer.describe() == before


async def test_a_sweep_finds_a_first_token(home: House) -> None:
    await ready(home)
    await home.reconciler.sweep()
    home.keeper.record_token("shop.orders", home.clock())
    async with asyncio.timeout(5):
        while (await home.registered())["shop.orders"].last_token_at is None:  # noqa: ASYNC110  nothing tells us
            await asyncio.sleep(0.05)  # the registry writes it down with its next look at the store

    result = await home.reconciler.sweep()
    assert result.look_at == (ORDERS,)
    await home.settle()

    assert condition_of(await home.status(), "TokenIssued") == ("True", "TokenIssued")
    assert (await home.reconciler.sweep()).look_at == ()


async def test_a_newer_writer_is_not_written_over(home: House) -> None:
    await ready(home)
    newer = home.another_reconciler("newer")
    await home.write("orders.yaml", manifest(scopes=["newer"]))
    await newer.reconcile(ORDERS)

    await home.write("orders.yaml", manifest(scopes=["older"]))
    with pytest.raises(StaleTerm):
        await home.reconciler.reconcile(ORDERS)

    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    assert stored.metadata.scopes == ("newer",)


async def test_a_second_claimant_of_an_audience_is_told_who_holds_it(home: House) -> None:
    api = {"audiences": ["https://orders.shop.svc"]}
    await ready(home, resourceServer=api)
    second = Key(Kind.OAUTH_CLIENT, "shop", "second")

    await home.write("second.yaml", manifest("second", resourceServer=api))
    await home.settle_refused(second)

    status = await home.status(second)
    assert condition_of(status, "Accepted") == ("False", "AudienceTaken")
    assert "shop/orders" in next(c["message"] for c in status["conditions"] if c["type"] == "Accepted")

    await home.remove("orders.yaml")
    await home.reconciler.reconcile(ORDERS)
    await home.settle(second)
    assert condition_of(await home.status(second), "Ready") == ("True", "Ready")


async def test_a_client_with_its_own_certificate_is_registered_from_its_config_map(home: House) -> None:
    home.clock.now = NOW  # the partner's CA was made now
    own = {
        "subject": {"dns": "orders.partner.test"},
        "trustAnchors": [{"configMapKeyRef": {"name": "partner-ca"}}],
    }
    await home.write("orders.yaml", manifest(certificate=None, authentication=own))
    await home.settle()
    assert condition_of(await home.status(), "CertificateReady") == ("False", "TrustAnchorNotFound")

    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "partner-ca", "namespace": "shop"},
        "data": {"ca.crt": FOREIGN.pem.decode()},
    }
    await home.write("ca.yaml", config_map)
    await home.settle()

    assert condition_of(await home.status(), "Ready") == ("True", "Ready")
    stored = await home.keeper.writer.get_client("shop.orders")
    assert stored is not None
    assert [a.der for a in stored.metadata.trust_anchors] == [FOREIGN.certificate.der]


async def test_a_policy_takes_effect_and_counts_whom_it_denies(home: House) -> None:
    await ready(home, tokens={"lifetime": "30m"})

    await home.write("policy.yaml", policy_manifest("baseline", tokens={"maxLifetime": "10m"}))
    await home.settle()
    await home.settle(BASELINE)

    assert condition_of(await home.status(), "Ready") == ("False", "LifetimeTooLong")
    assert await home.registered() == {}
    status = await home.status(BASELINE)
    assert (status["matchedClients"], status["violations"]["count"]) == (1, 1)

    await home.remove("policy.yaml")
    home.clock.move(seconds=3)  # tokens from before can be told apart then
    await home.settle()
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")


async def test_the_finalizer_is_there_exactly_while_there_is_a_registration(home: House) -> None:
    await home.write("orders.yaml", manifest(certificate={"issuerRef": {"name": "nobody"}}))
    await home.settle()
    found = await home.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders")
    assert found is not None
    assert not found["metadata"].get("finalizers")
    assert condition_of(found["status"], "CertificateReady") == ("False", "IssuerNotFound")

    await ready(home)
    found = await home.cluster.get(Kind.OAUTH_CLIENT, "shop", "orders")
    assert found is not None
    assert found["metadata"]["finalizers"] == [FINALIZER]


async def test_a_resource_is_refused_until_its_api_is_there_and_again_when_it_has_gone(home: House) -> None:
    audience, billing = "https://billing.fin.svc", Key(Kind.OAUTH_CLIENT, "fin", "billing")

    async def api(allow: Any) -> tuple[str, str]:
        """Write the API, and look at the client that asks for it."""
        server = {"audiences": [audience], **({} if allow is None else {"allowFrom": allow})}
        await home.write("billing.yaml", manifest("billing", "fin", resourceServer=server))
        await home.settle(billing)
        await home.settle()
        return condition_of(await home.status(), "Accepted")

    await ready(home, scopes=["read", "write"], resources=[audience])
    assert condition_of(await home.status(), "Accepted") == ("True", "ResourceNotAllowed")
    assert "nobody owns https://billing.fin.svc" in message_of(await home.status(), "Accepted")

    assert await api(None) == ("True", "ResourceNotAllowed"), "another namespace's, by default its own only"
    assert "fin/billing" in message_of(await home.status(), "Accepted")
    assert await api([{"namespace": "shop", "client": "orders", "scopes": ["read"]}]) == ("True", "ScopeNotAllowed")
    assert await api([{"namespace": "shop", "client": "*", "scopes": ["read", "write"]}]) == ("True", "Accepted")

    home.line.cut = True
    await home.reconciler.reconcile(ORDERS)
    assert condition_of(await home.status(), "Accepted") == ("True", "Accepted")
    home.line.cut = False
    await home.remove("billing.yaml")
    await home.reconciler.reconcile(billing)
    await home.settle()
    assert condition_of(await home.status(), "Accepted") == ("True", "ResourceNotAllowed")
    assert condition_of(await home.status(), "Ready") == ("True", "Ready")


async def test_a_policy_allows_a_resource_that_nobody_owns(home: House) -> None:
    await ready(home, resources=["https://api.partner.example"])
    assert condition_of(await home.status(), "Accepted") == ("True", "ResourceNotAllowed")

    grants = {"allowedResources": ["https://*.partner.example"]}
    await home.write("policy.yaml", policy_manifest("outside", grants=grants))
    await home.settle()

    assert condition_of(await home.status(), "Accepted") == ("True", "Accepted")
