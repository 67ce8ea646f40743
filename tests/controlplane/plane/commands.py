"""Command lines of the Kubernetes processes: pure functions of paths and ports.

Owns: every flag and why it is there. Must not start anything (`plane` does).
"""

from dataclasses import dataclass
from pathlib import Path

SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"

_CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "replicaset-controller",
)
"""What the tests lean on; the others would only cost time at the start."""

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],  # one line a request is enough
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/readyz*", "/livez*", "/version", "/openapi*", "/api*"]},
        {"level": "Metadata"},
    ],
}
"""Who did what to which object, without bodies: enough to count writes and to see whether anybody read a Secret."""


@dataclass(frozen=True)
class Ports:
    """One port of 127.0.0.1 for each listener."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    webhook: int
    webhook_health: int


def etcd(binary: Path, data: Path, ports: Ports) -> list[str]:
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        str(binary),
        "--name=plane",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=plane={peer}",
        "--unsafe-no-fsync",  # nobody needs the data after a power cut
        "--log-level=warn",
    ]


def apiserver(binary: Path, pki: Path, audit_policy: Path, audit_log: Path, ports: Ports) -> list[str]:
    return [
        str(binary),
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.apiserver}",
        "--advertise-address=10.0.0.250",  # never bound; a loopback address is refused here
        "--endpoint-reconciler-type=none",  # and so nothing is published for it either
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        "--authorization-mode=RBAC",
        "--anonymous-auth=true",
        "--allow-privileged=true",
        f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
        f"--api-audiences={SERVICE_ACCOUNT_ISSUER}",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        f"--audit-policy-file={audit_policy}",
        f"--audit-log-path={audit_log}",
        "--audit-log-mode=blocking",  # a request that was answered is in the log
        "--audit-log-maxsize=100000",  # MiB: one file, of which readers remember where they were
    ]


def controller_manager(binary: Path, kubeconfig: Path, pki: Path, ports: Ports) -> list[str]:
    return [
        *_control(binary, kubeconfig, ports.controller_manager),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--kube-api-qps=500",  # the defaults are for a shared cluster; a test waits for the namespace controller
        "--kube-api-burst=1000",
        f"--controllers={','.join(_CONTROLLERS)}",
    ]


def scheduler(binary: Path, kubeconfig: Path, ports: Ports) -> list[str]:
    return _control(binary, kubeconfig, ports.scheduler)


def cert_manager_controller(binary: Path, kubeconfig: Path) -> list[str]:
    return [str(binary), "-role=controller", f"-kubeconfig={kubeconfig}"]


def cert_manager_webhook(binary: Path, kubeconfig: Path, pki: Path, ports: Ports) -> list[str]:
    return [
        str(binary),
        "-role=webhook",
        f"-kubeconfig={kubeconfig}",
        f"-port={ports.webhook}",
        f"-health-port={ports.webhook_health}",
        f"-tls-cert-file={pki / 'webhook.crt'}",
        f"-tls-private-key-file={pki / 'webhook.key'}",
    ]


def _control(binary: Path, kubeconfig: Path, port: int) -> list[str]:
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--leader-elect=false",
    ]
