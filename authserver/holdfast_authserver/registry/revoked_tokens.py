"""Tokens that were revoked one by one, and the bound beyond which a client's count as all of them.

Owns the statements, and the picture in memory that requests are answered from. Who revokes more than `Bounds` allow loses
every token issued so far instead of naming each: one entry in place of thousands, so that nobody can fill the deny-list
that all APIs share. Neighbours: `keeper`, which lends the store; `endpoints/deny_list.py`, which tells APIs the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast_authserver.registry.dialect import insert_or_ignore
from holdfast_authserver.registry.tables import revoked_before, revoked_tokens
from holdfast_authserver.registry.writing import next_revision

LONGEST_TOKEN = timedelta(hours=24)
"""The most the registry lets an access token live."""


@dataclass(frozen=True, slots=True)
class RevokedToken:
    """`issued_at`: `iat`, in seconds since the epoch. `expires_at`: after it the token is refused anyway."""

    jti: str
    client_id: str
    issued_at: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RevokedBefore:
    """Every token of the client issued earlier than `before` (seconds since the epoch) is revoked."""

    client_id: str
    before: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many live tokens are named one by one: of one client, and of all of them, who has the most paying for it."""

    per_client: int = 10_000
    total: int = 100_000


@dataclass(frozen=True, slots=True)
class Revocations:
    """What was revoked, as the store has it."""

    tokens: tuple[RevokedToken, ...] = ()
    before: tuple[RevokedBefore, ...] = ()


class RevokedTokens:
    """What is known to be revoked. Of one event loop."""

    def __init__(self) -> None:
        self._tokens: dict[str, RevokedToken] = {}
        self._before: dict[str, RevokedBefore] = {}

    def hold(self, jti: str, client_id: str, issued_at: int) -> bool:
        """Whether this token is among them."""
        if jti in self._tokens:
            return True
        before = self._before.get(client_id)
        return before is not None and issued_at < before.before

    def live(self, at: datetime) -> list[str]:
        """The ids of those that are named one by one and have not ended."""
        return [jti for jti, token in self._tokens.items() if token.expires_at > at]

    @property
    def before(self) -> Mapping[str, int]:
        """Clients that lost all tokens issued earlier than this, in seconds since the epoch."""
        return MappingProxyType({client_id: found.before for client_id, found in self._before.items()})

    def add(self, found: Revocations) -> None:
        """Take in what the store has more than before."""
        self._tokens.update((token.jti, token) for token in found.tokens)
        if found.before:
            self._before.update((entry.client_id, entry) for entry in found.before)
            self._keep(token for token in self._tokens.values() if not self._covered(token))

    def forget(self, now: datetime) -> None:
        """Let go of what has ended."""
        self._keep(token for token in self._tokens.values() if token.expires_at >= now)
        self._before = {client_id: entry for client_id, entry in self._before.items() if entry.expires_at >= now}

    def _covered(self, token: RevokedToken) -> bool:
        before = self._before.get(token.client_id)
        return before is not None and token.issued_at < before.before

    def _keep(self, tokens: Iterable[RevokedToken]) -> None:
        self._tokens = {token.jti: token for token in tokens}


async def read_revocations(connection: AsyncConnection, after: int) -> Revocations:
    """What was revoked after a revision."""
    tokens = await connection.execute(select(revoked_tokens).where(revoked_tokens.c.revision > after))
    before = await connection.execute(select(revoked_before).where(revoked_before.c.revision > after))
    return Revocations(
        tuple(RevokedToken(row.jti, row.client_id, row.issued_at, row.expires_at) for row in tokens),
        tuple(RevokedBefore(row.client_id, row.before, row.expires_at) for row in before),
    )


async def revoke(connection: AsyncConnection, token: RevokedToken, bounds: Bounds, now: datetime) -> RevokedBefore | None:
    """Name one token. Beyond the bounds a client's tokens are revoked as a whole, which is the answer then."""
    row = {"jti": token.jti, "client_id": token.client_id, "issued_at": token.issued_at, "expires_at": token.expires_at}
    revision = await next_revision(connection)
    await connection.execute(insert_or_ignore(connection, revoked_tokens, {**row, "revision": revision}))
    whom = await _beyond(connection, token.client_id, bounds)
    return None if whom is None else await _revoke_all(connection, whom, now)


async def _beyond(connection: AsyncConnection, client_id: str, bounds: Bounds) -> str | None:
    """Whose tokens are too many to be named: this client's, or of all clients the one's that has the most."""
    number = select(func.count()).select_from(revoked_tokens)
    if await _number(connection, number.where(revoked_tokens.c.client_id == client_id)) > bounds.per_client:
        return client_id
    if await _number(connection, number) <= bounds.total:
        return None
    most = select(revoked_tokens.c.client_id).where(revoked_tokens.c.client_id != "").group_by(revoked_tokens.c.client_id)
    return (await connection.execute(most.order_by(func.count().desc()).limit(1))).scalar_one_or_none()


async def _number(connection: AsyncConnection, wanted: Select[int]) -> int:
    return int((await connection.execute(wanted)).scalar_one())


async def _revoke_all(connection: AsyncConnection, client_id: str, now: datetime) -> RevokedBefore:
    """Whole seconds, as `iat` has them; a server whose clock is ahead may have issued one of them later than now, and one
    may have revoked them all up to then: what was revoked stays so.
    """
    mine = revoked_tokens.c.client_id == client_id
    latest = await _number(connection, select(func.coalesce(func.max(revoked_tokens.c.issued_at), 0)).where(mine))
    whole = select(func.coalesce(func.max(revoked_before.c.before), 0)).where(revoked_before.c.client_id == client_id)
    before = max(int(now.timestamp()) + 1, latest + 1, await _number(connection, whole))
    entry = RevokedBefore(client_id, before, datetime.fromtimestamp(before, UTC) + LONGEST_TOKEN)
    await connection.execute(delete(revoked_tokens).where(mine))
    await connection.execute(delete(revoked_before).where(revoked_before.c.client_id == client_id))
    row = {"client_id": client_id, "before": before, "expires_at": entry.expires_at}
    await connection.execute(insert(revoked_before).values(**row, revision=await next_revision(connection)))
    return entry


async def purge_revocations(connection: AsyncConnection, now: datetime) -> None:
    for table in (revoked_tokens, revoked_before):
        await connection.execute(delete(table).where(table.c.expires_at < now))
