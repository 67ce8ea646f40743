"""Objects as a cluster had them, and what kstatus, Argo CD and Flux say of each."""

from pathlib import Path

import pytest
import yaml

from tests.gitops.verdicts import Object, argo, argo_as_kstatus, flux, kstatus

RECORDED = {entry["name"]: entry for entry in yaml.safe_load_all((Path(__file__).parent / "recorded.yaml").read_text())}


@pytest.mark.parametrize("name", RECORDED)
def test_all_three_say_what_it_is(name: str) -> None:
    obj, expected = RECORDED[name]["object"], RECORDED[name]["is"]
    assert (kstatus(obj), argo_as_kstatus(obj), flux(obj)) == (expected, expected, expected)


def test_argo_shows_the_reason_and_what_to_do() -> None:
    status, message = argo(RECORDED["refused by a policy"]["object"])
    assert status == "Degraded"
    assert message.startswith("LifetimeTooLong: ")


def test_a_suspended_client_is_shown_as_suspended_by_argo() -> None:
    assert argo(RECORDED["suspended"]["object"])[0] == "Suspended"


@pytest.mark.parametrize("kind", ["OAuthClient", "MTLSPolicy"])
def test_an_object_without_any_status_is_waited_for_as_well(kind: str) -> None:
    """As one is that was made before the CRD gave new objects a status: kstatus would take it for current."""
    old: Object = {"apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": {"generation": 1}, "spec": {}}
    assert (argo_as_kstatus(old), flux(old)) == ("InProgress", "InProgress")
