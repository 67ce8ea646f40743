"""Access tokens verify with jose, which most APIs in JavaScript use: every algorithm, and across a rotation."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from holdfast_authserver.keys.algorithms import ALGORITHMS
from holdfast_authserver.keys.signing_key import SigningKey
from tests.authserver.running import RunningServer, client, running
from tests.foreign.npm import ask, needs_npm, script_beside

pytestmark = needs_npm


@pytest.fixture(scope="module")
def jose() -> Path:
    """The script beside an installed jose."""
    return script_beside("jose@6.2.1", Path(__file__).with_name("verify_with_jose.mjs"))


async def _keys(server: RunningServer) -> Any:
    async with server.http() as http:
        return (await http.get(f"{server.issuer}/oauth2/jwks")).json()["keys"]


async def test_tokens_of_every_algorithm_verify_with_jose(jose: Path, tmp_path: Path) -> None:
    """What the key set shows is enough; the key that has not signed yet harms nothing (J-01, J-08, S-09)."""
    for algorithm in ALGORITHMS:
        folder = tmp_path / algorithm
        async with running(folder, signing_algorithms=(algorithm,)) as server:
            await server.put(client(anchors=[server.ca]))
            issued = await server.token(server.certificate())
            question = {
                "issuer": server.issuer,
                "keys": await _keys(server),
                "tokens": [
                    issued.json()["access_token"],
                    SigningKey.generate(algorithm).sign(b"{}"),
                    issued.json()["access_token"][:-8] + "AAAAAAAA",
                ],
            }
        answers = await asyncio.to_thread(ask, jose, question)

        assert answers == ["shop.orders", "ERR_JWKS_NO_MATCHING_KEY", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"], algorithm
