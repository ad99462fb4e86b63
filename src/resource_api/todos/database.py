"""The database: a SQLite file in WAL mode, and the one table in it. The only place where an engine is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from resource_api.todos.model import MAX_DESCRIPTION, MAX_OWNER

BUSY_MILLISECONDS = 5000
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an acknowledged write outlives a power failure, not only a killed process
    f"PRAGMA busy_timeout={BUSY_MILLISECONDS}",
)

metadata = MetaData()
todos = Table(
    "todos",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("owner", String(MAX_OWNER), nullable=False),
    Column("description", String(MAX_DESCRIPTION), nullable=False),
    Index("todos_by_owner", "owner", "id"),
    sqlite_autoincrement=True,  # without it SQLite gives the highest id again after its row was deleted
)


def database_faults(url: str) -> list[str]:
    """Why this URL cannot be served, with the cure; the URL itself is never quoted, it may hold a password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return ["database_url is no database URL. Cure: sqlite+aiosqlite:///todos.sqlite"]
    if parsed.get_backend_name() != "sqlite":
        return [f"database_url names {parsed.get_backend_name()}. Cure: sqlite+aiosqlite:///todos.sqlite"]
    if parsed.database in {None, "", ":memory:"}:
        return [
            "database_url names no file, so that a restart loses everything. Cure: sqlite+aiosqlite:///todos.sqlite"
        ]
    if not Path(parsed.database or "").absolute().parent.is_dir():
        return ["database_url names a file in a folder that is not there. Cure: create the folder, or name another"]
    return []


def open_engine(url: str) -> AsyncEngine:
    """An engine for this URL; nothing is opened yet."""
    parsed = make_url(url).set(drivername="sqlite+aiosqlite")
    engine = create_async_engine(
        parsed, hide_parameters=True, pool_size=5, max_overflow=0, pool_timeout=BUSY_MILLISECONDS / 1000
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 — because it is any driver's connection
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


async def migrate(engine: AsyncEngine) -> None:
    """Bring the schema to what this version needs; run again it changes nothing."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
