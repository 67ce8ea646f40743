"""Keeps the registry: opens the store, serves a snapshot of it, follows changes, and begins anew when the file is lost.

Owns the lifetime of the store and the loop that watches it. Every worker of a server has a keeper of its own on the
same file; what one writes the others show within `poll` seconds. Neighbours: `database`, `writer`, `snapshot`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.clock import Clock, boot_time, pause
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.port import RegistryUnavailable
from holdfast.registry.records import Endpoints
from holdfast_authserver.registry import reading, writing
from holdfast_authserver.registry.assertions import insert_assertion, purge_assertions
from holdfast_authserver.registry.database import Database, DatabaseUnavailable
from holdfast_authserver.registry.denials import Denials, read_denials
from holdfast_authserver.registry.last_tokens import INTERVAL, LastTokens
from holdfast_authserver.registry.migrate import TablesUnknown
from holdfast_authserver.registry.opening import Seen, database_at, open_instance
from holdfast_authserver.registry.revoked_tokens import (
    LONGEST_TOKEN,
    Bounds,
    RevokedBefore,
    RevokedToken,
    RevokedTokens,
    purge_revocations,
    read_revocations,
    revoke,
)
from holdfast_authserver.registry.snapshot import Snapshot, apply_changes, apply_departures
from holdfast_authserver.registry.sqlite_file import FileLost
from holdfast_authserver.registry.writer import RegistryWriter

_LOG = logging.getLogger(__name__)

_FIRST_LOAD = 60.0  # seconds for everything, at the start
_LOAD = 8.0  # seconds for what has changed
_LONGEST_PAUSE = 2.0  # seconds between two attempts at a store that does not answer

Subscriber = Callable[[Snapshot], None]


class RegistryOpenError(Exception):
    """The store cannot be opened; one line that names the file and the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """`poll`: seconds between looks at the store. The rest: how long what nobody needs is kept, and when it is removed.

    `deleted_clients`: a client that comes back within this is what it was. Its row stays for as long as its tokens may live.
    """

    poll: float = 0.25
    deleted_clients: timedelta = timedelta(hours=24)
    unused_policies: timedelta = timedelta(hours=1)
    housekeeping: timedelta = timedelta(minutes=1)


class RegistryKeeper:
    """Made by `open`, ended by `close`. `endpoints` has to be set before the first `writer.describe`."""

    def __init__(self, url: str, clock: Clock, times: Times, bounds: Bounds) -> None:
        self.endpoints: Endpoints | None = None
        self.writer = RegistryWriter(self, clock)
        self.url = url
        """Of the database, with its password."""
        self._asked = 0.0
        self._clock = clock
        self._times = times
        self._bounds = bounds
        self._policies: dict[str, EffectivePolicy] = {}
        self._revoked = RevokedTokens()
        self._denials = ""
        self._last_tokens = LastTokens()
        self._subscribers: list[Subscriber] = []
        self._swap = asyncio.Lock()
        self._wake = asyncio.Event()
        self.cleaned = datetime.min.replace(tzinfo=UTC)
        """When what nobody needs was last removed."""
        self._behind = False
        """There is something to read: the store tells of a change once, and reading it may fail."""
        self._trouble = ""

    @classmethod
    async def open(cls, url: str, clock: Clock, *, times: Times | None = None, bounds: Bounds | None = None) -> Self:
        """`url`: of SQLite, whose broken file is moved aside, or of PostgreSQL.

        Raises RegistryOpenError, ValueError (the URL).
        """
        keeper = cls(url, clock, times or Times(), bounds or Bounds())
        await keeper._begin()
        keeper._watching = asyncio.create_task(keeper._watch(), name="registry-watch")
        return keeper

    _watching: asyncio.Task[None]

    @property
    def snapshot(self) -> Snapshot:
        """The newest picture; hold on to one for the time of a request."""
        return self._snapshot

    @property
    def database(self) -> Database:
        return self._database

    @property
    def deleted_client_grace(self) -> timedelta:
        """How long the id of a deleted client is kept for its namespace."""
        return self._times.deleted_clients

    async def _begin(self, before: Seen | None = None) -> None:
        """Open the store, or make one, and show what is in it."""
        database = database_at(self.url)
        try:
            self._baseline = await open_instance(database, self._clock(), before)
            await database.changed()
        except BaseException as error:
            await database.close()
            if isinstance(error, OSError | TablesUnknown | FileLost | DatabaseUnavailable):
                raise RegistryOpenError(f"registry {database.name}: {error}") from error
            raise
        database.listen(self._wake.set)
        self._database = database
        self._policies, self._revoked, self._denials = {}, RevokedTokens(), ""
        self._snapshot = Snapshot(
            revision=-1,
            instance=self._baseline.id,
            instance_created=self._baseline.created_at,
            clients=MappingProxyType({}),
            confirmed=False,
            owners=MappingProxyType({}),
        )
        await self._load()

    async def refresh(self) -> None:
        """Show what was committed. Raises RegistryUnavailable when the store has failed meanwhile."""
        try:
            async with self._swap:
                await self._load()
        except DatabaseUnavailable as error:
            if error.lost:
                self.suspect()
            raise RegistryUnavailable(str(error), retry_after=1) from error

    async def _load(self) -> None:
        old, now, asked = self._snapshot, self._clock(), boot_time()
        async with self._database.read(seconds=_FIRST_LOAD if old.revision < 0 else _LOAD) as connection:
            found = await reading.read_instance(connection)
            if found is None or found.id != old.instance or found.revision < old.revision:
                raise DatabaseUnavailable(f"{self._database.name} holds another registry than before", lost=True)
            changes, policies = await reading.read_changes(connection, old.revision, self._policies)
            self._revoked.add(await read_revocations(connection, old.revision))
            denials = await self._read_denials(connection, found.denials, old)
        for change in changes:
            self._last_tokens.forget(change.client_id)
        clients, owners = apply_changes(old.clients, old.owners, changes) if changes else (old.clients, old.owners)
        if policies:  # those that no client has any more are forgotten, or every edit of a policy would stay for good
            self._policies = {client.policy.hash: client.policy for client in clients.values()}
        self._show(
            replace(
                old,
                revision=found.revision,
                clients=clients,
                owners=owners,
                confirmed=found.confirmations > self._baseline.confirmations,
                denied_thumbprints=denials.thumbprints,
                revocation_lists=denials.crls,
                departed=apply_departures(old.departed, changes) if changes else old.departed,
                as_of=now,
            )
        )
        self._denials, self._asked = found.denials, asked

    async def _read_denials(self, connection: AsyncConnection, digest: str, old: Snapshot) -> Denials:
        """Only when they have changed: CRLs may be megabytes."""
        if digest == self._denials:
            return Denials(old.denied_thumbprints, old.revocation_lists)
        return await read_denials(connection)

    def _show(self, snapshot: Snapshot) -> None:
        old = self._snapshot
        self._snapshot = snapshot
        if snapshot.clients is old.clients and (snapshot.revision, snapshot.confirmed) == (old.revision, old.confirmed):
            return
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(snapshot)
            except Exception:
                _LOG.exception("a subscriber of the registry failed")

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call `callback` with each new snapshot, in the event loop. The answer ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def record_token(self, client_id: str, at: datetime) -> None:
        """A token was issued. Kept in memory, written once a day for each client."""
        self._last_tokens.record(client_id, at)

    async def revoke(self, token: RevokedToken) -> RevokedBefore | None:
        """Refuse this token from now on, in every worker. Raises RegistryUnavailable.

        The answer is whose tokens were revoked as a whole instead, being too many to be named one by one.
        """
        async with self._write() as connection:
            entry = await revoke(connection, token, self._bounds, self._clock())
        if entry is not None:
            _LOG.warning("client %s: too many revoked tokens; all issued until now are revoked", entry.client_id)
        await self.refresh()
        return entry

    @property
    def revoked(self) -> RevokedTokens:
        """Every revoked token that may still live."""
        return self._revoked

    @property
    def remembers_since(self) -> datetime:
        """Assertions used earlier are forgotten: whole seconds, as their `iat` is."""
        return self._snapshot.instance_created

    async def remember_assertion(self, client_id: str, jti: str, expires_at: datetime) -> bool:
        """Whether this client assertion is seen for the first time, in any worker or replica; durable when it returns.

        Raises RegistryUnavailable.
        """
        async with self._write(alone=False) as connection:
            return await insert_assertion(connection, client_id, jti, expires_at)

    @asynccontextmanager
    async def _write(self, *, alone: bool = True) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._database.write(alone=alone) as connection:
                yield connection
        except DatabaseUnavailable as error:
            if error.lost:
                self.suspect()
            raise RegistryUnavailable(str(error), retry_after=1) from error

    def suspect(self) -> None:
        self._behind = True
        self._wake.set()

    @property
    def age(self) -> float:
        """Seconds since the store said that the snapshot is current, by a clock that nobody sets (`boot_time`)."""
        return boot_time() - self._asked

    async def close(self) -> None:
        """Write what is still in memory and let go of the file."""
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching
        with suppress(DatabaseUnavailable):
            await self._flush_last_tokens()
        await self._database.close()

    async def _watch(self) -> None:
        wait = self._times.poll
        while True:
            await pause(wait, self._wake)
            wait = min(2 * wait, max(_LONGEST_PAUSE, self._times.poll))
            try:
                await self._look()
                wait = self._times.poll
            except (OSError, DatabaseUnavailable, RegistryOpenError) as error:
                self._say(str(error))
            except Exception:
                _LOG.exception("watching the registry failed; it goes on")

    def _say(self, trouble: str) -> None:
        """Once for as long as it lasts, not at every look."""
        if trouble != self._trouble:
            _LOG.error("%s", trouble)
        self._trouble = trouble

    async def _look(self) -> None:
        try:
            now, asked = self._clock(), boot_time()
            self._behind |= await self._database.changed()
            if self._behind:
                async with self._swap:
                    await self._load()
                self._behind = False
            self._snapshot, self._asked = replace(self._snapshot, as_of=now), asked
            await self._clean()
            self._trouble = ""
        except FileLost as error:
            if error.broken:
                await self._database.set_aside(self._clock(), str(error))
            await self._replace(str(error))
        except DatabaseUnavailable as error:
            if not error.lost:
                raise
            await self._replace(str(error))

    async def _replace(self, why: str) -> None:
        """The store is lost: nobody is a client any more until a writer has filled the new one."""
        self._say(f"{why}; the registry begins anew, and tokens issued before are refused")
        async with self._swap:
            nobody: Mapping[str, Any] = MappingProxyType({})
            self._seen = Seen(self._snapshot.instance, self._snapshot.revision)
            self._show(replace(self._snapshot, clients=nobody, owners=nobody, confirmed=False))
            await self._database.close()
            await self._begin(self._seen)

    async def _clean(self) -> None:
        await self._flush_last_tokens()
        now = self._clock()
        if now - self.cleaned < self._times.housekeeping:
            return
        self._revoked.forget(now)
        kept = max(self._times.deleted_clients, LONGEST_TOKEN)
        self._forget_departed(now - kept)
        async with self._database.write() as connection:
            await writing.purge(connection, now=now, grace=kept, policy_grace=self._times.unused_policies)
            await purge_revocations(connection, now)
            await purge_assertions(connection, now)
        self.cleaned = now

    def _forget_departed(self, before: datetime) -> None:
        departed = {client_id: at for client_id, at in self._snapshot.departed.items() if at >= before}
        if len(departed) != len(self._snapshot.departed):
            self._snapshot = replace(self._snapshot, departed=MappingProxyType(departed))

    async def _flush_last_tokens(self) -> None:
        due = self._last_tokens.due()
        if due:
            async with self._database.write() as connection:
                await writing.save_last_tokens(connection, due, INTERVAL)
            self._last_tokens.written(due)
