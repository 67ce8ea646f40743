"""Kubeconfig files: one server, one user.

Owns: their form. Must not know how the credentials came to be (`pki`, `plane`).
"""

from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.plane.pki import KeyPair


def with_certificate(path: Path, server: str, ca: Path, user: str, pair: KeyPair) -> Path:
    """Writes a kubeconfig that authenticates by client certificate."""
    return _write(path, server, ca, user, {"client-certificate": str(pair.certificate), "client-key": str(pair.key)})


def with_token(path: Path, server: str, ca: Path, user: str, token: str) -> Path:
    """Writes a kubeconfig that authenticates by bearer token."""
    return _write(path, server, ca, user, {"token": token})


def _write(path: Path, server: str, ca: Path, user: str, credentials: dict[str, str]) -> Path:
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "plane", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": user}}],
        "current-context": "plane",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
