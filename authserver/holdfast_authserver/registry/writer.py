"""The registry's port, in the process: every write is one fenced transaction, and live when the call returns.

Owns the transactions. Neighbours: `placing` (what may be registered), `registrations` and `writing` (statements),
`keeper`, which lends it the store and shows the change to requests.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.clock import Clock
from holdfast.oauth.client_metadata import ClientMetadata, InvalidClientMetadata
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.digest import registry_digest
from holdfast.registry.port import (
    MAX_BATCH,
    RefusalReason,
    RegistrationRefused,
    RegistryError,
    RegistryUnavailable,
    StaleGeneration,
    StaleTerm,
)
from holdfast.registry.records import ClientSummary, Endpoints, RegistryDescription, StoredClient
from holdfast_authserver.registry import reading, registrations, writing
from holdfast_authserver.registry.claims import Claim
from holdfast_authserver.registry.database import Database, DatabaseUnavailable, NotStorable
from holdfast_authserver.registry.denials import check_revocation_lists, check_thumbprints, read_denials, save_denials
from holdfast_authserver.registry.placing import Placed, PreconditionFailed, check_expected, claims_wanted, place
from holdfast_authserver.registry.snapshot import Snapshot


class Keeper(Protocol):
    """What the writer needs of its keeper."""

    endpoints: Endpoints | None

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def database(self) -> Database: ...

    @property
    def deleted_client_grace(self) -> timedelta:
        """How long the id of a deleted client is kept for its namespace."""

    async def refresh(self) -> None:
        """Show what was committed to requests, before the call returns."""

    def suspect(self) -> None:
        """The store failed in a way that a lost file explains: look at it now."""


_TOKEN_NEWS = timedelta(minutes=1)
"""For how long it is told that a client got a token: a writer that asks once a second hears of each of them."""
_MANY_TOKENS = 1000  # in one answer


class RegistryWriter:
    """`holdfast.registry.port.Registry` on the keeper's own store."""

    def __init__(self, keeper: Keeper, clock: Clock) -> None:
        self.signing_algorithms: tuple[str, ...] = ("ES256",)
        """What the server signs with, as it is set."""
        self.token_lifetime = 300
        """Seconds that a token lives by default, as it is set."""
        self._keeper = keeper
        self._clock = clock

    async def describe(self) -> RegistryDescription:
        if self._keeper.endpoints is None:
            raise RegistryUnavailable("the server is starting and does not know its own URLs yet", retry_after=1)
        async with self._read() as connection:
            found = await reading.read_instance(connection)
            if found is None:
                raise RegistryUnavailable("the registry is being made anew", retry_after=1)
            return RegistryDescription(
                instance=found.id,
                revision=found.revision,
                digest=registry_digest(await reading.read_digests(connection)),
                term=await reading.read_term(connection),
                confirmed=self._keeper.snapshot.confirmed and self._keeper.snapshot.instance == found.id,
                endpoints=self._keeper.endpoints,
                denials=found.denials,
                token_lifetime=self.token_lifetime,
                tokens=await reading.read_tokens(connection, self._clock() - _TOKEN_NEWS, _MANY_TOKENS),
            )

    async def open_term(self, holder: str) -> int:
        """Terms also follow the time, so that one from before the loss of the store is not mistaken for a later one's."""
        async with self._write() as connection:
            now = self._clock()
            term = max(await reading.read_term(connection) + 1, int(now.timestamp()))
            await writing.insert_term(connection, term=term, holder=holder, now=now)
        return term

    async def put_policy(self, policy: EffectivePolicy, *, term: int) -> None:
        async with self._write() as connection:
            await _fence(connection, term)
            if await reading.read_policy(connection, policy.hash) is None:
                await writing.insert_policy(connection, policy, self._clock())

    async def put_denied_thumbprints(self, thumbprints: frozenset[str], *, term: int) -> None:
        check_thumbprints(thumbprints)
        async with self._write() as connection:
            await _fence(connection, term)
            stored = await read_denials(connection)
            await save_denials(connection, replace(stored, thumbprints=thumbprints))
        await self._keeper.refresh()

    async def put_revocation_lists(self, crls: tuple[bytes, ...], *, term: int) -> None:
        await asyncio.to_thread(check_revocation_lists, crls)
        async with self._write() as connection:
            await _fence(connection, term)
            stored = await read_denials(connection)
            await save_denials(connection, replace(stored, crls=crls))
        await self._keeper.refresh()

    async def put_client(self, client: ClientMetadata, *, term: int, expected: str | None = None) -> StoredClient:
        """`expected`: the digest that the client has to have now. Raises PreconditionFailed beside what the port says."""
        (verdict,) = await self._put([client], term, expected)
        if isinstance(verdict, RegistryError):
            raise verdict
        return verdict

    async def adopt_client(self, client: ClientMetadata, *, term: int) -> StoredClient:
        (verdict,) = await self._put([client], term, adopt=True)
        if isinstance(verdict, RegistryError):
            raise verdict
        return verdict

    async def put_clients(self, clients: Sequence[ClientMetadata], *, term: int) -> tuple[StoredClient | RegistryError, ...]:
        _check_batch([client.client_id for client in clients])
        try:
            return await self._put(clients, term)
        except RegistrationRefused:
            # The database has no form for something in one of them, and the transaction went with it.
            return tuple([await self._alone(client, term) for client in clients])

    async def _alone(self, client: ClientMetadata, term: int) -> StoredClient | RegistryError:
        try:
            return await self.put_client(client, term=term)
        except (RegistrationRefused, StaleGeneration) as error:
            return error

    async def _put(
        self, clients: Sequence[ClientMetadata], term: int, expected: str | None = None, *, adopt: bool = False
    ) -> tuple[StoredClient | RegistryError, ...]:
        verdicts: dict[str, StoredClient | RegistryError] = {}
        async with self._write() as connection:
            await _fence(connection, term)
            placed = await self._place(connection, clients, term, expected, verdicts, adopt=adopt)
            await registrations.save(connection, placed, term=term, now=self._clock())
        await self._keeper.refresh()
        async with self._read() as connection:
            verdicts |= await registrations.read_stored(connection, [p.client.client_id for p in placed])
        return tuple(verdicts.get(c.client_id) or _gone_again(c) for c in clients)

    async def _place(
        self,
        connection: AsyncConnection,
        clients: Sequence[ClientMetadata],
        term: int,
        expected: str | None,
        refused: dict[str, StoredClient | RegistryError],
        *,
        adopt: bool,
    ) -> list[Placed]:
        """Those that may be registered; why the others may not is noted in `refused`."""
        grace = self._keeper.deleted_client_grace
        before = await registrations.read_before(connection, clients, self._clock(), grace)
        wanted: dict[str, frozenset[Claim]] = {}
        for client in clients:
            with _noting(client, refused):
                wanted[client.client_id] = claims_wanted(
                    client, before, term=term, expected=expected, algorithms=self.signing_algorithms, adopt=adopt
                )
        holders = await registrations.read_holders(connection, (claim for held in wanted.values() for claim in held))
        placed = []
        for client in clients:
            if client.client_id in wanted:
                with _noting(client, refused):
                    placed.append(place(client, wanted[client.client_id], before, holders))
        return placed

    async def get_client(self, client_id: str) -> StoredClient | None:
        async with self._read() as connection:
            try:
                return await reading.read_client(connection, client_id)
            except InvalidClientMetadata:
                return None  # nothing that this server could serve; a put replaces it

    async def get_clients(self, client_ids: Sequence[str]) -> tuple[StoredClient | None, ...]:
        _check_batch(client_ids, once=False)
        async with self._read() as connection:
            found = await registrations.read_stored(connection, client_ids)
        return tuple(found.get(client_id) for client_id in client_ids)

    async def list_clients(self) -> tuple[ClientSummary, ...]:
        async with self._read() as connection:
            return await reading.read_summaries(connection)

    async def audience_owner(self, audience: str) -> ClientMetadata | None:
        """Of the store rather than the snapshot: a write that another worker took in counts at once."""
        async with self._read() as connection:
            try:
                return await reading.read_audience_owner(connection, audience)
            except InvalidClientMetadata:
                return None  # not served, so the token endpoint knows no owner either

    async def delete_client(self, client_id: str, *, uid: str, term: int, expected: str | None = None) -> None:
        """`expected`: as for `put_client`."""
        async with self._write() as connection:
            await _fence(connection, term)
            row = await reading.read_row(connection, client_id)
            check_expected(row, client_id, expected)
            if row is not None and row.deleted_at is None and row.uid == uid:
                await writing.mark_deleted(connection, client_id, term=term, now=self._clock())
        await self._keeper.refresh()

    async def release_client(self, client_id: str, *, uid: str, term: int) -> None:
        async with self._write() as connection:
            await _fence(connection, term)
            row = await reading.read_row(connection, client_id)
            if row is not None and row.deleted_at is None and row.uid == uid:
                await writing.orphan(connection, row, term=term, now=self._clock())
        await self._keeper.refresh()

    async def confirm(self, *, term: int) -> None:
        async with self._write() as connection:
            await _fence(connection, term)
            await writing.count_confirmation(connection)
        await self._keeper.refresh()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._keeper.database.write() as connection:
                yield connection
        except DatabaseUnavailable as error:
            raise self._unavailable(error) from error
        except NotStorable as error:
            raise RegistrationRefused(RefusalReason.INVALID_CLIENT_METADATA, str(error)) from error

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._keeper.database.read() as connection:
                yield connection
        except DatabaseUnavailable as error:
            raise self._unavailable(error) from error
        except NotStorable as error:
            raise RegistrationRefused(RefusalReason.INVALID_CLIENT_METADATA, str(error)) from error

    def _unavailable(self, error: DatabaseUnavailable) -> RegistryUnavailable:
        if error.lost:
            self._keeper.suspect()
        return RegistryUnavailable(str(error), retry_after=1)


async def _fence(connection: AsyncConnection, term: int) -> None:
    current = await reading.read_term(connection)
    if term == current:
        return
    if term < current:
        raise StaleTerm(f"term {term} is over: a writer has opened term {current}")
    raise StaleTerm(f"term {term} was never opened at this registry, whose latest is {current}: open a new one")


def _check_batch(client_ids: Sequence[str], *, once: bool = True) -> None:
    if len(client_ids) > MAX_BATCH:
        raise ValueError(f"expected at most {MAX_BATCH} clients at once, found {len(client_ids)}")
    if once and len(set(client_ids)) != len(client_ids):
        raise ValueError("expected each client id once, found one twice")


@contextmanager
def _noting(client: ClientMetadata, refused: dict[str, StoredClient | RegistryError]) -> Iterator[None]:
    """What one client is refused for is its own verdict."""
    try:
        yield
    except (RegistrationRefused, StaleGeneration, PreconditionFailed) as error:
        refused[client.client_id] = error


def _gone_again(client: ClientMetadata) -> RegistryUnavailable:
    return RegistryUnavailable(f"client {client.client_id} was written and is gone again", retry_after=1)
