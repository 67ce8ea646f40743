"""How the approver is told which issuers are its own, and what it says to a setting that is wrong."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast_operator.settings import Settings


@pytest.fixture
def needed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("HOLDFAST_ADMIN_URL", "https://as.example:7443")
    for name in ("CA", "CERT", "KEY"):
        monkeypatch.setenv(f"HOLDFAST_ADMIN_{name}_FILE", f"/etc/holdfast/{name}")
    return monkeypatch


@pytest.mark.parametrize(
    ("text", "issuers"),
    [("", ()), ("workloads", ("workloads",)), ("workloads, team.a,", ("workloads", "team.a"))],
    ids=["none", "one", "two"],
)
def test_issuers_are_listed_with_commas(needed: pytest.MonkeyPatch, text: str, issuers: tuple[str, ...]) -> None:
    needed.setenv("HOLDFAST_APPROVER_ISSUERS", text)

    assert _settings().approver_issuers == issuers


def test_a_settings_file_has_a_list_of_them(needed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "operator.yaml").write_text("approver_issuers: [workloads, other]\n")
    needed.setenv("HOLDFAST_CONFIG_FILE", str(tmp_path / "operator.yaml"))

    assert _settings().approver_issuers == ("workloads", "other")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("ISSUERS", "Workloads", "should match pattern"),
        ("ISSUERS", "clusterissuers.cert-manager.io/workloads", "should match pattern"),
        ("MAX_DURATION", "90d", "expected a form such as 1h30m"),
        ("MAX_DURATION", "0s", "expected one such as 24h"),
    ],
    ids=["no name of an object", "a signer", "days", "nothing"],
)
def test_a_wrong_one_is_named(needed: pytest.MonkeyPatch, name: str, text: str, said: str) -> None:
    needed.setenv(f"HOLDFAST_APPROVER_{name}", text)

    with pytest.raises(ValidationError, match=said) as refused:
        _settings()
    assert refused.value.errors()[0]["loc"][0] == f"approver_{name.lower()}"


def _settings() -> Settings:
    values: dict[str, Any] = {}  # all from the environment
    return Settings(**values)
