"""A local cluster with Holdfast in it: control plane, cert-manager, and the chart's Deployments as processes.

Owns: putting these together and saying where everything is. What runs is what the chart says; only what a machine
without a pod network cannot have differs: addresses and ports, and `127.0.0.1` in the listeners' certificates.
`python -m tests.controlplane.cluster [--ready-file FILE]` is `make cluster`: it stays until Ctrl-C or SIGTERM.
Neighbours: `plane` (the control plane), `pods` (Deployments as processes).
"""

import argparse
import base64
import contextlib
import functools
import json
import os
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.controlplane.plane import certmanager
from tests.controlplane.plane.plane import ControlPlane, KubectlError
from tests.controlplane.plane.ports import free_ports
from tests.controlplane.pods import Pod, container_of
from tools.generate_install import NAMESPACE, render

WEBHOOKS = "ValidatingWebhookConfiguration"
AUTHSERVER, OPERATOR, INJECTOR = "holdfast-authserver", "holdfast-operator", "holdfast-injector"
WATCHED = "operator.watchNamespaces"
"""The value whose namespaces have to be there before the chart: `{one,two}`."""


@dataclass(frozen=True)
class Ports:
    """Of Holdfast's listeners, all on 127.0.0.1; the same after each restart, so the issuer stays the same."""

    public: int
    mtls: int
    admin: int
    ops: int
    operator_ops: int
    webhook: int
    injector_ops: int


class LocalCluster:
    """A running cluster. Everything it writes lies under `root`, which its owner removes after `stop`."""

    def __init__(self, root: Path, plane: ControlPlane, values: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.plane = plane
        self._values = dict(values or {})
        self.ports = Ports(*free_ports(7))
        self.pods: dict[str, Pod] = {}
        self.replica_ports: dict[str, int] = {}
        """Of the ops listener of each further operator, by its name."""
        self._webhooks: list[dict[str, Any]] = []

    @classmethod
    def start(cls, root: Path, say: Callable[[str], None] = lambda _: None, values: Mapping[str, str] | None = None) -> Self:
        """Starts everything and returns when all of Holdfast is ready.

        `say` gets a line for each step. `values`: of the chart, besides its defaults and the addresses.
        """
        say("control plane and cert-manager …")
        cluster = cls(root, ControlPlane.start(root / "plane"), values)
        try:
            say("Holdfast: the chart's objects, then its processes …")
            cluster.plane.guard()
            cluster._install()
            cluster._wait_ready()
            cluster._open_webhooks()
        except BaseException:
            cluster.stop()
            raise
        return cluster

    @property
    def authserver(self) -> Pod:
        return self.pods[AUTHSERVER]

    @property
    def operator(self) -> Pod:
        return self.pods[OPERATOR]

    def replica(self, name: str) -> Pod:
        """One more operator, started, with a token and an identity of its own; it is stopped with the rest."""
        (port,) = free_ports(1)
        overrides = self._overrides(OPERATOR) | {
            "KUBECONFIG": str(self.plane.service_account_kubeconfig(NAMESPACE, OPERATOR, name)),
            "HOLDFAST_IDENTITY": name,
            "HOLDFAST_OPS_PORT": str(port),
        }
        self.replica_ports[name] = port
        pod = Pod(self.operator.container, self.root / name, self.kubectl, overrides)
        self.pods[name] = pod
        pod.start()
        pod.process.wait_until(functools.partial(answers, f"http://127.0.0.1:{port}/readyz"))
        return pod

    @property
    def injector(self) -> Pod:
        return self.pods[INJECTOR]

    @property
    def ca_file(self) -> Path:
        """The CA of the server's listeners."""
        return self.authserver.path("/etc/holdfast/tls/public/ca.crt")

    @property
    def issuer(self) -> str:
        return f"https://127.0.0.1:{self.ports.public}"

    @property
    def mtls_issuer(self) -> str:
        return f"https://127.0.0.1:{self.ports.mtls}"

    @property
    def registry_file(self) -> Path:
        """The SQLite file of the server's registry."""
        return self.authserver.path("/var/lib/holdfast/registry.db")

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.plane.kubectl_run(*arguments, input=input)

    def described(self) -> dict[str, Any]:
        """What the ready file holds."""
        return {
            "issuer": self.issuer,
            "mtls_issuer": self.mtls_issuer,
            "metadata_url": f"{self.issuer}/.well-known/oauth-authorization-server",
            "token_endpoint": f"{self.issuer}/oauth2/token",
            "mtls_token_endpoint": f"{self.mtls_issuer}/oauth2/token",
            "introspection_endpoint": f"{self.mtls_issuer}/oauth2/introspect",
            "ca_file": str(self.ca_file),
            "pid": os.getpid(),
            "policies": self._policies(),
            "kubeconfig": str(self.plane.kubeconfig),
            "kubectl": str(self.plane.kubectl),
            "pids": {**self.plane.pids, **{name.removeprefix("holdfast-"): pod.pid for name, pod in self.pods.items()}},
        }

    def _policies(self) -> list[dict[str, Any]]:
        found = json.loads(self.kubectl("get", "mtlspolicies.holdfast.dev", "--output=json"))["items"]
        return [_policy(policy) for policy in found]

    def stop(self) -> None:
        """Stops every process, the operator first."""
        for pod in reversed(self.pods.values()):
            pod.stop()
        self.plane.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _install(self) -> None:
        for name in (NAMESPACE, *self._values.get(WATCHED, "").strip("{}").split(",")):
            if name:
                self.kubectl("create", "namespace", name)
        objects = [o for o in yaml.safe_load_all(self._rendered()) if o]
        deployments = [o for o in objects if o["kind"] == "Deployment"]
        self._webhooks = [o for o in objects if o["kind"] == WEBHOOKS]
        self.plane.apply([_reachable(o) for o in objects if o["kind"] not in ("Deployment", WEBHOOKS)])
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        self.kubectl("wait", "--for=condition=Ready", "certificate", "--all", f"--namespace={NAMESPACE}", "--timeout=60s")
        for deployment in sorted(deployments, key=lambda d: d["metadata"]["name"]):
            self._start_pod(deployment)

    def _rendered(self) -> str:
        settings = {
            "authserver.publicUrl": self.issuer,
            "authserver.mtlsUrl": self.mtls_issuer,
            "approver.issuers": f"{{{certmanager.ISSUER}}}",
            **self._values,
        }
        return render(*(f"--set={name}={value}" for name, value in settings.items()))

    def _start_pod(self, deployment: Mapping[str, Any]) -> None:
        container = container_of(deployment)
        pod = Pod(container, self.root / container.name, self.kubectl, self._overrides(container.name))
        self.pods[container.name] = pod
        pod.start()

    def _overrides(self, name: str) -> dict[str, str]:
        """What a pod network and an in-cluster token would give."""
        if name == AUTHSERVER:
            server = {"public": self.ports.public, "mtls": self.ports.mtls, "admin": self.ports.admin, "ops": self.ports.ops}
            listeners = {f"HOLDFAST_{listener.upper()}_PORT": str(port) for listener, port in server.items()}
            return listeners | {f"HOLDFAST_{listener.upper()}_HOST": "127.0.0.1" for listener in server}
        own = {
            OPERATOR: {
                "HOLDFAST_ADMIN_URL": f"https://127.0.0.1:{self.ports.admin}",
                "HOLDFAST_OPS_PORT": str(self.ports.operator_ops),
            },
            INJECTOR: {
                "HOLDFAST_WEBHOOK_HOST": "127.0.0.1",
                "HOLDFAST_WEBHOOK_PORT": str(self.ports.webhook),
                "HOLDFAST_OPS_PORT": str(self.ports.injector_ops),
            },
        }
        account = self.plane.service_account_kubeconfig(NAMESPACE, name)
        return {"KUBECONFIG": str(account), "HOLDFAST_OPS_HOST": "127.0.0.1", **own[name]}

    def _wait_ready(self) -> None:
        listening = {AUTHSERVER: self.ports.ops, OPERATOR: self.ports.operator_ops, INJECTOR: self.ports.injector_ops}
        for name, pod in self.pods.items():
            pod.process.wait_until(functools.partial(answers, f"http://127.0.0.1:{listening[name]}/readyz"))

    def _open_webhooks(self) -> None:
        """By URL, and with the CA that cert-manager's injector would write: a Service does not resolve here."""
        if not self._webhooks:
            return
        bundle = base64.b64encode(self.injector.path("/etc/holdfast/tls/ca.crt").read_bytes()).decode()
        for webhook in (w for configuration in self._webhooks for w in configuration["webhooks"]):
            path = webhook["clientConfig"]["service"]["path"]
            webhook["clientConfig"] = {"url": f"https://127.0.0.1:{self.ports.webhook}{path}", "caBundle": bundle}
        self.plane.apply(self._webhooks)

    @contextlib.contextmanager
    def webhooks_off(self) -> Iterator[None]:
        """Nobody refuses before the operator and the server do: as where webhooks were switched off."""
        names = [configuration["metadata"]["name"] for configuration in self._webhooks]
        self.kubectl("delete", WEBHOOKS, *names)
        self._await_webhooks(are_on=False)
        try:
            yield
        finally:
            self.plane.apply(self._webhooks)
            self._await_webhooks(are_on=True)

    def _await_webhooks(self, *, are_on: bool, seconds: float = 15) -> None:
        """Until the API server has heard of the change, as a client shows that every policy would refuse."""
        spec = {"clientId": "nobodys.client", "certificate": {"issuerRef": {"name": "none"}}}
        metadata = {"name": "rehearsed", "namespace": "default"}
        rehearsed = {"apiVersion": "holdfast.dev/v1alpha1", "kind": "OAuthClient", "metadata": metadata, "spec": spec}
        deadline = time.monotonic() + seconds
        while self._is_refused(rehearsed) is not are_on:
            assert time.monotonic() < deadline, f"the webhooks are still {'off' if are_on else 'on'}"

    def _is_refused(self, obj: Mapping[str, Any]) -> bool:
        try:
            self.kubectl("create", "--dry-run=server", "--filename=-", input=json.dumps(obj))
        except KubectlError:
            return True
        return False


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    status = policy.get("status", {})
    accepted = any(c["type"] == "Accepted" and c["status"] == "True" for c in status.get("conditions", ()))
    return {"name": policy["metadata"]["name"], "accepted": accepted, "matched": status.get("matchedClients", 0)}


def _reachable(obj: dict[str, Any]) -> dict[str, Any]:
    """Server certificates name the address at which they are really reached here."""
    if obj["kind"] == "Certificate" and "server auth" in obj["spec"].get("usages", ()):
        obj["spec"]["ipAddresses"] = ["127.0.0.1"]
    return obj


def answers(url: str) -> bool:
    """Whether a plain HTTP URL answers 200 now."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """`make cluster`."""
    parser = argparse.ArgumentParser(prog="make cluster", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ready-file", type=Path, help="where to write, as JSON, where everything is")
    options = parser.parse_args(arguments)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-cluster-") as folder:
        with LocalCluster.start(Path(folder), _say) as cluster:
            _announce(cluster, time.monotonic() - began)
            if options.ready_file:
                _keep_written(cluster, options.ready_file)
            over.wait()
            _say("stopping …")
            for pod in cluster.pods.values():
                pod.on_start = lambda: None
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)
    return 0


def _keep_written(cluster: LocalCluster, path: Path) -> None:
    """Write the ready file now, and again whenever a process was started anew."""

    def write() -> None:
        staged = path.with_name(f".{path.name}.tmp")
        staged.write_text(json.dumps(cluster.described(), indent=2) + "\n")
        staged.replace(path)

    for pod in cluster.pods.values():
        pod.on_start = write
    write()


def _announce(cluster: LocalCluster, seconds: float) -> None:
    print(
        f"""
ready after {seconds:.0f} s; Ctrl-C stops it and leaves nothing behind. In another terminal:

  export KUBECONFIG={cluster.plane.kubeconfig}
  alias kubectl={cluster.plane.kubectl}
  kubectl apply -f manifests/quickstart/
  kubectl wait --for=condition=Ready oauthclients.holdfast.dev --all --all-namespaces
  kubectl get oauthclients.holdfast.dev -A
  kubectl get secret orders-mtls -n shop -o 'go-template={{{{index .data "tls.crt" | base64decode}}}}' > tls.crt
  kubectl get secret orders-mtls -n shop -o 'go-template={{{{index .data "tls.key" | base64decode}}}}' > tls.key
  curl --cacert {cluster.ca_file} --cert tls.crt --key tls.key \\
    -d grant_type=client_credentials -d client_id=shop.orders {cluster.mtls_issuer}/oauth2/token

issuer          {cluster.issuer}
token endpoint  {cluster.mtls_issuer}/oauth2/token
its CA          {cluster.ca_file}
""",
        flush=True,
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
