"""The database: a SQLite file in WAL mode, or PostgreSQL through asyncpg. The only place where an engine is made."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

PATIENCE: Final = 5.0
"""Seconds to wait for a connection, for another's lock, and for the answer to one statement."""

_SQLITE, _POSTGRESQL = "sqlite+aiosqlite:///todos.sqlite", "postgresql+asyncpg://user@host/todos"
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_OPTIONS: Final = frozenset({"host", "port", "sslmode"})
_TLS_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CONNECTIONS: Final = 5
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an acknowledged write outlives a power failure, not only a killed process
)


def database_faults(url: str) -> list[str]:
    """Why this URL cannot be served, with the cure; the URL itself is never quoted, it may hold a password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return [f"database_url is no database URL. Cure: {_SQLITE}, or {_POSTGRESQL}"]
    backend = parsed.get_backend_name()
    if backend not in _DRIVERS:
        return [f"database_url names {backend}. Cure: {_SQLITE}, or {_POSTGRESQL}"]
    return _sqlite_faults(parsed) if backend == "sqlite" else _postgresql_faults(parsed)


def _sqlite_faults(parsed: URL) -> list[str]:
    if parsed.database in {None, "", ":memory:"}:
        return [f"database_url names no file, so that a restart loses everything. Cure: {_SQLITE}"]
    if not Path(parsed.database or "").absolute().parent.is_dir():
        return ["database_url names a file in a folder that is not there. Cure: create the folder, or name another"]
    return []


def _postgresql_faults(parsed: URL) -> list[str]:
    if not parsed.database:
        return [f"database_url names no database. Cure: {_POSTGRESQL}"]
    if importlib.util.find_spec("asyncpg") is None:
        return ["database_url names PostgreSQL, whose driver is missing. Cure: pip install 'sealed-bff[postgres]'"]
    if unknown := parsed.query.keys() - _OPTIONS:
        return [f"database_url asks for {', '.join(sorted(unknown))}. Cure: only {', '.join(sorted(_OPTIONS))}"]
    if parsed.query.get("sslmode", "prefer") not in _TLS_MODES:
        return [f"database_url has another sslmode than there are. Cure: one of {', '.join(_TLS_MODES)}"]
    return []


def open_engine(url: str, *, patience: float = PATIENCE) -> AsyncEngine:
    """An engine for this URL, whose driver is ours to choose; nothing is opened yet. ``patience`` is in seconds."""
    parsed = make_url(url)
    parsed = parsed.set(drivername=_DRIVERS[parsed.get_backend_name()])
    pool: dict[str, Any] = {"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": patience}
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, patience, pool)
    return create_async_engine(
        _with_libpq_tls(parsed),
        hide_parameters=True,
        pool_pre_ping=True,  # after a failover the first caller is not told of the connections that it cost
        connect_args={
            "timeout": patience,
            "command_timeout": patience,
            "server_settings": {"application_name": "resource-api"},
        },
        **pool,
    )


def _sqlite_engine(url: URL, patience: float, pool: dict[str, Any]) -> AsyncEngine:
    engine = create_async_engine(url, hide_parameters=True, connect_args={"timeout": patience}, **pool)
    event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _with_libpq_tls(url: URL) -> URL:
    """``sslmode``, as PostgreSQL's own tools and most hosts write it, under the name that asyncpg gives it."""
    mode = url.query.get("sslmode")
    return url if mode is None else url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 — because it is any driver's connection
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()
