"""Each to-do counts its changes, so that a change can be meant for one version of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the count; what is there begins at 1, and so does what an older version of the code still adds."""
    op.add_column("todos", sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"))
