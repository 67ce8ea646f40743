"""Every sample, alone in a folder, does in `holdfast dev` what its first lines say."""

import shutil
from pathlib import Path

import pytest

from holdfast.clock import system_clock
from holdfast_cli.local.composition import LocalOptions, LocalPlane
from holdfast_cli.local.data_folder import Ports
from tests.core.api.manifests import QUICKSTART, SAMPLES, name_of, own_documents

NOT_READY = {
    "oauthclient-all-options": {"ledger": "CertificateInvalid"},  # its anchor is a partner's, as its first lines say
    "oauthclient-suspended": {"returns": "Suspended"},
}


@pytest.mark.parametrize("path", [*SAMPLES, QUICKSTART], ids=name_of)
async def test_a_sample_alone_is_ready_and_its_policies_accepted(path: Path, tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    shutil.copy(path, tmp_path / "manifests")
    plane = LocalPlane(LocalOptions(root=tmp_path / "manifests", data=tmp_path / "data", ports=Ports(0, 0)), system_clock)
    plane.hold()
    await plane.start()
    try:
        report = await plane.report()
    finally:
        await plane.stop()
    declared = [obj["metadata"]["name"] for obj in own_documents(path)]

    shown = [client.name for client in report.clients] + [policy.name for policy in report.policies]

    assert sorted(shown) == sorted(declared)
    expected = {row.name: "Ready" for row in report.clients} | NOT_READY.get(path.stem, {})
    assert {row.name: row.reason for row in report.clients} == expected
    assert all(row.accepted for row in report.policies)
    assert report.problems == ()
