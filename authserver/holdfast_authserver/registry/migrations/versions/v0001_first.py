"""The first form of the registry: instance, terms, policies, clients, claims, revoked tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "instance",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("confirmations", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "terms",
        sa.Column("term", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.String(256), nullable=False),
        sa.Column("opened_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("put_at", sa.DateTime, nullable=False),
    )
    _create_clients()
    op.create_table(
        "revoked_tokens",
        sa.Column("jti", sa.String(256), primary_key=True),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("revoked_tokens_by_revision", "revoked_tokens", ["revision"])


def _create_clients() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.String(2048), primary_key=True),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("uid", sa.String(253), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("service_account", sa.String(253), nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.Column("last_token_at", sa.DateTime),
        sa.Column("deleted_at", sa.DateTime),
    )
    op.create_index("clients_by_revision", "clients", ["revision"])
    op.create_index("clients_by_policy", "clients", ["policy"])
    op.create_table(
        "claims",
        sa.Column("client_id", sa.String(2048), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("value", sa.String(4096), primary_key=True),
    )
    op.create_index("claims_by_value", "claims", ["kind", "value"])
