"""The registry's port, in the process: every write is one fenced transaction, and live when the call returns.

Owns the order of the checks. Neighbours: `rules` and `claims` (what may be registered), `writing` (statements),
`keeper`, which lends it the store and shows the change to requests.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.clock import Clock
from holdfast.oauth.client_metadata import ClientMetadata, InvalidClientMetadata
from holdfast.policy.evaluate import evaluate_client_id
from holdfast.policy.model import EffectivePolicy
from holdfast.registry.digest import registry_digest
from holdfast.registry.port import (
    RefusalReason,
    RegistrationRefused,
    RegistryError,
    RegistryUnavailable,
    StaleGeneration,
    StaleTerm,
)
from holdfast.registry.records import ClientSummary, Endpoints, RegistryDescription, StoredClient
from holdfast_authserver.registry import reading, writing
from holdfast_authserver.registry.claims import Claim, ClaimKind, claims_of
from holdfast_authserver.registry.database import Database, DatabaseUnavailable, NotStorable
from holdfast_authserver.registry.denials import check_revocation_lists, check_thumbprints, read_denials, save_denials
from holdfast_authserver.registry.reading import Holder
from holdfast_authserver.registry.rules import check_introspection_algorithm, check_metadata
from holdfast_authserver.registry.snapshot import Snapshot


class PreconditionFailed(RegistryError):
    """The client is not as the writer believes (RFC 9110 section 13.1.1)."""


class Keeper(Protocol):
    """What the writer needs of its keeper."""

    endpoints: Endpoints | None

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def database(self) -> Database: ...

    async def refresh(self) -> None:
        """Show what was committed to requests, before the call returns."""

    def suspect(self) -> None:
        """The store failed in a way that a lost file explains: look at it now."""


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
        async with self._write() as connection:
            await _fence(connection, term)
            row = await reading.read_row(connection, client.client_id)
            _check_expected(row, client.client_id, expected)
            _check_generation(row, client, term)
            check_metadata(client)
            check_introspection_algorithm(client, self.signing_algorithms)
            await self._save(connection, client, row, term)
        await self._keeper.refresh()
        stored = await self.get_client(client.client_id)
        if stored is None:
            raise RegistryUnavailable(f"client {client.client_id} was written and is gone again", retry_after=1)
        return stored

    async def _save(self, connection: AsyncConnection, client: ClientMetadata, row: Row[Any] | None, term: int) -> None:
        held = await self._check_rights(connection, client, row)
        same_object = row is not None and row.uid == client.owner.uid and row.deleted_at is None
        if row is not None and same_object and row.digest == client.digest:
            if (row.term, row.generation) != (term, client.owner.generation):
                await writing.save_fence(connection, client, term=term)
            return
        await writing.save_client(connection, client, held, term=term, fresh=not same_object, now=self._clock())

    async def _check_rights(
        self, connection: AsyncConnection, client: ClientMetadata, row: Row[Any] | None
    ) -> frozenset[Claim]:
        policy = await reading.read_policy(connection, client.policy)
        if policy is None:
            raise RegistrationRefused(
                RefusalReason.UNKNOWN_POLICY, f"client {client.client_id}: put policy {client.policy[:80]} first"
            )
        _check_client_id(client, policy, row)
        held = claims_of(client, policy)
        for claim in sorted(held):
            other = await reading.read_other_holder(connection, claim, client)
            if other is not None:
                raise _taken(claim, client, other)
        return held

    async def get_client(self, client_id: str) -> StoredClient | None:
        async with self._read() as connection:
            try:
                return await reading.read_client(connection, client_id)
            except InvalidClientMetadata:
                return None  # nothing that this server could serve; a put replaces it

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
            _check_expected(row, client_id, expected)
            if row is not None and row.deleted_at is None and row.uid == uid:
                await writing.mark_deleted(connection, client_id, term=term, now=self._clock())
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


def _check_expected(row: Row[Any] | None, client_id: str, expected: str | None) -> None:
    found = None if row is None or row.deleted_at is not None else row.digest
    if expected is not None and expected != found:
        raise PreconditionFailed(f"client {client_id}: expected digest {expected}, found {found or 'no client'}")


def _check_generation(row: Row[Any] | None, client: ClientMetadata, term: int) -> None:
    owner = client.owner
    if row is not None and (row.uid, row.term) == (owner.uid, term) and owner.generation < row.generation:
        raise StaleGeneration(
            f"client {client.client_id}: generation {owner.generation} comes after {row.generation} of the same object"
        )


def _check_client_id(client: ClientMetadata, policy: EffectivePolicy, row: Row[Any] | None) -> None:
    """A holder keeps its id when a policy takes the right away (it is denied then); a newcomer does not get it."""
    owner = client.owner
    if row is not None and row.deleted_at is None:
        if (row.namespace, row.name) == (owner.namespace, owner.name):
            return
        raise RegistrationRefused(
            RefusalReason.CLIENT_ID_TAKEN,
            f"client id {client.client_id}: {row.namespace}/{row.name} has it, {owner.namespace}/{owner.name} asked for it",
        )
    decision = evaluate_client_id(client.client_id, owner.namespace, policy)
    if not decision.allowed:
        raise RegistrationRefused(RefusalReason.CLIENT_ID_NOT_ALLOWED, decision.message)


def _taken(claim: Claim, client: ClientMetadata, other: Holder) -> RegistrationRefused:
    holder, who = f"{other.namespace}/{other.name}", f"{client.owner.namespace}/{client.owner.name}"
    if claim.kind is ClaimKind.AUDIENCE:
        message = f"audience {claim.value}: {holder} owns it, {who} asked for it"
        return RegistrationRefused(RefusalReason.AUDIENCE_TAKEN, message)
    return RegistrationRefused(
        RefusalReason.SUBJECT_TAKEN,
        f"subject {claim.value.split(' under ')[0]}: {holder} has it under the same CA, {who} asked",
    )
