"""Every setting of `holdfast injector`: environment variables `HOLDFAST_…`, and one optional YAML file.

The environment wins over the file that HOLDFAST_CONFIG_FILE names. The cluster is that of KUBECONFIG, or the one the
process runs in. Owns names, defaults and what is wrong with a single value.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from holdfast.settings_file import read_settings_file

_DOMAIN = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"


class InjectorSettings(BaseSettings):
    """Attributes are environment variables with `HOLDFAST_` before them, in upper case."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_", extra="ignore", frozen=True, use_attribute_docstrings=True, env_ignore_empty=True
    )

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

    ops_host: str = "127.0.0.1"
    ops_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Plain HTTP: health, readiness, metrics. 0: any free port."""

    relist: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which everything is listed afresh, to find what a watch has missed."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the YAML file. Raises SettingsFileError."""
        file = read_settings_file(settings_cls.model_fields)
        return init_settings, env_settings, InitSettingsSource(settings_cls, file)
