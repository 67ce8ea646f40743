"""What cert-manager needs in the cluster before it runs: its own chart's objects, fitted to processes on 127.0.0.1.

Owns: which objects, and the two issuers that workloads use. Must not start processes (`plane`).
"""

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.plane.build import Binaries

NAMESPACE = "cert-manager"
CONTROLLER = "cert-manager"
"""ServiceAccount of the controllers."""
WEBHOOK = "cert-manager-webhook"
"""ServiceAccount of the webhook."""
ISSUER = "workloads"
"""The ClusterIssuer that is ready on every plane."""

APPROVED = ("issuers.cert-manager.io/*", "clusterissuers.cert-manager.io/plane-selfsigned")
"""What cert-manager goes on to approve by itself where `workloads` is guarded."""

_ACCOUNTS = ("serviceaccount", "rbac", "webhook-serviceaccount", "webhook-rbac")
_WEBHOOKS = ("webhook-validating-webhook", "webhook-mutating-webhook")


def identities(binaries: Binaries, home: Path) -> list[dict[str, Any]]:
    """Namespace, ServiceAccounts and RBAC as the chart ships them: the processes run with nothing more."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [namespace, *_rendered(binaries, home, _ACCOUNTS)]


def guarded(binaries: Binaries, home: Path) -> list[dict[str, Any]]:
    """The chart's RBAC, with everything but the ClusterIssuer `workloads` for cert-manager to approve."""
    return _rendered(binaries, home, ("rbac",), f"approveSignerNames={{{','.join(APPROVED)}}}")


def unguarded(binaries: Binaries, home: Path) -> list[dict[str, Any]]:
    """The chart's RBAC as it comes: cert-manager approves every request."""
    return _rendered(binaries, home, ("rbac",))


def webhooks(binaries: Binaries, home: Path, port: int, ca: Path) -> list[dict[str, Any]]:
    """The chart's webhook configurations, by URL: a Service does not resolve where no kube-proxy runs."""
    rendered = _rendered(binaries, home, _WEBHOOKS, f"webhook.url.host=127.0.0.1:{port}")
    bundle = base64.b64encode(ca.read_bytes()).decode()
    for configuration in rendered:
        configuration["metadata"].pop("annotations", None)  # cainjector does not run here: we set the bundle
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"]["caBundle"] = bundle
    return rendered


def issuers() -> list[dict[str, Any]]:
    """A self-signed root and the ClusterIssuer `workloads` that issues from it."""
    root = {"name": "plane-root", "namespace": NAMESPACE}
    return [
        _object("ClusterIssuer", {"name": "plane-selfsigned"}, {"selfSigned": {}}),
        _object(
            "Certificate",
            root,
            {
                "isCA": True,
                "commonName": "Holdfast test plane workloads",
                "secretName": root["name"],
                "duration": "168h",
                "privateKey": {"algorithm": "ECDSA", "size": 256},
                "issuerRef": {"name": "plane-selfsigned", "kind": "ClusterIssuer", "group": "cert-manager.io"},
            },
        ),
        _object("ClusterIssuer", {"name": ISSUER}, {"ca": {"secretName": root["name"]}}),
    ]


def _object(kind: str, metadata: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _rendered(binaries: Binaries, home: Path, templates: tuple[str, ...], *settings: str) -> list[dict[str, Any]]:
    command = [str(binaries.path("helm")), "template", CONTROLLER, str(binaries.cert_manager_chart)]
    command += ["--namespace", NAMESPACE]
    for template in templates:
        command += ["--show-only", f"templates/{template}.yaml"]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"HOME": str(home)})
    if done.returncode:
        raise RuntimeError(f"cert-manager's chart could not be rendered: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]
