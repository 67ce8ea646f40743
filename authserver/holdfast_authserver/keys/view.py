"""Which key does what at a moment: a book of keys, read by the clock.

Owns the choice of the key in use. Pure but for the keys that are loaded, which are kept from one view to the next.
Neighbours: `rotation` decides when keys change hands, `ring` asks for a view when time or the book has moved on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast_authserver.keys import sealing_key
from holdfast_authserver.keys.book import KeyBook, KeyRecord
from holdfast_authserver.keys.sealing_key import SealingKey
from holdfast_authserver.keys.signing_key import SigningKey

_ALWAYS = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedKeys:
    """The keys of a book, ready for use. By `kid`."""

    signing: Mapping[str, SigningKey]
    sealing: Mapping[str, SealingKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """True from `since` until just before `until`. `current`: algorithm to the record in use."""

    instance: str
    since: datetime
    until: datetime
    current: Mapping[str, KeyRecord]
    default: KeyRecord | None
    published: tuple[SigningKey, ...]


def load(book: KeyBook, before: LoadedKeys | None = None) -> LoadedKeys:
    """Raises ValueError, which names the key. What `before` holds is taken from it: reading an RSA key is slow."""
    known_signing = {} if before is None else before.signing
    known_sealing = {} if before is None else before.sealing
    return LoadedKeys(
        signing={k.kid: known_signing.get(k.kid) or k.signing_key() for k in book.keys if not k.seals},
        sealing={k.kid: known_sealing.get(k.kid) or k.sealing_key(book.instance) for k in book.keys if k.seals},
    )


def view_at(book: KeyBook, loaded: LoadedKeys, algorithms: tuple[str, ...], at: datetime) -> View:
    """What holds at `at`."""
    switches = sorted({key.active_from for key in book.keys})
    current = {a: keys[-1] for a in book.algorithms if (keys := [k for k in book.of(a) if k.active_from <= at])}
    return View(
        instance=book.instance,
        since=max((moment for moment in switches if moment <= at), default=_ALWAYS),
        until=min((moment for moment in switches if moment > at), default=_NEVER),
        current=current,
        default=_default(current, algorithms),
        published=_published(book, loaded, algorithms),
    )


def _default(current: Mapping[str, KeyRecord], algorithms: tuple[str, ...]) -> KeyRecord | None:
    """The first algorithm's; the one before it for as long as a new first one is not published for long enough."""
    for algorithm in algorithms:
        if algorithm in current:
            return current[algorithm]
    others = [key for key in current.values() if key.algorithm != sealing_key.ALGORITHM]
    return max(others, key=lambda key: key.active_from, default=None)


def _published(book: KeyBook, loaded: LoadedKeys, algorithms: tuple[str, ...]) -> tuple[SigningKey, ...]:
    order = (*algorithms, *(a for a in book.algorithms if a not in algorithms and a != sealing_key.ALGORITHM))
    return tuple(loaded.signing[key.kid] for algorithm in order for key in book.of(algorithm))
