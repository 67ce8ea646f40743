"""A real control plane on 127.0.0.1: etcd, API server, controllers, scheduler, cert-manager.

Owns: the order in which the parts start and stop, and who each of them is. Must not know pytest (`fixtures` does) nor
Holdfast's own processes: `make cluster` starts those beside it.
`with ControlPlane.start(folder) as plane:` is all that is needed outside of tests.
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.controlplane.plane import audit, build, certmanager, commands, kubeconfig, pki
from tests.controlplane.plane.ports import free_ports
from tests.controlplane.plane.process import Process

REPOSITORY = Path(__file__).parents[3]
OWN_CRDS = REPOSITORY / "crds"

_TOKEN_HOURS = 168  # as long as the plane's certificates


class KubectlError(Exception):
    """kubectl ended with another code than 0; the message is what it said."""


@dataclass
class ControlPlane:
    """A running plane. Everything it writes lies under `root`, which its owner removes after `stop`."""

    root: Path
    binaries: build.Binaries
    ports: commands.Ports
    processes: dict[str, Process] = field(default_factory=dict)

    @classmethod
    def start(cls, root: Path, *, crds: Path = OWN_CRDS) -> Self:
        """Starts all parts and returns when a Certificate of the ClusterIssuer `workloads` would be signed.

        `root` has to be an empty or absent folder; `crds` is applied when it exists. Builds the binaries when the
        cache has none, which takes minutes. Raises BuildError, ProcessError, KubectlError; then nothing is left.
        """
        root.mkdir(parents=True, exist_ok=True)
        plane = cls(root, build.ensure(), commands.Ports(*free_ports(7)))
        try:
            plane._start(crds)
        except BaseException:
            plane.stop()
            raise
        return plane

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.ports.apiserver}"

    @property
    def ca_file(self) -> Path:
        return self._pki / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        """Of a cluster admin (`system:masters`)."""
        return self.root / "admin.kubeconfig"

    @property
    def kubectl(self) -> Path:
        return self.binaries.path("kubectl")

    @property
    def helm(self) -> Path:
        return self.binaries.path("helm")

    @property
    def audit_log(self) -> Path:
        return self.root / "audit.log"

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, in the order of their start."""
        return {name: process.pid for name, process in self.processes.items() if process.running}

    def kubectl_run(self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None) -> str:
        """What kubectl prints, as the admin or as who `kubeconfig` is. Raises KubectlError with what it complains."""
        command = [str(self.kubectl), f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments]
        # Its discovery cache goes by host and port, and another plane may have had ours.
        env = os.environ | {"KUBECACHEDIR": str(self.root / "kubectl-cache")}
        done = subprocess.run(command, input=input, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, objects: Iterable[Mapping[str, Any]]) -> str:
        """Server-side apply of `objects`, in their order, as the admin."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl_run("apply", "--server-side", "--filename=-", input=json.dumps(listed))

    def guard(self, *, on: bool = True) -> None:
        """Whether the ClusterIssuer `workloads` waits for an approver, or cert-manager approves its requests by itself."""
        make = certmanager.guarded if on else certmanager.unguarded
        self.apply(make(self.binaries, self.root))

    def service_account_kubeconfig(self, namespace: str, name: str, holder: str = "") -> Path:
        """A kubeconfig that is that ServiceAccount, by a token from the TokenRequest API; it has to exist.

        `holder`: for whom, where several have tokens of their own.
        """
        token = self.kubectl_run("create", "token", name, f"--namespace={namespace}", f"--duration={_TOKEN_HOURS}h")
        path = self.root / f"{namespace}.{name}{holder and '.'}{holder}.kubeconfig"
        user = f"system:serviceaccount:{namespace}:{name}"
        return kubeconfig.with_token(path, self.url, self.ca_file, user, token.strip())

    def requests(self, offset: int = 0) -> list[audit.Request]:
        """What the API server answered so far, from byte `offset` of the audit log on."""
        return audit.read(self.audit_log, offset)

    def restart_apiserver(self, *extra: str, seconds: float = 60) -> None:
        """Kills the API server and starts it again, on its port, with `extra` flags; everything else keeps running.

        `seconds`: until it has to be ready.
        """
        self.processes["kube-apiserver"].signal(signal.SIGKILL)
        self.processes["kube-apiserver"].stop()
        self._start_apiserver(extra, seconds)

    def restart_cert_manager(self) -> None:
        """Kills cert-manager's controller and starts it again."""
        self.processes["cert-manager"].signal(signal.SIGKILL)
        self.processes["cert-manager"].stop()
        self._run_cert_manager()

    def back_up(self, target: Path) -> None:
        """Copies what etcd has at one moment to the new folder `target`: as a crash would leave it."""
        etcd = self.processes["etcd"]
        etcd.signal(signal.SIGSTOP)
        try:
            shutil.copytree(self.root / "etcd", target)
        finally:
            etcd.signal(signal.SIGCONT)

    def restore(self, backup: Path) -> None:
        """Puts it in the place of what etcd has. All of Kubernetes and cert-manager begins anew, as it has to then."""
        for name in (
            "cert-manager",
            "cert-manager-webhook",
            "kube-scheduler",
            "kube-controller-manager",
            "kube-apiserver",
            "etcd",
        ):
            self.processes[name].signal(signal.SIGKILL)
            self.processes[name].stop()
        shutil.rmtree(self.root / "etcd")
        shutil.copytree(backup, self.root / "etcd")
        self._start_etcd()
        self._start_apiserver()
        self._start_controllers()
        self._run_cert_manager()
        self._run_cert_manager_webhook()

    def take_cert_manager_away(self, *kinds: str) -> None:
        """Stops its processes and deletes the definitions of these kinds (plurals), with everything that is of them."""
        for name in ("cert-manager-webhook", "cert-manager"):
            self.processes.pop(name).stop()
        self.kubectl_run("delete", "crd", *(f"{kind}.cert-manager.io" for kind in kinds), "--timeout=30s")

    def bring_cert_manager_back(self) -> None:
        """As at the start; what was deleted with the definitions stays deleted, but for the plane's own issuers."""
        self._install_crds([self.binaries.cert_manager_crds])
        self._start_cert_manager()
        self._install_issuers()

    def stop(self) -> None:
        """Stops every process, in reverse order of the start."""
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # The steps of the start, in order.

    def _start(self, crds: Path) -> None:
        self._write_credentials()
        self._start_etcd()
        self._start_apiserver()
        self._install_crds([self.binaries.cert_manager_crds, *([crds] if crds.is_dir() else [])])
        self._start_controllers()  # the garbage collector looks for kinds that came later only every 30 s
        self._start_cert_manager()
        self._install_issuers()

    def _write_credentials(self) -> None:
        for folder in (self._pki, self._logs):
            folder.mkdir()
        authority = pki.Authority.create(self._pki, "ca")
        authority.issue("apiserver", "kube-apiserver", server=True)
        authority.issue("webhook", "cert-manager-webhook", server=True)
        pki.Authority.create(self._pki, "front-proxy-ca").issue("front-proxy-client", "front-proxy-client")
        pki.write_service_account_keys(self._pki)
        self._write_kubeconfig(authority, "admin", "plane-admin", ("system:masters",))
        for component in ("kube-controller-manager", "kube-scheduler"):
            self._write_kubeconfig(authority, component, f"system:{component}")
        (self.root / "audit-policy.json").write_text(json.dumps(commands.AUDIT_POLICY))

    def _write_kubeconfig(self, authority: pki.Authority, file: str, user: str, groups: tuple[str, ...] = ()) -> None:
        pair = authority.issue(file, user, groups)
        kubeconfig.with_certificate(self.root / f"{file}.kubeconfig", self.url, self.ca_file, user, pair)

    def _start_etcd(self) -> None:
        etcd = self._run("etcd", commands.etcd(self.binaries.path("etcd"), self.root / "etcd", self.ports))
        etcd.wait_until(lambda: _answers(f"http://127.0.0.1:{self.ports.etcd}/health"))

    def _start_apiserver(self, extra: Sequence[str] = (), seconds: float = 60) -> None:
        binary, policy = self.binaries.path("kube-apiserver"), self.root / "audit-policy.json"
        command = commands.apiserver(binary, self._pki, policy, self.audit_log, self.ports)
        server = self._run("kube-apiserver", [*command, *extra])
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        trust.load_cert_chain(self._pki / "admin.crt", self._pki / "admin.key")
        server.wait_until(lambda: _answers(f"{self.url}/readyz", trust), seconds)

    def _start_controllers(self) -> None:
        for name in ("kube-controller-manager", "kube-scheduler"):
            binary, config = self.binaries.path(name), self.root / f"{name}.kubeconfig"
            if name == "kube-scheduler":
                self._run(name, commands.scheduler(binary, config, self.ports))
            else:
                self._run(name, commands.controller_manager(binary, config, self._pki, self.ports))

    def _install_crds(self, folders: list[Path]) -> None:
        self.kubectl_run("apply", "--server-side", *(f"--filename={folder}" for folder in folders))
        self.kubectl_run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    def _start_cert_manager(self) -> None:
        self.apply(certmanager.identities(self.binaries, self.root))
        self._run_cert_manager()
        self._run_cert_manager_webhook()
        self.apply(certmanager.webhooks(self.binaries, self.root, self.ports.webhook, self.ca_file))

    def _run_cert_manager(self) -> None:
        account = self.service_account_kubeconfig(certmanager.NAMESPACE, certmanager.CONTROLLER)
        self._run("cert-manager", commands.cert_manager_controller(self.binaries.path("cert-manager"), account))

    def _run_cert_manager_webhook(self) -> None:
        account = self.service_account_kubeconfig(certmanager.NAMESPACE, certmanager.WEBHOOK)
        command = commands.cert_manager_webhook(self.binaries.path("cert-manager"), account, self._pki, self.ports)
        webhook = self._run("cert-manager-webhook", command)
        webhook.wait_until(lambda: _answers(f"http://127.0.0.1:{self.ports.webhook_health}/healthz"))

    def _install_issuers(self) -> None:
        self.apply(certmanager.issuers())
        issuer = f"clusterissuer/{certmanager.ISSUER}"
        self.kubectl_run("wait", "--for=condition=Ready", issuer, "--timeout=60s")

    @property
    def _pki(self) -> Path:
        return self.root / "pki"

    @property
    def _logs(self) -> Path:
        return self.root / "logs"

    def _run(self, name: str, command: list[str]) -> Process:
        process = Process.start(name, command, self._logs)
        self.processes[name] = process
        return process


def _answers(url: str, trust: ssl.SSLContext | None = None) -> bool:
    no_proxy = urllib.request.ProxyHandler({})  # a proxy of the environment does not reach our 127.0.0.1
    opener = urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=trust))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:  # refused, reset, or an HTTP error: URLError is an OSError
        return False
