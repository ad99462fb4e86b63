"""The to-dos. A database that has them already, without any record of its version, is taken over as it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table and its index, where they are missing."""
    op.create_table(
        "todos",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )
    op.create_index("todos_by_owner", "todos", ["owner", "id"], if_not_exists=True)
