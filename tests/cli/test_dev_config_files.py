"""`holdfast dev` gives applications the same files that a pod has from the ConfigMap of its namespace."""

import shutil
import ssl
from pathlib import Path

import httpx

from holdfast.clock import system_clock
from holdfast_cli.local.composition import LocalOptions, LocalPlane
from holdfast_cli.local.data_folder import Ports
from tests.core.api.manifests import SAMPLES


async def test_every_namespace_with_a_client_has_endpoints_and_ca_as_files(tmp_path: Path) -> None:
    manifests, data = tmp_path / "manifests", tmp_path / "data"
    manifests.mkdir()
    minimal = next(path for path in SAMPLES if path.stem == "oauthclient-minimal")
    shutil.copy(minimal, manifests)
    plane = LocalPlane(LocalOptions(root=manifests, data=data, ports=Ports(0, 0)), system_clock)
    plane.hold()
    await plane.start()
    try:
        folder = data / "config-maps" / "shop" / "holdfast"
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=folder / "ca.crt")) as http:
            keys = await http.get((folder / "jwks_uri").read_text())
        issuer = (folder / "issuer").read_text()
        report = await plane.report()
    finally:
        await plane.stop()

    assert keys.status_code == 200
    assert issuer == report.addresses.issuer
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("..")) == [
        "ca.crt", "deny_list_uri", "introspection_endpoint", "issuer", "jwks_uri", "revocation_endpoint", "token_endpoint",
    ]  # fmt: skip
