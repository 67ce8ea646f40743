"""The approver's loop against a real API server and cert-manager's webhook: when it works, and what keeps it from it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from holdfast.clock import system_clock
from holdfast_operator.adapters.kubernetes import KubernetesCluster
from holdfast_operator.adapters.kubernetes_api import KubernetesApi
from holdfast_operator.approval.approver import Approver
from holdfast_operator.approval.holders import Holders
from holdfast_operator.approval.judge import Rules
from holdfast_operator.approval.owner import Owners
from holdfast_operator.converge.policy_config_maps import PolicyConfigMaps
from holdfast_operator.reconcile.ports import Kind, Object
from holdfast_operator.reconcile.settings import ReconcileSettings
from tests.authserver.registry.waiting import until
from tests.controlplane.plane.plane import ControlPlane
from tests.operator.certificate_requests import CERT_MANAGER, certificate_request, csr

pytestmark = pytest.mark.controlplane

RULES = Rules(issuers=frozenset({"workloads"}), trust_domain="cluster.local", cert_manager=CERT_MANAGER)


@pytest.fixture
def guarded(plane: ControlPlane) -> Iterator[None]:
    """cert-manager leaves the issuer to us for the time of a test."""
    plane.guard()
    yield
    plane.guard(on=False)


class Loop:
    """An approver in this process, and what it has decided."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        settings = ReconcileSettings(guarded_issuers=RULES.issuers)
        owners = Owners(cluster, PolicyConfigMaps(cluster, system_clock, 60), Holders(RULES.issuers), settings)
        self.cluster = cluster
        self.decided: list[tuple[str, str]] = []
        self.approver = Approver(
            cluster, owners, RULES, system_clock, lambda decision, reason: self.decided.append((decision, reason))
        )

    async def sees(self, namespace: str, name: str) -> Object:
        """The watch brings the request as it is now."""
        found = await self.cluster.get(Kind.CERTIFICATE_REQUEST, namespace, name)
        assert found is not None
        self.approver.on_change(found)
        return found

    async def until_decided(self, count: int) -> None:
        await until(lambda: len(self.decided) >= count, 20)


@asynccontextmanager
async def loop_as(kubeconfig: Path) -> AsyncIterator[Loop]:
    api = await KubernetesApi.connect(kubeconfig)
    try:
        yield Loop(KubernetesCluster(api, "test"))
    finally:
        await api.close()


@asynccontextmanager
async def leading(loop: Loop) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.approver.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ask(plane: ControlPlane, namespace: str, name: str, uri: str | None = None) -> None:
    pem = csr(uris=[uri or f"spiffe://cluster.local/ns/{namespace}/sa/orders"])
    written = certificate_request(pem, namespace=namespace, name=name, username=None)
    written["metadata"] = {"namespace": namespace, "name": name}
    plane.kubectl_run("create", "--filename=-", input=json.dumps(written))


@pytest.mark.usefixtures("guarded")
async def test_what_was_asked_while_another_led_is_decided_at_once(plane: ControlPlane, namespace: str) -> None:
    async with loop_as(plane.kubeconfig) as loop:
        ask(plane, namespace, "right")
        ask(plane, namespace, "wrong", "spiffe://cluster.local/ns/payments/sa/ledger")
        for name in ("right", "wrong"):
            await loop.sees(namespace, name)
        assert (loop.approver.open, loop.decided) == (2, [])
        async with leading(loop):
            await loop.until_decided(2)

    assert sorted(loop.decided) == [("approved", "holdfast.dev"), ("denied", "IdentityNotAllowed")]
    assert loop.approver.open == 0


@pytest.mark.usefixtures("guarded")
async def test_a_request_is_decided_once_however_often_it_is_seen(plane: ControlPlane, namespace: str) -> None:
    async with loop_as(plane.kubeconfig) as loop:
        ask(plane, namespace, "wrong", "spiffe://cluster.local/ns/payments/sa/ledger")
        old = await loop.sees(namespace, "wrong")
        async with leading(loop):
            await loop.until_decided(1)
            for name in ("wrong", "marker"):
                loop.approver.on_change(old)  # a late event of how it was
                if name == "marker":
                    ask(plane, namespace, name)
                    await loop.sees(namespace, name)
            await loop.until_decided(2)

    assert loop.decided == [("denied", "IdentityNotAllowed"), ("approved", "holdfast.dev")]


@pytest.mark.usefixtures("guarded")
async def test_without_the_permission_to_approve_it_asks_again_until_it_has_it(
    plane: ControlPlane, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    plane.kubectl_run("create", "serviceaccount", "approver", f"--namespace={namespace}")
    may(plane, namespace, "get", "certificaterequests")
    may(plane, namespace, "patch", "certificaterequests/status")
    may(plane, namespace, "list", "oauthclients", group="holdfast.dev")
    ask(plane, namespace, "right")
    async with loop_as(plane.service_account_kubeconfig(namespace, "approver")) as loop:
        await loop.sees(namespace, "right")
        async with leading(loop):
            await until(lambda: "does not have permissions to set approved/denied conditions" in caplog.text, 20)
            assert (loop.decided, loop.approver.open) == ([], 1)
            may(plane, namespace, "approve", "signers", "clusterissuers.cert-manager.io/workloads")
            await loop.until_decided(1)

    assert loop.decided == [("approved", "holdfast.dev")]


async def test_knows_which_issuers_cert_manager_approves_for(plane: ControlPlane, namespace: str) -> None:
    ask(plane, namespace, "waved", "spiffe://cluster.local/ns/payments/sa/ledger")
    plane.kubectl_run(
        "wait", "--for=condition=Approved", "certificaterequest/waved", f"--namespace={namespace}", "--timeout=20s"
    )
    async with loop_as(plane.kubeconfig) as loop:
        await loop.sees(namespace, "waved")

        assert (loop.approver.unguarded, loop.approver.open) == (1, 0)


def may(plane: ControlPlane, namespace: str, verb: str, resource: str, *names: str, group: str = "cert-manager.io") -> None:
    """Lets the ServiceAccount `approver` of this namespace do that everywhere."""
    role = f"{verb}-{namespace}"
    rule = {"apiGroups": [group], "resources": [resource], "verbs": [verb], "resourceNames": list(names)}
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    plane.apply([{**kind, "metadata": {"name": role}, "rules": [rule]}])
    plane.kubectl_run(
        "create", "clusterrolebinding", role, f"--clusterrole={role}", f"--serviceaccount={namespace}:approver"
    )
