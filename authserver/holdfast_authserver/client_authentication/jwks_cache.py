"""The keys behind each client's `jwks_uri`, kept for a while: when to fetch, and what counts while that fails (M-42).

One fetch at a time for each client, in a task of its own, so that nobody waits for another client's endpoint. Neighbours:
`jwks_fetcher` does one fetch; `registered_keys` asks for what a request needs.
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from holdfast.oauth.client_metadata import ClientMetadata
from holdfast.oauth.jwks import Jwk
from holdfast_authserver.audit import AuditLog
from holdfast_authserver.client_authentication.jwks_fetcher import FetchedKeys, FetchError, JwksFetcher

_MAX_CLIENTS = 4096  # sets kept, the longest unused go first; a set is a few kilobytes, and 256 at worst
_MAX_FLIGHTS = 16  # fetches at once for the clients of one namespace: its slow endpoints use up nobody else's sockets
_MAX_REPORTED = 500  # characters of what is said of skipped keys
_EPOCH = datetime.min.replace(tzinfo=UTC)


class KeysUnavailable(Exception):
    """There are no keys of this client; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTimes:
    """`least`, `most`: bounds of how long a set is used unasked, whatever its publisher says of it.

    `stale`: how much longer the last good set counts while fetches fail. `pause`: the least time between two fetches
    for one client, so that neither unknown certificates nor a broken endpoint make a storm.
    """

    least: timedelta = timedelta(seconds=30)
    most: timedelta = timedelta(minutes=5)
    stale: timedelta = timedelta(hours=1)
    pause: timedelta = timedelta(seconds=10)


@dataclass(slots=True)
class _Entry:
    """One client's set. `keys` None: none was fetched yet."""

    url: str
    keys: tuple[Jwk, ...] | None = None
    fresh_until: datetime = _EPOCH
    tried: datetime = _EPOCH
    failure: str = ""
    flight: asyncio.Task[None] | None = field(default=None, repr=False)


class JwksCache:
    """Belongs to one event loop. `close` ends what is in flight."""

    def __init__(self, fetcher: JwksFetcher, audit: AuditLog, times: CacheTimes) -> None:
        self._fetcher = fetcher
        self._audit = audit
        self._times = times
        self._entries: dict[str, _Entry] = {}
        self._flights: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()  # a loop holds on to its tasks only weakly

    async def current(self, client: ClientMetadata, at: datetime) -> tuple[Jwk, ...]:
        """The client's keys, fetched first where there are none or they are old. Raises KeysUnavailable."""
        entry = self._entry(client)
        if at >= entry.fresh_until:
            flight = self._fetch(client, entry, at)
            # After a failure the old set counts at once: its publisher being down must not slow every request.
            if flight is not None and (entry.keys is None or not entry.failure):
                await asyncio.shield(flight)
        return self._usable(entry, at)

    async def refreshed(self, client: ClientMetadata, at: datetime) -> tuple[Jwk, ...]:
        """The same, fetched anew unless that was done a moment ago. Raises KeysUnavailable."""
        entry = self._entry(client)
        flight = self._fetch(client, entry, at)
        if flight is not None:
            await asyncio.shield(flight)
        return self._usable(entry, at)

    async def close(self) -> None:
        """End what is in flight; those who wait for it are cancelled, too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _entry(self, client: ClientMetadata) -> _Entry:
        """The client's, moved to the end as the last used; a new one where its URL is another than before."""
        entry = self._entries.pop(client.client_id, None)
        if entry is None or entry.url != client.jwks_uri:
            entry = _Entry(client.jwks_uri or "")
        self._entries[client.client_id] = entry
        if len(self._entries) > _MAX_CLIENTS:
            self._forget_oldest()
        return entry

    def _forget_oldest(self) -> None:
        oldest = next((i for i, e in self._entries.items() if e.flight is None), None)
        if oldest is not None:
            del self._entries[oldest]

    def _usable(self, entry: _Entry, at: datetime) -> tuple[Jwk, ...]:
        if entry.keys is None:
            raise KeysUnavailable(entry.failure or "not fetched yet")
        if at >= entry.fresh_until + self._times.stale:
            raise KeysUnavailable(f"the last good set is too old; {entry.failure or 'not fetched since'}")
        return entry.keys

    def _fetch(self, client: ClientMetadata, entry: _Entry, at: datetime) -> asyncio.Task[None] | None:
        """The fetch that is going on, or a new one; None when the last was a moment ago."""
        if entry.flight is not None:
            return entry.flight
        if at - entry.tried < self._times.pause:
            return None
        namespace = client.owner.namespace
        if self._flights[namespace] >= _MAX_FLIGHTS:
            entry.failure = f"{_MAX_FLIGHTS} fetches are going on for namespace {namespace}"
            return None
        entry.tried = at
        self._flights[namespace] += 1
        entry.flight = asyncio.create_task(self._fly(client, entry, at), name=f"jwks-{client.client_id}")
        self._tasks.add(entry.flight)
        entry.flight.add_done_callback(self._tasks.discard)
        return entry.flight

    async def _fly(self, client: ClientMetadata, entry: _Entry, at: datetime) -> None:
        """Replace the set, or keep it and say why. Never raises what a fetch raises."""
        try:
            fetched = await self._fetcher.fetch(entry.url)
            self._keep(entry, fetched, at)
            self._report(client, keys=len(fetched.keys), skipped="; ".join(fetched.skipped)[:_MAX_REPORTED] or None)
        except FetchError as error:
            entry.failure = str(error)
            self._report(client, failure=entry.failure)
        finally:
            entry.flight = None
            self._flights[client.owner.namespace] -= 1
            self._flights += Counter()  # drops namespaces without any

    def _keep(self, entry: _Entry, fetched: FetchedKeys, at: datetime) -> None:
        times = self._times
        age = times.most if fetched.max_age is None else timedelta(seconds=fetched.max_age)
        entry.keys, entry.failure = fetched.keys, ""
        entry.fresh_until = at + min(max(age, times.least), times.most)

    def _report(self, client: ClientMetadata, *, failure: str | None = None, **members: object) -> None:
        event = "client_keys.fetched" if failure is None else "client_keys.failed"
        self._audit.record(event, os.urandom(8).hex(), client_id=client.client_id, reason=failure, **members)
