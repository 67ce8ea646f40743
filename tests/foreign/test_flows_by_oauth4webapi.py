"""A strict client library of another world finds the server, gets, introspects and revokes a bound token."""

import asyncio
from pathlib import Path

import pytest

from tests.authserver.running import client, running
from tests.core.x509.authority import Issued
from tests.foreign.npm import ask, needs_npm, script_beside

pytestmark = needs_npm


@pytest.fixture(scope="module")
def oauth4webapi() -> Path:
    """The script beside an installed oauth4webapi."""
    return script_beside("oauth4webapi@3.8.2", Path(__file__).with_name("read_with_oauth4webapi.mjs"))


def _pems(issued: Issued, folder: Path) -> dict[str, str]:
    return {name: Path(path).read_text() for name, path in zip(("cert", "key"), issued.write(folder), strict=True)}


@pytest.mark.parametrize("algorithm", ["oauth2", "oidc"])
async def test_oauth4webapi_goes_from_the_issuer_to_a_bound_token_and_back(
    oauth4webapi: Path, algorithm: str, tmp_path: Path
) -> None:
    """Both well-known documents satisfy a strict reader, and so does every answer (S-01, S-02, M-66, M-67, I-04, V-03)."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        question = {
            "issuer": server.issuer,
            "clientId": "shop.orders",
            "algorithm": algorithm,
            "ca": server.server_ca.pem.decode(),
            **_pems(certificate, tmp_path / "client"),
        }
        answer = await asyncio.to_thread(ask, oauth4webapi, question)

    assert answer["issuer"] == server.issuer
    assert answer["token_type"] == "bearer"
    assert answer["active"]["cnf"] == {"x5t#S256": certificate.certificate.x5t_s256}
    assert answer["inactive"] == {"active": False}
