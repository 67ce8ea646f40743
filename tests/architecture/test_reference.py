"""Pages written by hand leave out no setting, no reason and no command, and name none that does not exist."""

import re

import click
import pytest
import yaml
from pydantic_settings import BaseSettings

from holdfast.api.v1alpha1.conditions import Reason
from holdfast_authserver.settings import Settings as ServerSettings
from holdfast_cli.main import main
from holdfast_operator.admission.settings import InjectorSettings
from holdfast_operator.settings import Settings as OperatorSettings
from tests.architecture.tree import ROOT

README = (ROOT / "README.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
ADMISSION = (ROOT / "docs" / "admission.md").read_text("utf-8")
SERVER_SETTINGS = (ROOT / "docs" / "reference" / "authserver-settings.md").read_text("utf-8")
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("page", "settings"),
    [(SERVER_SETTINGS, ServerSettings), (OPERATIONS, OperatorSettings), (ADMISSION, InjectorSettings)],
)
def test_every_setting_has_its_row_and_every_row_its_setting(page: str, settings: type[BaseSettings]) -> None:
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]

    named = {name for row in rows for name in re.findall(r"`HOLDFAST_(\w+)`", row)}

    assert named == {field.upper() for field in settings.model_fields}


def test_every_setting_of_the_server_says_what_it_means() -> None:
    assert [name for name, field in ServerSettings.model_fields.items() if not field.description] == []


def test_troubleshooting_knows_every_reason() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", TROUBLESHOOTING))

    assert sorted(set(map(str, Reason)) - named) == []


def test_troubleshooting_invents_no_reason() -> None:
    headings = re.findall(r"^### (.*)$", TROUBLESHOOTING, re.MULTILINE)

    named = {name for heading in headings for name in re.findall(r"`(\w+)`", heading)}

    assert sorted(named - set(map(str, Reason))) == []


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `holdfast ([a-z]+)", README, re.MULTILINE)

    assert sorted(listed) == sorted(main.list_commands(click.Context(main)))


def test_the_ten_lines_of_the_readme_are_those_of_the_quickstart() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0]
    quickstart = (ROOT / "manifests" / "quickstart" / "quickstart.yaml").read_text("utf-8")

    assert len(shown.splitlines()) == 10
    assert shown in quickstart
    assert yaml.safe_load(shown)["kind"] == "OAuthClient"
