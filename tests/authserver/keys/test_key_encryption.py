"""Keys at rest: encrypted for one registry instance, read with the right key only, and never begun anew in silence."""

import base64
import json
import os
import shutil
from pathlib import Path

import pytest

from holdfast_authserver.keys.envelope import Envelope
from holdfast_authserver.keys.opening import read_envelope
from holdfast_authserver.keys.signing_key import SigningKeyError
from holdfast_authserver.settings import Settings
from tests.authserver.keys.rings import START, book_file, ring_in
from tests.authserver.keys.test_key_folder import RECORDED, RECORDED_INSTANCE
from tests.authserver.running import MovingClock

KEY, OTHER = os.urandom(32), os.urandom(32)


async def _begun(folder: Path, envelope: Envelope) -> bytes:
    await ring_in(folder, MovingClock(START), envelope=envelope).refresh()
    return book_file(folder).read_bytes()


async def test_nothing_of_a_key_can_be_read_from_the_file(tmp_path: Path) -> None:
    value = await _begun(tmp_path, Envelope(key=KEY))
    ring = ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=KEY))
    await ring.refresh()

    for record in ring.book.keys:
        for secret in (record.secret, base64.b64encode(record.secret)):
            assert secret not in value
            assert secret not in base64.b64decode(json.loads(value)["ciphertext"])
    assert json.loads(value).keys() == {"encryption", "key", "nonce", "ciphertext"}


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [(Envelope(key=OTHER), "another key"), (Envelope(), "is encrypted; set key_encryption_key")],
    ids=["another key", "no key"],
)
async def test_the_wrong_key_is_one_clear_line_and_no_new_ring(tmp_path: Path, envelope: Envelope, expected: str) -> None:
    value = await _begun(tmp_path, Envelope(key=KEY))

    with pytest.raises(SigningKeyError, match=expected) as refused:
        await ring_in(tmp_path, MovingClock(START), envelope=envelope).refresh()
    assert str(book_file(tmp_path)) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert book_file(tmp_path).read_bytes() == value


@pytest.mark.parametrize("member", ["nonce", "ciphertext"])
async def test_a_changed_octet_is_noticed(tmp_path: Path, member: str) -> None:
    value = json.loads(await _begun(tmp_path, Envelope(key=KEY)))
    raw = bytearray(base64.b64decode(value[member]))
    raw[5] ^= 1
    book_file(tmp_path).write_text(json.dumps(value | {member: base64.b64encode(raw).decode()}))

    with pytest.raises(SigningKeyError, match="damaged"):
        await ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=KEY)).refresh()


async def test_the_keys_of_another_instance_are_refused_under_the_same_encryption_key(tmp_path: Path) -> None:
    await _begun(tmp_path, Envelope(key=KEY))
    book_file(tmp_path).rename(book_file(tmp_path, "two"))

    with pytest.raises(SigningKeyError, match="keys-two"):
        await ring_in(tmp_path, MovingClock(START), "two", envelope=Envelope(key=KEY)).refresh()


async def test_an_earlier_encryption_key_is_read_and_the_new_one_used(tmp_path: Path) -> None:
    await _begun(tmp_path, Envelope(key=KEY))
    changing = ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=OTHER, previous=KEY))
    await changing.refresh()
    after = ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=OTHER))
    await after.refresh()

    assert after.book == changing.book


async def test_servers_in_the_middle_of_such_a_change_do_not_write_in_turns(tmp_path: Path) -> None:
    await _begun(tmp_path, Envelope(key=KEY))
    done = ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=OTHER, previous=KEY))
    waiting = ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=KEY, previous=OTHER))
    for ring in (done, waiting, done, waiting):
        await ring.refresh()
    value = book_file(tmp_path).read_bytes()
    for ring in (done, waiting, done, waiting):
        await ring.refresh()

    assert book_file(tmp_path).read_bytes() == value


async def test_what_is_not_encrypted_is_taken_only_where_that_is_said(tmp_path: Path) -> None:
    plain = await _begun(tmp_path, Envelope())

    with pytest.raises(SigningKeyError, match="key_encryption_key_previous: none"):
        await ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=KEY)).refresh()
    assert book_file(tmp_path).read_bytes() == plain
    encrypted = await _begun(tmp_path, Envelope(key=KEY, plain=True))
    assert "ciphertext" in json.loads(encrypted)
    assert await _begun(tmp_path, Envelope(key=KEY)) == encrypted


async def test_a_key_of_the_earlier_form_is_encrypted_where_that_is_said(tmp_path: Path) -> None:
    shutil.copytree(RECORDED, tmp_path, dirs_exist_ok=True)
    pem = tmp_path / f"signing-{RECORDED_INSTANCE}.pem"
    clock = MovingClock(START)

    with pytest.raises(SigningKeyError, match="is not encrypted"):
        await ring_in(tmp_path, clock, RECORDED_INSTANCE, envelope=Envelope(key=KEY)).refresh()
    assert pem.exists()
    ring = ring_in(tmp_path, clock, RECORDED_INSTANCE, envelope=Envelope(key=KEY, plain=True))
    await ring.refresh()
    assert ring.key_of((tmp_path / "token.jwt").read_text()) is not None
    assert not pem.exists()


async def test_no_private_part_is_shown_by_anything(tmp_path: Path) -> None:
    """(S-09)."""
    ring = ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=KEY, previous=OTHER))
    ring = ring_in(tmp_path, MovingClock(START), envelope=Envelope(key=KEY), algorithms=("ES256", "EdDSA", "PS256", "RS256"))
    await ring.refresh()
    shown = repr(
        (ring, ring.book, ring.published(), [key.jwk for key in ring.published()], Envelope(key=KEY, previous=OTHER))
    )

    for secret in (KEY, OTHER, *(record.secret for record in ring.book.keys)):
        for form in (repr(secret)[2:-1], base64.b64encode(secret).decode(), secret.hex()):
            assert form not in shown
    assert all({"d", "p", "q", "dp", "dq", "qi", "k"}.isdisjoint(key.jwk) for key in ring.published())


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _envelope(**settings: str) -> Envelope:
    return read_envelope(Settings.model_validate(settings).key_options)


def test_the_settings_name_key_file_and_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(_base64(KEY) + "\n")

    from_file = _envelope(key_encryption_key_file=str(tmp_path / "key"), key_encryption_key_previous=_base64(OTHER))

    assert from_file == Envelope(key=KEY, previous=OTHER)
    assert _envelope(key_encryption_key=_base64(KEY)) == Envelope(key=KEY)
    assert _envelope(key_encryption_key=_base64(KEY), key_encryption_key_previous="none").plain
    assert _envelope() == Envelope()
    assert _base64(KEY) not in repr(Settings.model_validate({"key_encryption_key": _base64(KEY)}))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"key_encryption_key": "c2hvcnQ="}, "key_encryption_key: expected 32 octets"),
        ({"key_encryption_key": "no base64!"}, "key_encryption_key: expected 32 octets"),
        ({"key_encryption_key_file": "/does/not/exist"}, "key_encryption_key_file: /does/not/exist: No such file"),
        ({"key_encryption_key_previous": "none"}, "key_encryption_key_previous: expected key_encryption_key"),
        ({"key_encryption_key": "x", "key_encryption_key_file": "y"}, "expected one of them, found both"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, str], expected: str) -> None:
    with pytest.raises(SigningKeyError, match=expected):
        _envelope(**settings)
