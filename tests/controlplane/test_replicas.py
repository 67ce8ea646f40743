"""Two operators of which one works, in an installation that watches two namespaces only: real processes, killed."""

import base64
import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.controlplane.cluster import INJECTOR, OPERATOR, WATCHED, LocalCluster
from tests.controlplane.plane.audit import Request
from tests.controlplane.plane.plane import ControlPlane, KubectlError
from tests.controlplane.pods import Pod
from tools.generate_install import NAMESPACE

pytestmark = pytest.mark.controlplane

_ACCOUNTS = f"system:serviceaccount:{NAMESPACE}:"
_CLIENTS = "oauthclients.holdfast.dev"


@dataclass(frozen=True)
class Replicas:
    """The cluster, and its two operators by who they are in the Lease."""

    cluster: LocalCluster
    pods: dict[str, Pod]

    @property
    def holder(self) -> str:
        path = "--output=jsonpath={.spec.holderIdentity}"
        return self.cluster.kubectl("get", "lease", OPERATOR, f"--namespace={NAMESPACE}", path)

    def roles(self) -> tuple[Pod, Pod, str]:
        """Who leads, who waits, and the name of the latter."""
        _until(lambda: self.holder in self.pods, 20)
        leader = self.holder
        (waiting,) = self.pods.keys() - {leader}
        return self.pods[leader], self.pods[waiting], waiting

    def is_handled(self, name: str) -> bool:
        """Whether the status is of the spec beside it."""
        client = self.client(name)
        return bool(client.get("status", {}).get("observedGeneration") == client["metadata"]["generation"])

    def client(self, name: str, namespace: str = "one") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.cluster.kubectl("get", _CLIENTS, name, f"--namespace={namespace}", "--output=json")
        )
        return found

    def suspend(self, name: str, suspended: bool) -> None:
        patch = json.dumps({"spec": {"suspend": suspended}})
        self.cluster.kubectl("patch", _CLIENTS, name, "--namespace=one", "--type=merge", f"--patch={patch}")


@pytest.fixture(scope="module")
def replicas(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """`plane` says whether a cluster can be had at all; this one is of its own, since its processes are killed."""
    with LocalCluster.start(tmp_path_factory.mktemp("replicas"), values={WATCHED: "{one,two}"}) as cluster:
        cluster.operator.stop()
        found = Replicas(cluster, {name: cluster.replica(name) for name in ("first", "second")})
        cluster.plane.apply([_client("one", "orders")])
        _wait_ready(cluster, "one", "orders")
        yield found


def test_a_client_of_a_watched_namespace_is_ready_and_one_of_another_is_left_alone(replicas: Replicas) -> None:
    cluster = replicas.cluster
    cluster.kubectl("create", "namespace", "elsewhere")
    cluster.plane.apply([_client("elsewhere", "ignored"), _client("two", "seen")])
    _wait_ready(cluster, "two", "seen")

    assert replicas.client("ignored", "elsewhere")["status"] == {"observedGeneration": -1}  # as the API server makes it
    assert "finalizers" not in replicas.client("ignored", "elsewhere")["metadata"]


@pytest.mark.parametrize(
    ("component", "verb", "resource"),
    [
        (OPERATOR, "list", "oauthclients.holdfast.dev"),
        (OPERATOR, "list", "configmaps"),
        (OPERATOR, "list", "certificates.cert-manager.io"),
        (INJECTOR, "list", "oauthclients.holdfast.dev"),
        (INJECTOR, "get", "configmaps"),
    ],
)
def test_who_works_for_some_namespaces_may_read_no_other(
    replicas: Replicas, component: str, verb: str, resource: str
) -> None:
    account = replicas.cluster.plane.service_account_kubeconfig(NAMESPACE, component, "asking")

    def may(*where: str) -> bool:
        try:
            said = replicas.cluster.plane.kubectl_run("auth", "can-i", verb, resource, *where, kubeconfig=account)
        except KubectlError:
            return False
        return said == "yes\n"

    assert [may("--namespace=one"), may("--namespace=default"), may("--all-namespaces")] == [True, False, False]


@pytest.mark.parametrize("component", [OPERATOR, INJECTOR])
def test_of_some_namespaces_only_nobody_is_refused_anything(replicas: Replicas, component: str) -> None:
    asked = [r for r in replicas.cluster.plane.requests() if r.user == _ACCOUNTS + component]

    assert asked
    assert [r for r in asked if r.status == 403] == []


def test_the_waiting_replica_writes_nothing(replicas: Replicas) -> None:
    _, _, waiting = replicas.roles()
    token = _credential(replicas, waiting)

    assert [r for r in replicas.cluster.plane.requests() if r.credential == token and r.is_write] == []


def test_after_sigterm_the_other_leads_within_two_seconds(replicas: Replicas) -> None:
    leader, _, waiting = replicas.roles()
    began = time.monotonic()

    leader.process.signal(signal.SIGTERM)
    _until(lambda: replicas.holder == waiting, 10)

    assert time.monotonic() - began < 2


def test_after_kill_the_other_works_within_fifteen_seconds(replicas: Replicas) -> None:
    leader, _, waiting = replicas.roles()
    _until_warm(replicas, waiting)

    leader.crash()
    began = time.monotonic()
    replicas.suspend("orders", True)
    _until(lambda: replicas.is_handled("orders"), 30)

    assert time.monotonic() - began < 15
    assert replicas.holder == waiting
    leader.start()


def test_a_leader_that_stood_still_writes_nothing_when_it_goes_on(replicas: Replicas) -> None:
    """It is stopped in the middle of its work; whatever it was about to do is done by the other, once."""
    leader, _, waiting = replicas.roles()
    _until_warm(replicas, waiting)
    token = _credential(replicas, replicas.holder)
    crowd = [_client("one", f"c{i:02}") for i in range(30)]
    replicas.cluster.plane.apply(crowd)
    leader.process.signal(signal.SIGSTOP)

    _until(lambda: replicas.holder == waiting, 15)
    _until(lambda: all(replicas.is_handled(c["metadata"]["name"]) for c in crowd), 30)
    offset = replicas.cluster.plane.audit_log.stat().st_size
    registered = _registered(replicas)
    leader.process.signal(signal.SIGCONT)
    _until(lambda: "has lost the Lease" in leader.log.rpartition("holds the Lease")[2], 20)
    replicas.suspend("orders", False)
    _until(lambda: replicas.is_handled("orders"), 10)

    assert _written(replicas, offset, token) == []
    assert _registered(replicas) == registered
    assert replicas.holder == waiting


def _written(replicas: Replicas, offset: int, token: str) -> list[Request]:
    found = replicas.cluster.plane.requests(offset)
    return [r for r in found if r.credential == token and r.is_write and r.status < 400]


def _registered(replicas: Replicas) -> dict[str, int]:
    """The registry's revision of each client, as statuses show it; `orders` is changed by the test."""
    listed = json.loads(replicas.cluster.kubectl("get", _CLIENTS, "--namespace=one", "--output=json"))["items"]
    return {
        c["metadata"]["name"]: c["status"]["registration"]["revision"] for c in listed if c["metadata"]["name"] != "orders"
    }


def _credential(replicas: Replicas, holder: str) -> str:
    """The token of one replica, by the requests that name its file."""
    text = (replicas.cluster.plane.root / f"{NAMESPACE}.{OPERATOR}.{holder}.kubeconfig").read_text()
    token = text.partition("token: ")[2].partition("\n")[0].strip('"')
    return _jti(token)


def _jti(token: str) -> str:
    claims = token.split(".")[1]
    return "JTI=" + str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"])


def _until_warm(replicas: Replicas, waiting: str) -> None:
    """Until the waiting replica has listed everything once."""
    url = f"http://127.0.0.1:{replicas.cluster.replica_ports[waiting]}/metrics"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def warm() -> bool:
        try:
            with opener.open(url, timeout=2) as answer:
                return b"holdfast_operator_stores_warm 1" in answer.read()
        except OSError:
            return False

    _until(warm, 40)


def _client(namespace: str, name: str) -> dict[str, Any]:
    spec = {
        "certificate": {"issuerRef": {"name": "workloads", "kind": "ClusterIssuer"}},
        "grantTypes": ["client_credentials"],
    }
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": metadata, "spec": spec}


def _wait_ready(cluster: LocalCluster, namespace: str, name: str) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", f"{_CLIENTS}/{name}", f"--namespace={namespace}", "--timeout=60s")


def _until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
