"""Access tokens verify with jose, which most APIs in JavaScript use: every algorithm, and across a rotation."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from holdfast_authserver.keys.algorithms import ALGORITHMS
from holdfast_authserver.keys.signing_key import SigningKey
from tests.authserver.running import RunningServer, client, running

_JOSE = "jose@6.2.1"
_SCRIPT = Path(__file__).with_name("verify_with_jose.mjs")
_CACHE = Path(os.environ.get("HOLDFAST_CACHE") or Path.home() / ".cache" / "holdfast") / _JOSE.replace("@", "-")

pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None or shutil.which("node") is None, reason="npm and node are needed to run jose"
)


@pytest.fixture(scope="module")
def jose() -> Path:
    """The script beside an installed jose; npm fetches it once."""
    if not (_CACHE / "node_modules" / "jose").exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        (_CACHE / "package.json").write_text('{"private": true, "type": "module"}\n')
        options = ["--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--package-lock=false"]
        subprocess.run(["npm", "install", *options, _JOSE], cwd=_CACHE, check=True, timeout=100)
    return Path(shutil.copy(_SCRIPT, _CACHE))


def _verified(jose: Path, question: dict[str, Any]) -> Any:
    done = subprocess.run(["node", jose], input=json.dumps(question), capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


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
        answers = await asyncio.to_thread(_verified, jose, question)

        assert answers == ["shop.orders", "ERR_JWKS_NO_MATCHING_KEY", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"], algorithm
