"""The keys of a running server: what it publishes, signs with, and takes back; beside a second server of the same folder."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from holdfast_authserver.server import AuthorizationServer, StartError
from tests.authserver.keys.rings import book_file
from tests.authserver.keys.test_key_folder import RECORDED, RECORDED_INSTANCE
from tests.authserver.running import RunningServer, client, running, settings_in
from tests.core.x509.authority import Authority

_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


async def _published(server: RunningServer) -> dict[str, dict[str, Any]]:
    async with server.http() as http:
        answer = await http.get(f"{server.issuer}/oauth2/jwks")
    assert answer.headers["content-type"].startswith("application/")
    return {key["kid"]: key for key in answer.json()["keys"]}


async def _token(server: RunningServer) -> str:
    issued = await server.token(server.certificate())
    assert issued.status_code == 200, issued.text
    token = issued.json()["access_token"]
    assert isinstance(token, str)
    return token


def _keys_command(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HOLDFAST_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'registry.db'}",
        "HOLDFAST_KEYS_DIR": str(folder / "keys"),
        **more,
    }
    command = [sys.executable, "-m", "holdfast_cli.main", "keys", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


async def _command(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(lambda: _keys_command(folder, *arguments, **more))


async def _until(holds: Callable[[], Awaitable[bool]], seconds: float = 1.0) -> float:
    """How long it took. Fails after `seconds`."""
    start = time.monotonic()
    while not await holds():
        assert time.monotonic() - start < seconds, "not within the time that was promised"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256", "RS256"])
async def test_a_token_verifies_with_the_published_keys(tmp_path: Path, algorithm: str) -> None:
    """`kid` leads to a key that is published, before as after it is in use, and public alone (J-01, J-08, S-09)."""
    async with running(tmp_path, signing_algorithms=(algorithm,)) as server:
        await server.put(client(anchors=[server.ca]))
        token = await _token(server)
        published = await _published(server)

    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"]) == (algorithm, "at+jwt")
    claims = jwt.decode(token, jwt.PyJWK(published[header["kid"]]), algorithms=[algorithm], options={"verify_aud": False})
    assert claims["client_id"] == "shop.orders"
    assert len(published) == 2
    for key in published.values():
        assert _PRIVATE.isdisjoint(key)
        assert key["use"] == "sig"


def _kid(token: str) -> str:
    kid = jwt.get_unverified_header(token)["kid"]
    assert isinstance(kid, str)
    return kid


async def test_a_rotation_by_command_ends_no_token(tmp_path: Path) -> None:
    """The running server signs with the key that it had published, and still knows the one before (J-08)."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        before, published = await _token(server), await _published(server)
        early = await _command(tmp_path, "rotate")
        rotated = await _command(tmp_path, "rotate", "--now")

        async def moved_on() -> bool:
            return _kid(await _token(server)) != _kid(before)

        await _until(moved_on)
        after = await _token(server)
        answers = [await server.introspect(certificate, token) for token in (before, after)]

    assert early.returncode == 1
    assert "it can be used from" in early.stderr
    assert rotated.returncode == 0, rotated.stderr
    assert _kid(after) in published
    assert [answer["active"] for answer in answers] == [True, True]


async def test_the_tokens_of_a_retired_key_are_inactive_at_every_server_within_a_second(tmp_path: Path) -> None:
    """Two servers over one folder; a stolen key that signs anew helps nobody (J-08)."""
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        certificate = server.certificate()
        token = await _token(server)
        settings = settings_in(tmp_path, server.server_ca, public_url=server.issuer, audit_log=str(tmp_path / "second.log"))
        second = AuthorizationServer(settings)
        await second.start()
        try:
            twin = RunningServer(second, server.ca, server.server_ca, tmp_path, server.term)
            active = [(await each.introspect(certificate, token))["active"] for each in (server, twin)]
            retired = await _command(tmp_path, "retire", _kid(token))

            async def refused() -> bool:
                return not any([(await each.introspect(certificate, token))["active"] for each in (server, twin)])

            await _until(refused)
            published = await _published(server)
            following = await _token(server)
            known = (await twin.introspect(certificate, following))["active"]
        finally:
            await second.stop()

    assert active == [True, True]
    assert retired.returncode == 0, retired.stderr
    assert f"{_kid(following)} (ES256) is in use from now on" in retired.stdout
    assert _kid(token) not in published
    assert known is True


async def test_an_upgraded_server_goes_on_with_the_key_it_had(tmp_path: Path) -> None:
    """(J-08)."""
    async with running(tmp_path):
        pass
    for folder in ("keys", "listener"):
        shutil.rmtree(tmp_path / folder)
    shutil.copytree(RECORDED, tmp_path / "keys")
    with sqlite3.connect(tmp_path / "registry.db") as database:
        database.execute("UPDATE instance SET id = ?", (RECORDED_INSTANCE,))
    database.close()
    token = (RECORDED / "token.jwt").read_text().strip()
    async with running(tmp_path) as server:
        await server.put(client(anchors=[server.ca]))
        issued, published = await _token(server), await _published(server)

    assert _kid(issued) == _kid(token)
    jwt.decode(
        token, jwt.PyJWK(published[_kid(token)]), algorithms=["ES256"], options={"verify_aud": False, "verify_exp": False}
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key_rotation": 600, "key_publication": 600}, "key_rotation: expected more than key_publication"),
        ({"key_encryption_key": "c2hvcnQ="}, "key_encryption_key: expected 32 octets"),
        ({"key_encryption_key_file": Path("/does/not/exist")}, "/does/not/exist"),
    ],
)
async def test_a_wrong_setting_ends_the_start_with_its_name(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(StartError, match=expected):
        await AuthorizationServer(settings_in(tmp_path, Authority.root(), **changes)).start()


async def test_damaged_keys_end_the_start_with_the_name_of_the_file(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    instance = next((tmp_path / "keys").glob("keys-*.json")).stem.removeprefix("keys-")
    book_file(tmp_path / "keys", instance).write_bytes(b"{")

    with pytest.raises(StartError, match=str(book_file(tmp_path / "keys", instance))):
        await AuthorizationServer(settings_in(tmp_path, Authority.root())).start()


async def test_the_commands_tell_what_each_key_is_for(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        published = list(await _published(server))
    listed = await _command(tmp_path, "list")
    rotated = await _command(tmp_path, "rotate", "--now")
    retired = await _command(tmp_path, "retire", published[0])
    after = await _command(tmp_path, "list")

    assert [answer.returncode for answer in (listed, rotated, retired, after)] == [0, 0, 0, 0]
    rows = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert rows[published[0]].endswith("in use")
    assert "next, in use from" in rows[published[1]]
    assert f"{published[1]}  ES256" in rotated.stdout
    assert "earlier, accepted until" in rotated.stdout
    assert "retired at" in next(line for line in after.stdout.splitlines() if line.startswith(published[0]))


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [(("retire", "nobody"), 1, "no key 'nobody'; there are"), (("list",), 0, ""), (("retire",), 2, "KID")],
)
async def test_the_commands_end_with_a_code_and_a_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    async with running(tmp_path):
        pass
    done = await _command(tmp_path, *arguments)

    assert done.returncode == code
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


async def test_without_a_registry_or_with_a_wrong_key_the_commands_say_what_is_missing(tmp_path: Path) -> None:
    nothing = await _command(tmp_path, "list")
    async with running(tmp_path, key_encryption_key="A" * 43 + "="):
        pass
    unread = await _command(tmp_path, "list")
    read = await _command(tmp_path, "list", HOLDFAST_KEY_ENCRYPTION_KEY="A" * 43 + "=")

    assert (nothing.returncode, unread.returncode, read.returncode) == (2, 2, 0)
    assert "registry.db: no such file" in nothing.stderr
    assert "is encrypted; set key_encryption_key" in unread.stderr


async def test_a_key_whose_name_begins_with_a_dash_is_a_key(tmp_path: Path) -> None:
    """Names are base64url: the command must not take one for an option."""
    async with running(tmp_path):
        pass
    answer = await _command(tmp_path, "retire", "-hGk_JuVK8ESbKjAVPuPHXyHKJGgN9Y1IPSG1M1hPq4")

    assert answer.returncode == 1
    assert "no key '-hGk_JuVK8ESbKjAVPuPHXyHKJGgN9Y1IPSG1M1hPq4'" in answer.stderr
