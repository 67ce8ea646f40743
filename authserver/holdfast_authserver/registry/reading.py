"""Queries: rows of the registry as values. Each takes a connection whose transaction its caller owns."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast.oauth.client_metadata import ClientMetadata, DeletionPolicy, InvalidClientMetadata, Owner
from holdfast.oauth.client_metadata_reader import from_json
from holdfast.policy.model import EffectivePolicy
from holdfast.policy.model import from_json as policy_from_json
from holdfast.registry.records import ClientSummary, StoredClient, TokenSeen
from holdfast_authserver.registry.claims import ClaimKind, shortened
from holdfast_authserver.registry.snapshot import ClientChange
from holdfast_authserver.registry.tables import claims, clients, instance, policies, terms

_LOG = logging.getLogger(__name__)
_PAGE = 100  # rows in memory at once


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """Who this store is and how far it has come."""

    id: str
    created_at: datetime
    revision: int
    confirmations: int
    denials: str


async def read_instance(connection: AsyncConnection) -> InstanceRow | None:
    """None: the store was just made."""
    row = (await connection.execute(select(instance))).one_or_none()
    return None if row is None else InstanceRow(row.id, row.created_at, row.revision, row.confirmations, row.denials)


async def read_term(connection: AsyncConnection) -> int:
    """The latest writer's term; 0 when there was none."""
    return int((await connection.execute(select(func.coalesce(func.max(terms.c.term), 0)))).scalar_one())


async def read_policy(connection: AsyncConnection, hash_: str) -> EffectivePolicy | None:
    value = (await connection.execute(select(policies.c.value).where(policies.c.hash == hash_))).scalar_one_or_none()
    return None if value is None else policy_from_json(value)


async def read_row(connection: AsyncConnection, client_id: str) -> Row[Any] | None:
    """The client's row, deleted or not."""
    return (await connection.execute(select(clients).where(clients.c.client_id == client_id))).one_or_none()


async def read_client(connection: AsyncConnection, client_id: str) -> StoredClient | None:
    """The live client. Raises InvalidClientMetadata when a newer or older Holdfast wrote what this one cannot read."""
    row = await read_row(connection, client_id)
    if row is None or row.deleted_at is not None:
        return None
    return _stored_client(row)


def stored_client(row: Row[Any]) -> StoredClient | None:
    """None for what this version cannot read: nothing that it could serve, and a put replaces it."""
    try:
        return _stored_client(row)
    except InvalidClientMetadata:
        return None


def _stored_client(row: Row[Any]) -> StoredClient:
    return StoredClient(
        metadata=from_json(row.value),
        digest=row.digest,
        revision=row.revision,
        updated_at=row.updated_at,
        last_token_at=row.last_token_at,
        since=row.since,
    )


async def read_summaries(connection: AsyncConnection) -> tuple[ClientSummary, ...]:
    """All live clients by client id."""
    wanted = select(clients).with_only_columns(*_SUMMARY).where(clients.c.deleted_at.is_(None)).order_by(clients.c.client_id)
    return tuple([_summary(row) for row in await connection.execute(wanted)])


_SUMMARY = tuple(column for column in clients.c if column.name != "value")


def _summary(row: Row[Any]) -> ClientSummary:
    return ClientSummary(
        client_id=row.client_id,
        owner=Owner(
            namespace=row.namespace,
            name=row.name,
            uid=row.uid,
            generation=row.generation,
            service_account=row.service_account,
        ),
        digest=row.digest,
        policy=row.policy,
        revision=row.revision,
        last_token_at=row.last_token_at,
        deletion_policy=DeletionPolicy(row.deletion_policy),
    )


async def read_tokens(connection: AsyncConnection, since: datetime, most: int) -> tuple[TokenSeen, ...]:
    """Live clients whose last token that was written down is not older than `since`, newest first."""
    columns = (clients.c.client_id, clients.c.namespace, clients.c.name, clients.c.last_token_at)
    recent = (clients.c.last_token_at >= since) & clients.c.deleted_at.is_(None)
    wanted = select(*columns).where(recent).order_by(clients.c.last_token_at.desc()).limit(most)
    return tuple([TokenSeen(*row) for row in await connection.execute(wanted)])


async def read_digests(connection: AsyncConnection) -> list[tuple[str, str]]:
    """(client id, digest) of every live client."""
    wanted = select(clients.c.client_id, clients.c.digest).where(clients.c.deleted_at.is_(None))
    return [(row.client_id, row.digest) for row in await connection.execute(wanted)]


async def read_changes(
    connection: AsyncConnection, after: int, known: Mapping[str, EffectivePolicy]
) -> tuple[list[ClientChange], dict[str, EffectivePolicy]]:
    """What happened to clients after a revision, and the policies they refer to that were not `known` yet.

    Page by page: all rows at once would take several times the memory of the clients made of them, and keep it.
    """
    changes: list[ClientChange] = []
    found: dict[str, EffectivePolicy] = {}
    while rows := (await connection.execute(_changed_since(after))).all():
        wanted = {row.policy for row in rows if row.deleted_at is None} - known.keys() - found.keys()
        found |= {hash_: p for hash_ in sorted(wanted) if (p := await read_policy(connection, hash_)) is not None}
        policies = {**known, **found}
        changes += [_change(row, policies) for row in rows]
        after = rows[-1].revision
    return changes, found


def _changed_since(revision: int) -> Select[Any]:
    """No two clients have one revision: each change of one counts it up."""
    return select(clients).where(clients.c.revision > revision).order_by(clients.c.revision).limit(_PAGE)


def _change(row: Row[Any], known: Mapping[str, EffectivePolicy]) -> ClientChange:
    if row.deleted_at is not None:
        return ClientChange(row.client_id, None, None, row.since, row.deleted_at)
    try:
        return ClientChange(row.client_id, from_json(row.value), known.get(row.policy), row.since)
    except InvalidClientMetadata as error:
        _LOG.error("client %s is not served, its registration cannot be read: %s", row.client_id, error)
        return ClientChange(row.client_id, None, None, row.since)


async def read_audience_owner(connection: AsyncConnection, audience: str) -> ClientMetadata | None:
    """The live client that owns it. Raises InvalidClientMetadata as `read_client` does."""
    wanted = (
        select(clients.c.value)
        .join(claims, claims.c.client_id == clients.c.client_id)
        .where(claims.c.kind == ClaimKind.AUDIENCE, claims.c.value == shortened(audience), clients.c.deleted_at.is_(None))
    )
    value = (await connection.execute(wanted)).scalar_one_or_none()
    return None if value is None else from_json(value)
