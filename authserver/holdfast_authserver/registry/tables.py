"""The tables of the registry, as the newest migration leaves them. Must not know what the values mean."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Index, LargeBinary, MetaData, String, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime, which SQLite would give back without its zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()

instance = Table(
    "instance",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("confirmations", BigInteger, nullable=False),
    Column("denials", String(64), nullable=False, server_default=""),
)
"""One row. `revision` grows with every change of content; `confirmations` with every comparison a writer finished;
`denials` is the digest of the next two tables' content (`denials.py`)."""

denied_thumbprints = Table("denied_thumbprints", metadata, Column("thumbprint", String(43), primary_key=True))

revocation_lists = Table(
    "revocation_lists",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("der", LargeBinary, nullable=False),
)

terms = Table(
    "terms",
    metadata,
    Column("term", BigInteger, primary_key=True, autoincrement=False),
    Column("holder", String(256), nullable=False),
    Column("opened_at", UtcTime, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("put_at", UtcTime, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(2048), primary_key=True),
    Column("namespace", String(253), nullable=False),
    Column("name", String(253), nullable=False),
    Column("uid", String(253), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("service_account", String(253), nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("value", JSON, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("last_token_at", UtcTime),
    Column("deleted_at", UtcTime),
    Column("deletion_policy", String(16), nullable=False, server_default="Delete"),
    Index("clients_by_revision", "revision"),
    Index("clients_by_policy", "policy"),
)
"""A deleted client keeps its row, and with it its place in the feed, until the grace period is over. `uid` "": an orphan."""

claims = Table(
    "claims",
    metadata,
    Column("client_id", String(2048), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("value", String(4096), primary_key=True),
    Index("claims_by_value", "kind", "value"),
)

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("jti", String(256), primary_key=True),
    Column("expires_at", UtcTime, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("client_id", String(2048), nullable=False, server_default=""),
    Column("issued_at", BigInteger, nullable=False, server_default="0"),
    Index("revoked_tokens_by_revision", "revision"),
    Index("revoked_tokens_by_client", "client_id"),
)

revoked_before = Table(
    "revoked_before",
    metadata,
    Column("client_id", String(2048), primary_key=True),
    Column("before", BigInteger, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""Clients that lost every token issued earlier than `before`, in seconds since the epoch."""

assertion_ids = Table(
    "assertion_ids",
    metadata,
    Column("client_id", String(2048), primary_key=True),
    Column("jti_sha256", String(64), primary_key=True),
    Column("expires_at", UtcTime, nullable=False),
    Index("assertion_ids_by_expiry", "expires_at"),
)
"""Client assertions that were used, until they are expired."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("instance", String(32), nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)
"""Where several servers share a database, their keys lie in it, encrypted. The registry does not look into them."""
