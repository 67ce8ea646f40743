"""Every setting of `holdfast injector`: environment variables `HOLDFAST_…`, and one optional YAML file.

The environment wins over the file that HOLDFAST_CONFIG_FILE names. The cluster is that of KUBECONFIG, or the one the
process runs in. Owns names, defaults and what is wrong with a single value.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from holdfast.settings_file import ProcessSettings
from holdfast_operator.settings import NamespaceNames

_DOMAIN = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"


class InjectorSettings(ProcessSettings):
    """Attributes are environment variables with `HOLDFAST_` before them, in upper case."""

    tls_cert_file: Path
    """Certificate of the webhook listener, in PEM."""
    tls_key_file: Path
    """Its key. Both files are read again when they change."""
    webhook_host: str = "127.0.0.1"
    webhook_port: Annotated[int, Field(ge=0, le=65535)] = 8443
    """Where the API server asks, over TLS. 0: any free port."""

    trust_domain: Annotated[str, Field(max_length=253, pattern=_DOMAIN)] = "cluster.local"
    """SPIFFE trust domain, the same as the operator's."""
    cluster_domain: Annotated[str, Field(max_length=253, pattern=_DOMAIN)] = "cluster.local"
    """DNS domain of the cluster, the same as the operator's."""

    watch_namespaces: NamespaceNames = ()
    """Namespaces, with commas between, whose objects are looked at; empty: all. The same as the operator's."""

    ops_host: str = "127.0.0.1"
    ops_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Plain HTTP: health, readiness, metrics. 0: any free port."""

    relist: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which everything is listed afresh, to find what a watch has missed."""
