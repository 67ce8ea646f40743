"""The folder of keys: whole whoever dies when, one ring whoever comes first, and readable by the server alone."""

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast_authserver.keys.folder_store import FolderStore
from holdfast_authserver.keys.signing_key import SigningKeyError
from tests.authserver.keys.processes import RACERS
from tests.authserver.keys.rings import START, book_file, ring_in
from tests.authserver.running import MovingClock

_ROOT = Path(__file__).parents[3]
RECORDED = Path(__file__).parent / "recorded"
RECORDED_INSTANCE = "4f0c7d5a9b2e4d61a8c3f7e6b5d40912"
"""A folder as a server left it that kept one key: made by that server, together with a token that it signed."""


def _run(what: str, folder: Path, days: float) -> list[str]:
    command = [sys.executable, "-m", "tests.authserver.keys.processes", what, str(folder)]
    now = (START + timedelta(days=days)).isoformat()
    done = subprocess.run([*command, now], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.parametrize("begun", [False, True], ids=["first start", "rotation"])
async def test_processes_that_come_at_the_same_moment_end_with_one_ring(tmp_path: Path, begun: bool) -> None:
    """(J-08)."""
    if begun:
        await ring_in(tmp_path, MovingClock(START)).refresh()

    books = _run("race", tmp_path, days=30.5)

    assert len(books) == RACERS
    assert len(set(books)) == 1
    assert len(books[0].split()) == (6 if begun else 4)


async def test_a_process_that_dies_in_the_middle_of_a_rotation_harms_nothing(tmp_path: Path) -> None:
    """Before each single file operation (J-08)."""
    begin = tmp_path / "begin"
    await ring_in(begin, MovingClock(START)).refresh()
    known = book_file(begin).read_bytes()
    deaths = int(_run("die", tmp_path, days=30.5)[0])

    assert deaths >= 5, deaths
    for number in range(1, deaths + 1):
        place = tmp_path / str(number)
        ring = ring_in(place, MovingClock(START + timedelta(days=30.5)))
        died_with = book_file(place).read_bytes()
        await ring.refresh()
        assert died_with == known or len(ring.published()) == 3
        assert {file.name for file in place.iterdir()} == {".lock", book_file(place).name}


async def test_an_upgrade_that_dies_in_the_middle_keeps_the_key(tmp_path: Path) -> None:
    """(J-08)."""
    shutil.copytree(RECORDED, tmp_path / "begin", ignore=shutil.ignore_patterns("*.jwt"))
    for file in (tmp_path / "begin").iterdir():
        file.rename(file.with_name("signing-one.pem"))
    token = (RECORDED / "token.jwt").read_text().strip()
    deaths = int(_run("die", tmp_path, days=0)[0])

    assert deaths >= 5, deaths
    for number in range(1, deaths + 1):
        place = tmp_path / str(number)
        ring = ring_in(place, MovingClock(START))
        await ring.refresh()
        key = ring.key_of(token)
        assert key is not None
        assert key.verified_payload(token) is not None
        assert {file.name for file in place.iterdir()} == {".lock", book_file(place).name}


async def test_an_upgraded_server_keeps_its_key_and_tokens_stay_valid(tmp_path: Path) -> None:
    """(J-08)."""
    shutil.copytree(RECORDED, tmp_path, dirs_exist_ok=True)
    token = (tmp_path / "token.jwt").read_text().strip()
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock, RECORDED_INSTANCE)
    await ring.refresh()

    key = ring.key_of(token)

    assert key is not None
    assert key.verified_payload(token) is not None
    assert ring.signing() is key
    assert not (tmp_path / f"signing-{RECORDED_INSTANCE}.pem").exists()
    assert ring.unseal(ring.seal(b"x")) == b"x"
    again = ring_in(tmp_path, clock, RECORDED_INSTANCE)
    await again.refresh()
    assert again.book == ring.book


async def test_instances_have_rings_of_their_own_and_keep_them(tmp_path: Path) -> None:
    clock = MovingClock(START)
    kids = []
    for instance in ("one", "two", "one"):
        ring = ring_in(tmp_path / "keys", clock, instance)
        await ring.refresh()
        kids.append(ring.signing().kid)

    assert kids[0] == kids[2] != kids[1]


async def test_a_ring_counts_for_nothing_once_another_instance_is_served(tmp_path: Path) -> None:
    instance = "one"
    ring = ring_in(tmp_path, MovingClock(START))
    ring = type(ring)(FolderStore(tmp_path), MovingClock(START), instance=lambda: instance)
    await ring.refresh()
    earlier, token = ring.signing(), ring.seal(b"x")

    instance = "two"

    assert (ring.find(earlier.kid), ring.key_of(earlier.sign(b"{}")), ring.unseal(token), ring.published()) == (
        None,
        None,
        None,
        (),
    )
    with pytest.raises(SigningKeyError, match="two"):
        ring.signing()
    await ring.refresh()
    assert ring.signing().kid != earlier.kid


async def test_files_are_readable_by_the_server_alone(tmp_path: Path) -> None:
    await ring_in(tmp_path / "keys", MovingClock(START)).refresh()

    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for another user")
async def test_what_root_writes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1234)
    await ring_in(tmp_path, MovingClock(START)).refresh()

    assert {(found.st_uid, found.st_gid) for found in map(Path.stat, [tmp_path / ".lock", book_file(tmp_path)])} == {
        (1234, 1234)
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        b"{}",
        b"[]",
        b'{"version": 2}',
        b'{"version":1,"instance":"one","keys":[1],"retired":[]}',
        b'{"version":1,"instance":"two","keys":[],"retired":[]}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:40]),
)
async def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    book_file(tmp_path).write_bytes(content)

    with pytest.raises(SigningKeyError, match=str(book_file(tmp_path))):
        await ring_in(tmp_path, MovingClock(START)).refresh()
    assert book_file(tmp_path).read_bytes() == content


async def test_any_half_of_a_file_is_refused(tmp_path: Path) -> None:
    await ring_in(tmp_path, MovingClock(START)).refresh()
    whole = book_file(tmp_path).read_bytes()
    for length in range(0, len(whole), 37):
        book_file(tmp_path).write_bytes(whole[:length])
        with pytest.raises(SigningKeyError):
            await ring_in(tmp_path, MovingClock(START)).refresh()


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
async def test_a_broken_key_of_the_earlier_form_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "signing-one.pem"
    path.write_bytes(content)

    with pytest.raises(SigningKeyError, match=str(path)):
        await ring_in(tmp_path, MovingClock(START)).refresh()
    assert path.read_bytes() == content
    assert not book_file(tmp_path).exists()


@pytest.mark.parametrize("instance", ["", "../x", "a/b", "a" * 65])
async def test_an_instance_that_is_no_file_name_is_refused(tmp_path: Path, instance: str) -> None:
    with pytest.raises(SigningKeyError):
        await ring_in(tmp_path, MovingClock(START), instance).refresh()


async def test_keys_that_are_gone_while_in_use_are_not_replaced_silently(tmp_path: Path) -> None:
    ring = ring_in(tmp_path, MovingClock(START))
    await ring.refresh()
    current = ring.signing()
    book_file(tmp_path).unlink()

    with pytest.raises(SigningKeyError, match="gone"):
        await ring.refresh()
    assert ring.signing() is current
    assert not book_file(tmp_path).exists()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SigningKeyError, match=str(tmp_path / "file")):
        await ring_in(tmp_path / "file" / "keys", MovingClock(START)).refresh()
