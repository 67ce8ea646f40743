"""What `holdfast keys` says about keys, as text.

Owns the words. Knows a book of keys and the time; reads and changes nothing. Neighbour: `keys`.
"""

from collections.abc import Iterator
from datetime import datetime

from holdfast_authserver.keys.book import KeyBook, KeyRecord
from holdfast_authserver.keys.rotation import Times

_HEADINGS = ("KID", "ALGORITHM", "MADE", "STATE")


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def table(book: KeyBook, at: datetime, times: Times) -> str:
    """A line for each key, in the order in which an algorithm uses them; then those that were retired."""
    rows = [_HEADINGS]
    for algorithm in book.algorithms:
        keys = book.of(algorithm)
        rows += [(k.kid, algorithm, moment(k.created_at), _state(k, keys[n + 1 :], at, times)) for n, k in enumerate(keys)]
    rows += [(r.kid, r.algorithm, "-", f"retired at {moment(r.retired_at)}") for r in book.retired]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _state(key: KeyRecord, later: tuple[KeyRecord, ...], at: datetime, times: Times) -> str:
    if key.active_from > at:
        return f"next, in use from {moment(key.active_from)}"
    started = [other for other in later if other.active_from <= at]
    return f"earlier, accepted until {moment(started[0].active_from + times.kept)}" if started else "in use"


def heir_lines(before: KeyBook, after: KeyBook, kid: str, at: datetime, times: Times) -> Iterator[str]:
    """Who takes the place of a key that was in use, and who may not know the new one yet."""
    lost = next(key for key in before.keys if key.kid == kid)
    in_use = [key for key in before.of(lost.algorithm) if key.active_from <= at]
    heirs = [key for key in after.of(lost.algorithm) if key.active_from <= at]
    if not in_use or in_use[-1] != lost or not heirs:
        return
    yield f"{heirs[-1].kid} ({lost.algorithm}) is in use from now on"
    known_from = heirs[-1].created_at + times.publication
    if known_from > at:
        yield f"it was published only at {moment(heirs[-1].created_at)}: an API may refuse it until {moment(known_from)}"
