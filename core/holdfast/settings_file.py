"""What the settings of the processes share: the optional YAML file, and how a wrong setting is told.

Owns HOLDFAST_CONFIG_FILE, what wins over what, and the one line that names file, key, expected and actual. Must not know
which settings there are: each process has its own `settings`. Imported by processes alone, whose extras bring pydantic.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

CONFIG_FILE_VARIABLE = "HOLDFAST_CONFIG_FILE"


class SettingsFileError(Exception):
    """The file cannot be used; one line that names it and what is wrong."""


class ProcessSettings(BaseSettings):
    """Attributes are environment variables with `HOLDFAST_` before them, in upper case."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_", extra="ignore", frozen=True, use_attribute_docstrings=True, env_ignore_empty=True
    )

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


def read_settings_file(known: Collection[str]) -> dict[str, Any]:
    """The content of the file that HOLDFAST_CONFIG_FILE names, {} where it names none.

    Raises SettingsFileError: unreadable, no YAML, no mapping, a key that is none of `known`.
    """
    named = os.environ.get(CONFIG_FILE_VARIABLE)
    if not named:
        return {}
    value = _load(Path(named))
    unknown = sorted(str(key) for key in value if key not in known)
    if unknown:
        raise SettingsFileError(f"{named}: expected keys out of {', '.join(sorted(known))}, found {', '.join(unknown)}")
    return value


def _load(path: Path) -> dict[str, Any]:
    import yaml  # brought by the extras of the processes, which are the only ones that read settings

    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsFileError(f"{path} ({CONFIG_FILE_VARIABLE}): {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsFileError(f"{path}: no YAML: {' '.join(str(error).split())[:200]}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SettingsFileError(f"{path}: expected a mapping of settings, found {type(value).__name__}")
    return value


def problem_lines(errors: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line for each problem, as pydantic lists them, under the name of the environment variable."""
    return [f"HOLDFAST_{'_'.join(str(part) for part in e['loc']).upper()}: {e['msg']}" for e in errors]


def https_url(value: str) -> str:
    """Without a slash at its end. Raises ValueError when it is no https URL, or has a query, a fragment or a user."""
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"expected an https URL without query and fragment, found {value!r}")
    return value.rstrip("/")
