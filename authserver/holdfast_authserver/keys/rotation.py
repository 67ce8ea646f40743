"""How a book of keys changes with time and by command, as functions of values.

Owns the rule of rotation: in each algorithm there is a key in use and a next one, which everybody has seen for `publication`
before it is used; one that was in use stays until the last token it made has ended. Must not know stores or processes:
all of them compute the same from the same book. Neighbours: `book`, and `view`, which reads what is decided here.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from holdfast_authserver.keys import sealing_key
from holdfast_authserver.keys.book import KeyBook, KeyRecord, RetiredKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When keys change hands.

    `longest_token`: the longest life a token can be given. `margin`: how far clocks may be apart, and how long a process
    that has lost the store may go on with what it knew.
    """

    rotation: timedelta = timedelta(days=30)
    publication: timedelta = timedelta(hours=1)
    longest_token: timedelta = timedelta(hours=24)
    margin: timedelta = timedelta(minutes=10)

    @property
    def kept(self) -> timedelta:
        """For how long after its last use a key is still accepted."""
        return self.longest_token + self.margin


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that has to be made."""

    algorithm: str
    active_from: datetime


class TooEarly(Exception):
    """The next key has not been published for long enough. `usable_from`: when it will have been."""

    def __init__(self, kid: str, usable_from: datetime) -> None:
        self.kid = kid
        self.usable_from = usable_from
        super().__init__(f"key {kid} can be used from {usable_from:%Y-%m-%dT%H:%M:%SZ}")


def wanted_algorithms(algorithms: tuple[str, ...]) -> tuple[str, ...]:
    """Those that sign, and the one that seals."""
    return (*algorithms, sealing_key.ALGORITHM)


def missing(book: KeyBook, algorithms: tuple[str, ...], at: datetime, times: Times) -> tuple[NewKey, ...]:
    """The keys that `book` lacks: one in use where it is empty, and always a next one."""
    found: list[NewKey] = []
    for algorithm in wanted_algorithms(algorithms):
        keys = book.of(algorithm)
        if keys:
            newest = keys[-1].active_from
        elif book.keys and algorithm != sealing_key.ALGORITHM:  # an algorithm that was added: nobody has seen its key yet
            newest = at + times.publication
            found.append(NewKey(algorithm, newest))
        else:
            newest = at - times.margin  # in use at once, also where a clock is a little behind
            found.append(NewKey(algorithm, newest))
        if newest <= at:
            found.append(NewKey(algorithm, max(newest + times.rotation, at + times.publication)))
    return tuple(found)


def tidied(book: KeyBook, algorithms: tuple[str, ...], at: datetime, times: Times) -> KeyBook:
    """Without keys whose tokens have ended, and with a shorter `rotation` taken up. The same object when nothing changes."""
    gone = {
        key.kid for algorithm in book.algorithms for key in _ended(book.of(algorithm), algorithm in algorithms, at, times)
    }
    keys = tuple(
        _pulled(key, book, at, times) if key.algorithm in wanted_algorithms(algorithms) else key for key in book.keys
    )
    keys = tuple(key for key in keys if key.kid not in gone)
    retired = tuple(r for r in book.retired if r.retired_at + times.kept > at)
    return book if (keys, retired) == (book.keys, book.retired) else replace(book, keys=keys, retired=retired)


def _ended(keys: tuple[KeyRecord, ...], wanted: bool, at: datetime, times: Times) -> list[KeyRecord]:
    ended = [key for key, successor in pairwise(keys) if successor.active_from + times.kept <= at]
    # An algorithm that is set nowhere gets no successor. Whoever still has it set would have made one in time.
    abandoned = keys[-1].active_from + times.rotation + times.kept <= at and not wanted and not keys[-1].seals
    return list(keys) if abandoned else ended


def _pulled(key: KeyRecord, book: KeyBook, at: datetime, times: Times) -> KeyRecord:
    """A next key comes earlier when `rotation` was made shorter; never later, so that two settings cannot quarrel."""
    before = [other for other in book.of(key.algorithm) if other.active_from < key.active_from]
    if key.active_from <= at or not before:
        return key
    due = max(before[-1].active_from + times.rotation, key.created_at + times.publication, at)
    return replace(key, active_from=min(key.active_from, due))


def promoted(book: KeyBook, at: datetime, times: Times, *, unpublished: bool = False) -> KeyBook:
    """Every next key is in use from now on.

    Raises TooEarly when one has not been published for long enough, unless `unpublished` says that it does not matter.
    """
    keys = []
    for key in book.keys:
        if key.active_from > at:
            usable_from = key.created_at + times.publication
            if usable_from > at and not unpublished:
                raise TooEarly(key.kid, usable_from)
            key = replace(key, active_from=at)
        keys.append(key)
    return replace(book, keys=tuple(keys))


def without(book: KeyBook, kid: str, at: datetime, times: Times) -> KeyBook:
    """As though `kid` had never been; where it was in use, the next key takes its place at once. Raises KeyError."""
    lost = next((key for key in book.keys if key.kid == kid), None)
    if lost is None:
        raise KeyError(kid)
    keys = tuple(key for key in book.keys if key.kid != kid)
    rest = replace(book, keys=keys, retired=(*book.retired, RetiredKey(kid, lost.algorithm, at)))
    others = rest.of(lost.algorithm)
    in_use = [key for key in book.of(lost.algorithm) if key.active_from <= at]
    heir = next((key for key in others if key.active_from > lost.active_from), None)
    if not in_use or in_use[-1] != lost or heir is None:
        return rest
    # Not from now but from a little before, so that a server whose clock is behind has a key, too.
    start = max(lost.active_from, at - times.margin)
    return replace(rest, keys=tuple(replace(key, active_from=start) if key == heir else key for key in keys))
