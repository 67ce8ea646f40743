"""Revoked tokens by client, so that those of one client can be counted, and revoked as a whole."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """What was revoked before belongs to nobody: it ends within a day."""
    op.add_column("revoked_tokens", sa.Column("client_id", sa.String(2048), nullable=False, server_default=""))
    op.add_column("revoked_tokens", sa.Column("issued_at", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("revoked_tokens_by_client", "revoked_tokens", ["client_id"])
    op.create_table(
        "revoked_before",
        sa.Column("client_id", sa.String(2048), primary_key=True),
        sa.Column("before", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
