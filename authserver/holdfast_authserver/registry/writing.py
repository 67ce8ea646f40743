"""Statements that change the registry. Each takes a connection inside `Database.write`, so what it read still holds."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.oauth.client_metadata import InvalidClientMetadata, to_json
from holdfast.oauth.client_metadata_reader import from_json
from holdfast.policy.model import EffectivePolicy
from holdfast.policy.model import to_json as policy_to_json
from holdfast_authserver.registry.tables import claims, clients, instance, policies, terms


async def insert_instance(connection: AsyncConnection, *, id_: str, now: datetime) -> None:
    await connection.execute(
        insert(instance).values(id=id_, created_at=now.replace(microsecond=0), revision=0, confirmations=0, denials="")
    )


async def renew_instance(connection: AsyncConnection, *, id_: str, now: datetime) -> None:
    """The same content as another registry: whatever was issued before is void."""
    await connection.execute(update(instance).values(id=id_, created_at=now.replace(microsecond=0)))


async def next_revision(connection: AsyncConnection) -> int:
    """Count one change of content and answer its number."""
    await connection.execute(update(instance).values(revision=instance.c.revision + 1))
    return int((await connection.execute(select(instance.c.revision))).scalar_one())


async def count_confirmation(connection: AsyncConnection) -> None:
    await connection.execute(update(instance).values(confirmations=instance.c.confirmations + 1))


async def insert_term(connection: AsyncConnection, *, term: int, holder: str, now: datetime) -> None:
    await connection.execute(insert(terms).values(term=term, holder=holder, opened_at=now))


async def insert_policy(connection: AsyncConnection, policy: EffectivePolicy, now: datetime) -> None:
    values = {"hash": policy.hash, "value": policy_to_json(policy), "put_at": now}
    await connection.execute(insert(policies).values(values))


async def mark_deleted(connection: AsyncConnection, client_id: str, *, term: int, now: datetime) -> None:
    """From now on the client is unknown and claims nothing; its row stays until `purge`."""
    revision = await next_revision(connection)
    await connection.execute(
        update(clients).where(clients.c.client_id == client_id).values(deleted_at=now, revision=revision, term=term)
    )
    await connection.execute(delete(claims).where(claims.c.client_id == client_id))


async def orphan(connection: AsyncConnection, row: Row[Any], *, term: int, now: datetime) -> None:
    """The client goes on with all that it claims, as nobody's; one that cannot be read, and is not served, is deleted."""
    try:
        client = from_json(row.value)
    except InvalidClientMetadata:
        await mark_deleted(connection, row.client_id, term=term, now=now)
        return
    left = replace(client, owner=replace(client.owner, uid=""))
    values = {"uid": "", "digest": left.digest, "value": to_json(left), "updated_at": now, "term": term}
    revision = await next_revision(connection)
    changed = update(clients).where(clients.c.client_id == row.client_id)
    await connection.execute(changed.values(revision=revision, **values))


async def save_last_tokens(connection: AsyncConnection, seen: dict[str, datetime], interval: timedelta) -> None:
    """Leaves a moment alone that is younger than `interval`: another worker wrote it."""
    for client_id, at in seen.items():
        old = clients.c.last_token_at
        await connection.execute(
            update(clients)
            .where(clients.c.client_id == client_id, old.is_(None) | (old <= at - interval))
            .values(last_token_at=at)
        )


async def purge(connection: AsyncConnection, *, now: datetime, grace: timedelta, policy_grace: timedelta) -> None:
    """Forget clients deleted long ago, and policies nobody refers to."""
    await connection.execute(delete(clients).where(clients.c.deleted_at < now - grace))
    used = exists().where(clients.c.policy == policies.c.hash, clients.c.deleted_at.is_(None))
    await connection.execute(delete(policies).where(policies.c.put_at < now - policy_grace, ~used))
