"""Denied certificates, revocation lists, used assertions, signing keys; and claims short enough for any index."""

import sqlalchemy as sa
from alembic import op

from holdfast_authserver.registry.claims import shortened

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("instance", sa.Column("denials", sa.String(64), nullable=False, server_default=""))
    op.create_table("denied_thumbprints", sa.Column("thumbprint", sa.String(43), primary_key=True))
    op.create_table(
        "revocation_lists",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "assertion_ids",
        sa.Column("client_id", sa.String(2048), primary_key=True),
        sa.Column("jti_sha256", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.DateTime, nullable=False),
    )
    op.create_index("assertion_ids_by_expiry", "assertion_ids", ["expires_at"])
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("instance", sa.String(32), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    _shorten_claims()


def _shorten_claims() -> None:
    """PostgreSQL indexes no value of more than 2,704 octets; a long one is known by its hash from now on."""
    claims = sa.table("claims", sa.column("value", sa.String))
    connection = op.get_bind()
    for (value,) in connection.execute(sa.select(claims.c.value).distinct()).all():
        if shortened(value) != value:
            connection.execute(sa.update(claims).where(claims.c.value == value).values(value=shortened(value)))
