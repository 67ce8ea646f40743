"""What is to become of a client without its object."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    column = sa.Column("deletion_policy", sa.String(16), nullable=False, server_default="Delete")
    op.add_column("clients", column)
