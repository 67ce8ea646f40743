"""Statements about many clients at once: what `placing` has to know of them, and what it decided.

A statement for each of a batch's tables rather than for each of its clients. Must not decide anything. Each function takes a
connection inside `Database.write` or `Database.read`. Neighbours: `placing`, `writer`; `reading` (one client).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.oauth.client_metadata import ClientMetadata, to_json
from holdfast.registry.records import StoredClient
from holdfast_authserver.registry import reading
from holdfast_authserver.registry.claims import Claim
from holdfast_authserver.registry.dialect import insert_or_replace
from holdfast_authserver.registry.placing import Before, Holder, Holders, Placed
from holdfast_authserver.registry.tables import claims, clients, instance

_AT_ONCE = 1000
"""Values in one condition; databases take some ten thousand parameters."""
_OF_THE_OBJECT = ("since", "last_token_at")
"""What stays as it is while the client's tokens go on."""


async def read_before(
    connection: AsyncConnection, wanted: Sequence[ClientMetadata], now: datetime, grace: timedelta
) -> Before:
    """The rows, deleted or not, and the policies. `grace`: how long the ids of deleted clients are kept."""
    ids = [client.client_id for client in wanted]
    rows = (await connection.execute(select(clients).where(clients.c.client_id.in_(ids)))).all()
    hashes = sorted({client.policy for client in wanted})
    policies = {hash_: p for hash_ in hashes if (p := await reading.read_policy(connection, hash_)) is not None}
    return Before({row.client_id: row for row in rows}, policies, now, grace)


async def read_holders(connection: AsyncConnection, wanted: Iterable[Claim]) -> Holders:
    """Of live clients: a deleted one claims nothing."""
    values, holders = sorted({claim.stored for claim in wanted}), Holders()
    columns = (claims.c.kind, claims.c.value, clients.c.client_id, clients.c.namespace, clients.c.name)
    joined = select(*columns).join(clients, clients.c.client_id == claims.c.client_id)
    for begin in range(0, len(values), _AT_ONCE):
        some = joined.where(claims.c.value.in_(values[begin : begin + _AT_ONCE]))
        for kind, value, *holder in await connection.execute(some):
            holders.note((kind, value), Holder(*holder))
    return holders


async def read_stored(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, StoredClient]:
    """The live clients among these, by client id; without those that this version cannot read."""
    rows = await connection.execute(select(clients).where(clients.c.client_id.in_(ids), clients.c.deleted_at.is_(None)))
    return {row.client_id: stored for row in rows if (stored := reading.stored_client(row)) is not None}


async def save(connection: AsyncConnection, placed: Sequence[Placed], *, term: int, now: datetime) -> None:
    """Rows and claims of what is new, a note of the writer on what is not."""
    changed = [p for p in placed if not p.same]
    if changed:
        revision = await _revisions(connection, len(changed)) - len(changed)
        rows = [_row(p, revision + n, term, now) for n, p in enumerate(changed, 1)]
        for fresh in (True, False):
            of_this_kind = [row for row, p in zip(rows, changed, strict=True) if (p.since is not None) is fresh]
            await _save_rows(connection, of_this_kind, fresh=fresh)
        await _replace_claims(connection, changed)
    for p in placed:
        if p.same:
            await _save_fence(connection, p.client, term)


async def _revisions(connection: AsyncConnection, count: int) -> int:
    """Count so many changes of content; answers the number of the last."""
    await connection.execute(update(instance).values(revision=instance.c.revision + count))
    return int((await connection.execute(select(instance.c.revision))).scalar_one())


def _row(placed: Placed, revision: int, term: int, now: datetime) -> dict[str, Any]:
    client = placed.client
    return {
        "client_id": client.client_id,
        "namespace": client.owner.namespace,
        "name": client.owner.name,
        "uid": client.owner.uid,
        "generation": client.owner.generation,
        "service_account": client.owner.service_account,
        "term": term,
        "policy": client.policy,
        "digest": client.digest,
        "value": to_json(client),
        "revision": revision,
        "since": placed.since or now,
        "updated_at": now,
        "last_token_at": None,
        "deleted_at": None,
        "deletion_policy": client.deletion_policy.value,
    }


async def _save_rows(connection: AsyncConnection, rows: list[dict[str, Any]], *, fresh: bool) -> None:
    if rows:
        kept = {"client_id", *(() if fresh else _OF_THE_OBJECT)}
        await connection.execute(insert_or_replace(connection, clients, "client_id", rows[0].keys() - kept), rows)


async def _replace_claims(connection: AsyncConnection, placed: Sequence[Placed]) -> None:
    await connection.execute(delete(claims).where(claims.c.client_id.in_([p.client.client_id for p in placed])))
    rows = [{"client_id": p.client.client_id, "kind": c.kind, "value": c.stored} for p in placed for c in sorted(p.held)]
    if rows:
        await connection.execute(insert(claims), rows)


async def _save_fence(connection: AsyncConnection, client: ClientMetadata, term: int) -> None:
    """Remember who wrote last, where the content stays as it is: no new revision."""
    generation, of_the_client = client.owner.generation, clients.c.client_id == client.client_id
    anew = (clients.c.term != term) | (clients.c.generation != generation)
    await connection.execute(
        update(clients).where(of_the_client, anew).values(term=term, generation=generation, value=to_json(client))
    )
