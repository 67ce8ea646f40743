"""The ring: what the rest of the server holds to sign, verify, seal and publish.

Owns the newest book that this process has seen, and how old that may be. Every process has its own ring over the same
store; a change is one compare-and-swap, so of two that rotate at once one finds that it is done. Neighbours: `rotation`
(what has to change), `view` (which key does what now), `follower` (calls `refresh`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from holdfast.clock import Clock, boot_time
from holdfast_authserver.keys import rotation, sealing_key
from holdfast_authserver.keys.book import KeyBook, new_record
from holdfast_authserver.keys.earlier_form import with_earlier
from holdfast_authserver.keys.envelope import Envelope
from holdfast_authserver.keys.rotation import Times
from holdfast_authserver.keys.signing_key import ACCESS_TOKEN, SigningKey, SigningKeyError
from holdfast_authserver.keys.store import KeyStore
from holdfast_authserver.keys.view import LoadedKeys, View, load, view_at

_ATTEMPTS = 20  # each lost one means that another process has made a change meanwhile

Change = Callable[[KeyBook], KeyBook]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A book as the store held it at `elapsed`, in seconds that pass whatever is done to the clock."""

    value: bytes
    book: KeyBook
    keys: LoadedKeys
    elapsed: float


class KeyRing:
    """The keys of the registry instance that is served now. `refresh` comes before any other use.

    `algorithms`: of signatures; the first signs access tokens. `instance`: asked at every use, as a lost registry is
    followed by a new one, whose ring begins anew. `stale`: for how long a ring that cannot be read again still signs.
    """

    def __init__(
        self,
        store: KeyStore,
        clock: Clock,
        *,
        instance: Callable[[], str],
        algorithms: tuple[str, ...] = ("ES256",),
        envelope: Envelope | None = None,
        times: Times | None = None,
        stale: timedelta = timedelta(minutes=5),
        elapsed: Callable[[], float] = boot_time,
    ) -> None:
        self.algorithms = algorithms
        self.times = times or Times()
        self._store = store
        self._clock = clock
        self._instance = instance
        self._envelope = envelope or Envelope()
        self._stale = stale.total_seconds()
        self._elapsed = elapsed
        self._refreshing = asyncio.Lock()
        self._seen: _Seen | None = None
        self._view: View | None = None
        self._by_header: dict[tuple[str, str], SigningKey] = {}

    # What requests need. None of it waits.

    def signing(self, algorithm: str | None = None) -> SigningKey:
        """The key in use: of the first algorithm, or of the one named. Raises SigningKeyError."""
        seen, view = self._fresh()
        record = view.default if algorithm is None else view.current.get(algorithm)
        if record is None or record.seals:
            raise SigningKeyError(f"{self._where()}: no key for {algorithm or self.algorithms[0]} is in use yet")
        return seen.keys.signing[record.kid]

    def find(self, kid: str) -> SigningKey | None:
        """A key whose tokens count: in use, next, or earlier and not ended."""
        seen, _ = self._now(self._clock())
        return None if seen is None else seen.keys.signing.get(kid)

    def key_of(self, token: str, *, typ: str = ACCESS_TOKEN) -> SigningKey | None:
        """The key that the header of `token` is the header of, without reading anything in it."""
        seen, _ = self._now(self._clock())
        return None if seen is None else self._by_header.get((typ, token.partition(".")[0])) or self._index(typ, token, seen)

    def _index(self, typ: str, token: str, seen: _Seen) -> SigningKey | None:
        header = token.partition(".")[0]
        found = next((key for key in seen.keys.signing.values() if key.header(typ).decode() == header), None)
        if found is not None:
            self._by_header[typ, header] = found
        return found

    def published(self) -> tuple[SigningKey, ...]:
        """What the key set shows: every key whose tokens count, the next ones included. Empty before the first `refresh`."""
        _, view = self._now(self._clock())
        return () if view is None else view.published

    def seal(self, plaintext: bytes) -> str:
        """An opaque token that holds `plaintext`. Raises SigningKeyError."""
        seen, view = self._fresh()
        record = view.current.get(sealing_key.ALGORITHM)
        if record is None:
            raise SigningKeyError(f"{self._where()}: no key for opaque tokens is in use yet")
        return seen.keys.sealing[record.kid].seal(plaintext)

    def unseal(self, token: str) -> bytes | None:
        """What `seal` put in, in any process of this registry instance; None for every other text."""
        seen, _ = self._now(self._clock())
        found = sealing_key.parts(token)
        if seen is None or found is None:
            return None
        key = seen.keys.sealing.get(found[0])
        return None if key is None else key.unseal(found[1])

    def age(self, at: datetime) -> float:
        """Seconds since the key that signs access tokens was made; 0 before there is one."""
        _, view = self._now(at)
        return 0.0 if view is None or view.default is None else (at - view.default.created_at).total_seconds()

    @property
    def book(self) -> KeyBook:
        """All keys as this process has last seen them. Raises SigningKeyError before the first `refresh`."""
        if self._seen is None:
            raise SigningKeyError("the keys have not been read yet")
        return self._seen.book

    def _fresh(self) -> tuple[_Seen, View]:
        """What tokens may be made with: a process that was cut off may have keys that nobody else knows any more."""
        seen, view = self._now(self._clock())
        if seen is None or view is None:
            raise SigningKeyError(f"the keys of registry instance {self._instance()} have not been read yet")
        age = self._elapsed() - seen.elapsed
        if age > self._stale:
            raise SigningKeyError(f"{self._where()}: not read for {age:.0f} seconds; others may have other keys by now")
        return seen, view

    def _now(self, at: datetime) -> tuple[_Seen | None, View | None]:
        """Both or none: a book of another instance than the one that is served counts for nothing."""
        seen, view = self._seen, self._view
        if seen is None or view is None or view.instance != self._instance():
            return None, None
        if not view.since <= at < view.until:
            view = self._view = view_at(seen.book, seen.keys, self.algorithms, at)
        return seen, view

    def _where(self) -> str:
        return self._store.where(self._instance())

    # What happens beside them.

    async def refresh(self) -> None:
        """See what other processes did, and rotate where it is time. Raises SigningKeyError; the last book stays then."""
        await self.change(lambda book: book)

    async def look(self) -> KeyBook | None:
        """The newest book, which is left as it is; None where none was begun. Raises SigningKeyError."""
        instance = self._instance()
        value = await self._store.read(instance)
        return None if value is None else self._open(value, instance)

    async def change(self, change: Change) -> KeyBook:
        """Apply `change` to the newest book, then what is due. Raises SigningKeyError, and what `change` raises."""
        async with self._refreshing:
            for _ in range(_ATTEMPTS):
                if await self._attempt(change):
                    return self.book
        raise SigningKeyError(f"{self._where()}: other processes change it all the time")

    async def _attempt(self, change: Change) -> bool:
        at, elapsed, instance = self._clock(), self._elapsed(), self._instance()
        value = await self._store.read(instance)
        first = self._seen is None or self._seen.book.instance != instance
        opened = self._open(value, instance)
        book = await self._with_earlier(opened, at) if first else opened
        wanted = await self._due(change(book), at)
        if value is None or wanted is not opened or (first and not self._envelope.is_current(value)):
            new = self._envelope.close(wanted)
            if not await self._store.swap(instance, value, new):
                return False
            value = new
        if first:
            await self._store.remove_earlier(instance)
        self._show(value, wanted, elapsed)
        return True

    def _open(self, value: bytes | None, instance: str) -> KeyBook:
        where, seen = self._store.where(instance), self._seen
        known = seen is not None and seen.book.instance == instance
        if value is None:
            if known:
                raise SigningKeyError(
                    f"{where}: the keys in use are gone from there; put them back, or restart to begin anew"
                )
            return KeyBook(instance)
        if seen is not None and known and seen.value == value:
            return seen.book
        try:
            return self._envelope.open(value, instance)
        except ValueError as error:
            raise SigningKeyError(f"{where}: {error}") from error

    async def _with_earlier(self, book: KeyBook, at: datetime) -> KeyBook:
        """With the key of a server that kept a single one."""
        earlier = await self._store.earlier(book.instance)
        if earlier is None:
            return book
        try:
            self._envelope.check_plain()
            return with_earlier(book, earlier.pem, at)
        except ValueError as error:
            raise SigningKeyError(f"{earlier.where}: {error}") from error

    async def _due(self, book: KeyBook, at: datetime) -> KeyBook:
        """What time asks for. Keys are made in a thread: one of RSA takes a tenth of a second."""
        book = rotation.tidied(book, self.algorithms, at, self.times)
        needed = rotation.missing(book, self.algorithms, at, self.times)
        if not needed:
            return book

        def make() -> KeyBook:
            made = (new_record(n.algorithm, created_at=at, active_from=n.active_from) for n in needed)
            return replace(book, keys=(*book.keys, *made))

        return await asyncio.to_thread(make)

    def _show(self, value: bytes, book: KeyBook, elapsed: float) -> None:
        seen = self._seen
        if seen is not None and seen.book is book:
            self._seen = replace(seen, elapsed=elapsed)
            return
        before = None if seen is None or seen.book.instance != book.instance else seen.keys
        try:
            keys = load(book, before)
        except (ValueError, TypeError) as error:
            raise SigningKeyError(f"{self._store.where(book.instance)}: {error}") from error
        self._seen = _Seen(value, book, keys, elapsed)
        self._view = view_at(book, keys, self.algorithms, self._clock())
        self._by_header.clear()
