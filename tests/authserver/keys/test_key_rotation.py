"""How the ring moves with time and by command: nothing is signed with a key that others cannot know yet."""

from pathlib import Path

import pytest

from holdfast_authserver.keys import rotation
from holdfast_authserver.keys.rotation import Times, TooEarly
from holdfast_authserver.keys.signing_key import SigningKey, SigningKeyError
from tests.authserver.keys.rings import DAY, HOUR, START, ring_in
from tests.authserver.running import MovingClock


def _kids(keys: tuple[SigningKey, ...]) -> list[str]:
    return [key.kid for key in keys]


async def test_the_next_key_is_published_before_it_is_used(tmp_path: Path) -> None:
    """(J-08)."""
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    first, following = ring.published()

    clock.move(days=29)
    await ring.refresh()
    before = ring.signing().kid
    clock.move(days=1)
    after = ring.signing().kid

    assert (before, after) == (first.kid, following.kid)


async def test_the_earlier_key_stays_until_its_last_token_has_ended(tmp_path: Path) -> None:
    """(J-08)."""
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    first = ring.signing()
    clock.now = ring.book.of("ES256")[1].active_from
    await ring.refresh()

    clock.now += Times().kept - HOUR
    await ring.refresh()
    kept = ring.find(first.kid), first in ring.published()
    clock.now += HOUR
    await ring.refresh()

    assert kept == (first, True)
    assert ring.find(first.kid) is None
    assert first not in ring.published()


async def test_a_key_is_never_used_before_it_was_published_for_long_enough(tmp_path: Path) -> None:
    """However late the process that rotates wakes up (J-08)."""
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    for days in (31, 90, 0.5, 29, 400, 30):
        clock.move(days=days)
        await ring.refresh()
        for algorithm in ring.book.algorithms:
            newest = ring.book.of(algorithm)[-1]
            assert newest.active_from > clock.now
            assert newest.active_from - newest.created_at >= HOUR
    assert len(ring.book.of("ES256")) <= 3


async def test_a_process_that_was_cut_off_signs_nothing_until_it_has_read_the_ring_again(tmp_path: Path) -> None:
    """(J-08)."""
    passed = 0.0
    clock = MovingClock(START)
    late = ring_in(tmp_path, clock, elapsed=lambda: passed)
    await late.refresh()
    other = ring_in(tmp_path, clock)
    for _ in range(3):  # other processes rotate until nobody knows the keys of the late one
        clock.move(days=30)
        await other.refresh()
    passed = 3 * 30 * DAY.total_seconds()

    with pytest.raises(SigningKeyError, match="not read for 7776000 seconds"):
        late.signing()
    with pytest.raises(SigningKeyError):
        late.seal(b"x")
    await late.refresh()
    assert late.signing().kid == other.signing().kid


async def test_rotating_by_command_needs_a_published_key(tmp_path: Path) -> None:
    """(J-08)."""
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    following = ring.published()[1].kid

    with pytest.raises(TooEarly) as refused:
        await ring.change(lambda book: rotation.promoted(book, clock.now, ring.times))
    clock.move(hours=1)
    await ring.change(lambda book: rotation.promoted(book, clock.now, ring.times))

    assert refused.value.usable_from == START + HOUR
    assert ring.signing().kid == following
    assert len(ring.published()) == 3


async def test_an_emergency_does_not_wait(tmp_path: Path) -> None:
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    following = ring.published()[1].kid

    await ring.change(lambda book: rotation.promoted(book, clock.now, ring.times, unpublished=True))

    assert ring.signing().kid == following


async def test_a_retired_key_counts_no_more_and_the_next_takes_its_place(tmp_path: Path) -> None:
    clock = MovingClock(START)
    ring, other = ring_in(tmp_path, clock), ring_in(tmp_path, clock)
    await ring.refresh()
    await other.refresh()
    stolen, heir = ring.published()
    clock.move(days=2)

    await ring.change(lambda book: rotation.without(book, stolen.kid, clock.now, ring.times))
    await other.refresh()

    for each in (ring, other):
        assert each.find(stolen.kid) is None
        assert each.key_of(stolen.sign(b"{}")) is None
        assert stolen.kid not in _kids(each.published())
        assert each.signing().kid == heir.kid
    clock.move(seconds=-60)  # a server whose clock is behind has a key as well
    assert other.signing().kid == heir.kid


async def test_a_retired_next_key_is_replaced_by_one_that_is_published_first(tmp_path: Path) -> None:
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    current, following = ring.published()
    clock.move(days=29.99)

    await ring.change(lambda book: rotation.without(book, following.kid, clock.now, ring.times))

    assert ring.signing().kid == current.kid
    assert ring.book.of("ES256")[-1].active_from == clock.now + HOUR
    assert following.kid not in _kids(ring.published())


async def test_retiring_what_is_no_key_changes_nothing(tmp_path: Path) -> None:
    ring = ring_in(tmp_path, MovingClock(START))
    await ring.refresh()

    with pytest.raises(KeyError):
        await ring.change(lambda book: rotation.without(book, "x", START, ring.times))
    assert len(ring.published()) == 2


async def test_an_algorithm_that_was_added_signs_only_when_its_key_was_published(tmp_path: Path) -> None:
    """(J-08)."""
    clock = MovingClock(START)
    earlier = ring_in(tmp_path, clock)
    await earlier.refresh()
    ring = ring_in(tmp_path, clock, algorithms=("EdDSA",))
    await ring.refresh()

    before = ring.signing().algorithm, [key.algorithm for key in ring.published()]
    with pytest.raises(SigningKeyError, match="EdDSA"):
        ring.signing("EdDSA")
    clock.move(hours=1)

    assert before == ("ES256", ["EdDSA", "ES256", "ES256"])
    assert ring.signing().algorithm == ring.signing("EdDSA").algorithm == "EdDSA"
    assert ring.find(earlier.signing().kid) is not None


async def test_an_algorithm_that_nobody_has_set_any_more_ends(tmp_path: Path) -> None:
    clock = MovingClock(START)
    await ring_in(tmp_path, clock).refresh()
    ring = ring_in(tmp_path, clock, algorithms=("EdDSA",))
    for _ in range(62):
        await ring.refresh()
        clock.move(days=1)
    await ring.refresh()

    assert {key.algorithm for key in ring.published()} == {"EdDSA"}


async def test_processes_with_different_settings_do_not_quarrel(tmp_path: Path) -> None:
    clock = MovingClock(START)
    long, short = ring_in(tmp_path, clock), ring_in(tmp_path, clock, times=Times(rotation=7 * DAY))
    await long.refresh()
    await short.refresh()
    book = short.book
    await long.refresh()
    await short.refresh()

    assert long.book == short.book == book
    assert book.of("ES256")[1].active_from == book.of("ES256")[0].active_from + 7 * DAY


async def test_a_shorter_rotation_does_not_end_the_earlier_key_at_once(tmp_path: Path) -> None:
    """(J-08)."""
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    await ring.refresh()
    clock.move(days=20)
    await ring.refresh()
    current = ring.signing().kid
    short = ring_in(tmp_path, clock, times=Times(rotation=7 * DAY))

    await short.refresh()

    assert short.signing().kid != current
    assert short.find(current) is not None


async def test_each_algorithm_has_keys_of_its_own(tmp_path: Path) -> None:
    """The first signs access tokens; all are asymmetric and each `kid` stands once (J-01, S-09)."""
    ring = ring_in(tmp_path, MovingClock(START), algorithms=("PS256", "ES256", "EdDSA", "RS256"))
    await ring.refresh()

    assert ring.signing().algorithm == "PS256"
    assert [ring.signing(a).algorithm for a in ring.algorithms] == list(ring.algorithms)
    assert [key.algorithm for key in ring.published()] == [a for a in ring.algorithms for _ in range(2)]
    assert len(set(_kids(ring.published()))) == 8


async def test_the_age_is_that_of_the_key_in_use(tmp_path: Path) -> None:
    clock = MovingClock(START)
    ring = ring_in(tmp_path, clock)
    unread = ring.age(START)
    await ring.refresh()
    clock.move(days=3)

    assert (unread, ring.age(clock.now)) == (0.0, 3 * DAY.total_seconds())
