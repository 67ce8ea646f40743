"""Client assertions that were used: each is taken once, whichever worker or replica sees it first (RFC 7523 section 3).

Owns the statements. An id is kept as its hash, since it is a stranger's text of any length.
"""

from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from holdfast_authserver.registry.dialect import insert_or_ignore
from holdfast_authserver.registry.tables import assertion_ids

_LEEWAY = timedelta(minutes=5)
"""Kept for longer than they live, so that a server whose clock is behind does not take one again."""


async def insert_assertion(connection: AsyncConnection, client_id: str, jti: str, expires_at: datetime) -> bool:
    """Whether this is the first time; one statement, so that of two at the same time one loses."""
    values = {"client_id": client_id, "jti_sha256": sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()}
    row = insert_or_ignore(connection, assertion_ids, {**values, "expires_at": expires_at})
    return (await connection.execute(row)).rowcount == 1


async def purge_assertions(connection: AsyncConnection, now: datetime) -> None:
    await connection.execute(delete(assertion_ids).where(assertion_ids.c.expires_at < now - _LEEWAY))
