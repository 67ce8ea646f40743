"""Opaque tokens: they say nothing, nobody but the ring that sealed one opens it, and no text breaks the reader."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_authserver.keys import rotation, sealing_key
from holdfast_authserver.keys.rotation import Times
from holdfast_authserver.keys.sealing_key import PREFIX, SealingKey
from tests.authserver.keys.rings import START, book_file, ring_in
from tests.authserver.running import MovingClock

KID, SECRET = SealingKey.generate()
KEY = SealingKey(KID, SECRET, "one")


@pytest.mark.parametrize(
    ("key", "associated", "sealed"),
    [
        (b"\1" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\3" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_the_cipher_is_the_one_that_is_specified(key: bytes, associated: bytes, sealed: str) -> None:
    """The test vectors of c2sp.org/XAES-256-GCM."""
    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    cipher = SealingKey(KID, key, "one").cipher(nonce[:12])

    assert cipher.encrypt(nonce[12:], b"XAES-256-GCM", associated).hex() == sealed


async def test_what_was_sealed_opens_in_every_process_of_the_instance(tmp_path: Path) -> None:
    clock = MovingClock(START)
    ring, other = ring_in(tmp_path, clock), ring_in(tmp_path, clock)
    await ring.refresh()
    await other.refresh()

    token = ring.seal(b"claims")

    assert other.unseal(token) == b"claims"
    assert token.startswith(PREFIX)
    assert ring.seal(b"claims") != token
    assert b"claims" not in base64.urlsafe_b64decode(token.removeprefix(PREFIX) + "==")


async def test_another_instance_does_not_open_it(tmp_path: Path) -> None:
    """Not even with the same key: the instance is bound in."""
    ring, other = ring_in(tmp_path, MovingClock(START)), ring_in(tmp_path, MovingClock(START), "two")
    await ring.refresh()
    await other.refresh()

    assert other.unseal(ring.seal(b"claims")) is None
    body = sealing_key.parts(KEY.seal(b"claims"))
    assert body is not None
    assert SealingKey(KID, SECRET, "two").unseal(body[1]) is None


def test_each_changed_character_is_noticed() -> None:
    token = KEY.seal(b"claims")
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        found = sealing_key.parts(changed)
        assert found is None or found[0] != KID or KEY.unseal(found[1]) is None, place


def test_a_token_has_one_text() -> None:
    token = KEY.seal(b"claims")  # 12 + 24 + 6 + 16 octets: two bits of the last character say nothing
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(token[-1])
    twin = token[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]

    assert sealing_key.parts(twin) is None
    assert sealing_key.parts(token + "==") is None


@given(st.text() | st.text().map(PREFIX.__add__) | st.binary().map(lambda b: PREFIX + base64.urlsafe_b64encode(b).decode()))
def test_no_text_breaks_the_reader(text: str) -> None:
    found = sealing_key.parts(text)

    assert found is None or KEY.unseal(found[1]) is None


async def test_sealed_tokens_outlive_a_rotation_and_end_with_their_key(tmp_path: Path) -> None:
    """(J-08)."""
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    token = ring.seal(b"claims")
    clock.move(hours=1)
    await ring.change(lambda book: rotation.promoted(book, clock.now, ring.times))

    rotated = ring.unseal(token), ring.seal(b"x")[: len(PREFIX) + 16] != token[: len(PREFIX) + 16]
    clock.now += Times().kept
    await ring.refresh()

    assert rotated == (b"claims", True)
    assert ring.unseal(token) is None


async def test_a_retired_sealing_key_opens_nothing(tmp_path: Path) -> None:
    ring = ring_in(tmp_path, MovingClock(START))
    await ring.refresh()
    token = ring.seal(b"claims")
    kid = ring.book.of(sealing_key.ALGORITHM)[0].kid

    await ring.change(lambda book: rotation.without(book, kid, START, ring.times))

    assert ring.unseal(token) is None
    assert ring.unseal(ring.seal(b"more")) == b"more"
    assert book_file(tmp_path).exists()


async def test_a_ring_that_was_not_read_opens_nothing(tmp_path: Path) -> None:
    assert ring_in(tmp_path, MovingClock(START)).unseal(KEY.seal(b"x")) is None
