"""Every setting of the operator: environment variables `HOLDFAST_…`, and one optional YAML file.

The environment wins over the file that HOLDFAST_CONFIG_FILE names. The cluster is that of KUBECONFIG, or the one the
process runs in. Owns names, defaults and what is wrong with a single value.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from holdfast.api.v1alpha1.convert import duration_seconds
from holdfast.settings_file import ProcessSettings, https_url

_OBJECT = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
_LABEL = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_DOMAIN = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"


def _listed(value: object) -> object:
    """A list of the YAML file as it is; text of the environment, taken apart at its commas."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


NamespaceNames = Annotated[
    tuple[Annotated[str, Field(max_length=63, pattern=_LABEL)], ...], NoDecode, BeforeValidator(_listed)
]
"""With commas between, or a list in the YAML file."""


def _duration(text: str) -> str:
    """Raises ValueError unless it is one that a certificate can have."""
    if duration_seconds(text) < 1:
        raise ValueError(f"expected one such as 24h, found {text}")
    return text


class PlaceSettings(ProcessSettings):
    """Where an operator works, which is all that `holdfast operator release` has to know."""

    watch_namespaces: NamespaceNames = ()
    """Namespaces, with commas between, whose objects are looked at; empty: all. Of the others nothing is read, not even a
    ConfigMap that a policy names."""

    lease_namespace: Annotated[str, Field(min_length=1, max_length=63)] = "holdfast-system"
    """Namespace of the Lease by which one of several replicas works."""
    lease_name: Annotated[str, Field(min_length=1, max_length=253)] = "holdfast-operator"
    """Name of that Lease."""


class Settings(PlaceSettings):
    """Attributes are environment variables with `HOLDFAST_` before them, in upper case."""

    admin_url: Annotated[str, AfterValidator(https_url)]
    """The authorization server's admin listener."""
    admin_ca_file: Path
    """CA that the admin listener's certificate has to lead to."""
    admin_cert_file: Path
    """The operator's certificate for the admin listener."""
    admin_key_file: Path
    """Its key. All three files are read again when they change."""

    trust_domain: Annotated[str, Field(max_length=253, pattern=_DOMAIN)] = "cluster.local"
    """SPIFFE trust domain of the certificates that are asked for."""
    cluster_domain: Annotated[str, Field(max_length=253, pattern=_DOMAIN)] = "cluster.local"
    """DNS domain of the cluster."""

    approver_issuers: Annotated[
        tuple[Annotated[str, Field(max_length=253, pattern=_DOMAIN)], ...], NoDecode, BeforeValidator(_listed)
    ] = ()
    """ClusterIssuers, with commas between, whose CertificateRequests the operator approves and denies; empty: of none."""
    approver_max_duration: Annotated[str, AfterValidator(_duration)] = "2160h"
    """The longest certificate that is approved, whatever a policy allows."""
    approver_cert_manager: Annotated[str, Field(min_length=1)] = "system:serviceaccount:cert-manager:cert-manager"
    """The user that cert-manager makes requests as: of its requests the namespace alone is known, of others' who asks."""

    config_map_name: Annotated[str, Field(max_length=253, pattern=_OBJECT)] = "holdfast"
    """Name of the ConfigMap in every namespace with a client, from which applications know issuer, endpoints and CA."""
    server_ca_file: Path | None = None
    """CA certificates (PEM) that the server's public and mTLS listeners lead to, for that ConfigMap; read again when it
    changes. None, or no such file: the listeners' certificates are of a public CA."""

    identity: str = ""
    """Who holds the Lease and reports events. Empty: the host's name, which is the pod's, and the process id."""

    ops_host: str = "127.0.0.1"
    ops_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Plain HTTP: health, readiness, metrics. 0: any free port."""

    workers: Annotated[int, Field(ge=1, le=64)] = 16
    """Passes at the same time."""
    resync: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which an object is looked at even if nothing happened."""
    release_after: Annotated[float, Field(ge=0)] = 10.0
    """Seconds a deletion waits for a server that cannot be reached."""
    rotation_overlap: Annotated[float, Field(ge=0, le=86400)] = 120.0
    """Seconds for which a self-signed certificate is still taken after its renewal, at the least; where its client's tokens
    live longer, as long as those. What a kubelet needs to bring a new Secret into a pod."""
