"""The one table, as this version of the code needs it. How a database gets there is in ``migrations``."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

from resource_api.todos.model import MAX_DESCRIPTION, MAX_OWNER

SCHEMA_VERSIONS: Final = ("0001", "0002")
"""Every version that there was, oldest first; each is the revision of one file in ``migrations/versions``."""

metadata = MetaData()
todos = Table(
    "todos",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("owner", String(MAX_OWNER), nullable=False),
    Column("description", String(MAX_DESCRIPTION), nullable=False),
    Column("version", BigInteger, nullable=False, server_default="1"),
    Index("todos_by_owner", "owner", "id"),
    sqlite_autoincrement=True,  # without it SQLite gives the highest id again after its row was deleted
)
schema_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
