"""Where settings come from, and which values are none."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.settings_file import SettingsFileError
from holdfast_authserver.settings import Settings


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_text("token_lifetime: 60\npublic_port: 1234\nadmin_port: null\n")
    monkeypatch.setenv("HOLDFAST_CONFIG_FILE", str(file))
    monkeypatch.setenv("HOLDFAST_TOKEN_LIFETIME", "120")

    settings = Settings()

    assert (settings.token_lifetime, settings.public_port, settings.admin_port) == (120, 1234, None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        ("token_lifetime: [", "no YAML"),
        ("- token_lifetime", "expected a mapping of settings, found list"),
        ("token_lifetme: 60", "found token_lifetme"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, told: str
) -> None:
    file = tmp_path / "holdfast.yaml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("HOLDFAST_CONFIG_FILE", str(file))

    with pytest.raises(SettingsFileError) as refused:
        Settings()

    assert told in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("public_url", "http://as.example"),
        ("public_url", "https://as.example?x=1"),
        ("mtls_url", "https://"),
        ("mtls_port", 65_536),
        ("startup_hold", -1),
        ("token_lifetime", 0),
        ("http", "h2"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_an_issuer_has_no_slash_at_its_end() -> None:
    assert Settings(public_url="https://as.example/").public_url == "https://as.example"
