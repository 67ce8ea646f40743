"""Objects that deny certificates, and clients that no issuer of the cluster vouches for: YAML, the same with and without
an API server.

Owns the YAML. Must not know who applies it: `tests/cli` writes it into a folder, `tests/e2e` gives it to kubectl.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.core.x509.authority import Authority
from tests.registry_conformance.revocation_lists import a_crl

DNS = "partner.example"
"""The subject of a client of `partner`."""


def policy(name: str, namespace: str, **spec: Any) -> str:
    """An MTLSPolicy for the clients of one namespace."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return _text("holdfast.dev/v1alpha1", "MTLSPolicy", {"name": name}, spec={"namespaceSelector": selector, **spec})


def denying(name: str, namespace: str, *thumbprints: str) -> str:
    """A policy that denies these certificates (x5t#S256)."""
    return policy(name, namespace, certificates={"deniedThumbprints": list(thumbprints)})


def hard_fail(name: str, namespace: str) -> str:
    """A policy that lets nobody in whom no revocation list speaks for; its list is that of `revocation_list`."""
    reference = {"namespace": namespace, "name": "partner-crl", "key": "ca.crl"}
    revocation = {"mode": "HardFail", "crls": [{"configMapKeyRef": reference}]}
    return policy(name, namespace, certificates={"revocation": revocation})


def revocation_list(namespace: str, authority: Authority, serials: Sequence[int] = ()) -> str:
    """The ConfigMap with that CA's list, current for a day."""
    listed = x509.load_der_x509_crl(a_crl(authority, serials)).public_bytes(Encoding.PEM).decode()
    return _config_map("partner-crl", namespace, {"ca.crl": listed})


def partner(name: str, namespace: str, authority: Authority) -> str:
    """A client with a certificate of its own CA, which is its one anchor, and that CA's ConfigMap."""
    anchors = [{"configMapKeyRef": {"name": "partner-ca", "key": "ca.crt"}}]
    authentication = {"method": "tls_client_auth", "subject": {"dns": DNS}, "trustAnchors": anchors}
    ca = _config_map("partner-ca", namespace, {"ca.crt": authority.pem.decode()})
    return f"{ca}\n---\n{client(name, namespace, authentication=authentication)}"


def client(name: str, namespace: str, **spec: Any) -> str:
    """An OAuthClient."""
    return _text("holdfast.dev/v1alpha1", "OAuthClient", {"name": name, "namespace": namespace}, spec=spec)


def _config_map(name: str, namespace: str, data: Mapping[str, str]) -> str:
    return _text("v1", "ConfigMap", {"name": name, "namespace": namespace}, data=data)


def _text(version: str, kind: str, metadata: Mapping[str, str], **content: Any) -> str:
    """JSON, which is YAML."""
    return json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata, **content})
