"""Two namespaces write one name under a guarded issuer: who has it signed, decided by the approver over a folder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from holdfast.clock import system_clock
from holdfast_operator.approval.approver import Approver
from holdfast_operator.approval.holders import Holders
from holdfast_operator.approval.judge import Rules
from holdfast_operator.approval.owner import Owners
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.authserver.registry.waiting import until
from tests.operator.certificate_requests import CERT_MANAGER, certificate_request, csr, decided
from tests.operator.cluster_backends import FolderPlace
from tests.operator.small_house import MovedClock

NAME = "orders.example.com"
RULES = Rules(issuers=frozenset({"workloads"}), trust_domain="cluster.local", cert_manager=CERT_MANAGER)
API_VERSION = "holdfast.dev/v1alpha1"


class House:
    """A folder, and an approver over it that no event has told of any client."""

    def __init__(self, root: Path) -> None:
        self.place = FolderPlace(root)
        self.cluster = self.place.cluster
        self.decided: list[tuple[str, str]] = []
        settings = ReconcileSettings(guarded_issuers=RULES.issuers)
        config_maps = PolicyConfigMaps(self.cluster, MovedClock(), 60)
        owners = Owners(self.cluster, config_maps, Holders(RULES.issuers), settings)
        self.approver = Approver(
            self.cluster, owners, RULES, system_clock, lambda decision, reason: self.decided.append((decision, reason))
        )

    async def allow(self, **labels: str) -> None:
        """A policy that lets clients of the namespaces with these labels have the name."""
        certificates = {"allowedSubjects": {"dnsNames": ["*.example.com"]}}
        selector = {"namespaceSelector": {"matchLabels": labels}} if labels else {}
        metadata = {"name": "names"}
        spec = {**selector, "certificates": certificates}
        await self.place.declare({"apiVersion": API_VERSION, "kind": "MTLSPolicy", "metadata": metadata, "spec": spec})

    async def client(self, namespace: str, name: str = "", **labels: str) -> Object:
        """It writes the name. Of clients made at the same moment the one whose namespace sorts first is the first."""
        where = {"name": namespace, "labels": labels}
        await self.place.declare({"apiVersion": "v1", "kind": "Namespace", "metadata": where})
        metadata = {"namespace": namespace, "name": name or namespace}
        spec = {"certificate": {"issuerRef": {"name": "workloads"}}, "authentication": {"subject": {"dns": NAME}}}
        await self.place.declare({"apiVersion": API_VERSION, "kind": "OAuthClient", "metadata": metadata, "spec": spec})
        found = await self.cluster.get(Kind.OAUTH_CLIENT, metadata["namespace"], metadata["name"])
        assert found is not None
        return found

    async def register(self, client: Object) -> None:
        """What the operator writes once it has registered a client."""
        said = {"type": "Registered", "status": "True", "reason": "Registered", "message": ""}
        status = {
            "observedGeneration": client["metadata"]["generation"],
            "registration": {"revision": 1},
            "conditions": [{**said, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }
        metadata = {member: client["metadata"][member] for member in ("namespace", "name")}
        body = {"apiVersion": API_VERSION, "kind": "OAuthClient", "metadata": metadata, "status": status}
        await self.cluster.apply_status(Kind.OAUTH_CLIENT, body)

    async def ask(self, client: Object) -> tuple[str, str]:
        """What is decided on a request of cert-manager for that client's Certificate: the decision and its reason."""
        metadata = {member: client["metadata"][member] for member in ("namespace", "name")}
        issuer = {"name": "workloads", "kind": "ClusterIssuer", "group": "cert-manager.io"}
        certificate = await self.cluster.apply(
            Kind.CERTIFICATE,
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Certificate",
                "metadata": {**metadata, "ownerReferences": [controlled_by(client)]},
                "spec": {"secretName": f"{metadata['name']}-mtls", "issuerRef": issuer, "dnsNames": [NAME]},
            },
        )
        uri = f"spiffe://cluster.local/ns/{metadata['namespace']}/sa/{metadata['name']}"
        asked = certificate_request(csr(uris=[uri], dns=[NAME]), namespace=metadata["namespace"])
        asked["metadata"] = {**metadata, "ownerReferences": [controlled_by(certificate)]}
        self.approver.on_change(await self.cluster.apply(Kind.CERTIFICATE_REQUEST, asked))
        before = len(self.decided)
        async with self.leading():
            await until(lambda: len(self.decided) > before, 10)
        return self.decided[-1]

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.approver.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def controlled_by(owner: Object) -> Object:
    named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {**named, "uid": owner["metadata"]["uid"], "controller": True}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_an_approver_that_has_just_begun_knows_whose_name_it_is(house: House) -> None:
    """Before the watch has brought a single client."""
    await house.allow()
    await house.register(await house.client("b-team"))

    assert (await house.ask(await house.client("a-team")))[0] == "denied"


async def test_the_first_of_two_who_may_have_it_has_it(house: House) -> None:
    await house.allow()
    first, second = await house.client("a-team"), await house.client("b-team")

    assert [(await house.ask(client))[0] for client in (second, first)] == ["denied", "approved"]


async def test_who_may_not_have_it_keeps_nobody_from_it(house: House) -> None:
    await house.allow(team="b")
    await house.client("a-team", team="a")

    assert (await house.ask(await house.client("b-team", team="b")))[0] == "approved"


async def test_behind_one_who_may_not_have_it_stands_the_one_who_has_it(house: House) -> None:
    await house.allow(names="yes")
    await house.client("a-team", names="no")
    await house.client("b-team", names="yes")

    assert (await house.ask(await house.client("c-team", names="yes")))[0] == "denied"


async def test_who_is_registered_with_it_keeps_it_until_that_is_withdrawn(house: House) -> None:
    """Its certificate is still taken, and what is signed now could be it."""
    await house.allow(team="a")
    await house.register(await house.client("b-team", team="b"))

    assert (await house.ask(await house.client("a-team", team="a")))[0] == "denied"


async def test_clients_of_one_namespace_are_no_rivals(house: House) -> None:
    await house.allow()
    await house.client("a-team", "first")

    assert (await house.ask(await house.client("a-team", "second")))[0] == "approved"


def test_a_request_that_is_deleted_undecided_says_nothing_of_who_decides(house: House) -> None:
    past_us = certificate_request(name="past-us", status=decided("Approved", "cert-manager.io"))
    undecided = certificate_request(name="undecided")
    undecided["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    by_us = certificate_request(name="by-us", status=decided("Approved", "holdfast.dev"))
    by_us["metadata"]["creationTimestamp"] = "2026-01-03T00:00:00Z"

    found = []
    for request, deleted in ((past_us, False), (undecided, False), (undecided, True), (by_us, True)):
        house.approver.on_change(request, deleted=deleted)
        found.append((house.approver.unguarded, house.approver.open))

    assert found == [(1, 0), (1, 1), (1, 0), (0, 0)]
