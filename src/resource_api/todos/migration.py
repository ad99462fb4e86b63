"""Which schema a database has, and its way to the one that this version of the code needs.

A database is migrated in one transaction that no other such one can overlap: two jobs at once leave it as one would.
Alembic enters here and in ``migrations`` alone, and only where there is something to do.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from resource_api.errors import ConfigurationError
from resource_api.todos.schema import SCHEMA_VERSIONS, schema_version, todos

NEEDED: Final = SCHEMA_VERSIONS[-1]
_LOCK: Final = 0x746F646F73  # an advisory lock is a number: these five bytes are "todos"


async def version_of(engine: AsyncEngine) -> str | None:
    """The schema version of this database: the oldest where it has to-dos and no version, None where it is empty."""
    async with engine.connect() as connection:
        return await connection.run_sync(_version)


async def migrate(engine: AsyncEngine) -> tuple[str | None, str]:
    """Bring the schema to what this version needs; return where it was and where it is. Run again it changes nothing.

    Raises ConfigurationError where the database belongs to a newer version of the code.
    """
    async with engine.begin() as connection:
        await _lock(connection)
        before = await connection.run_sync(_version)
        _refuse_newer(before)
        if before != NEEDED:
            await connection.run_sync(_upgrade)
    return before, NEEDED


async def require_schema(engine: AsyncEngine) -> None:
    """Return if the database has the schema that this version needs. Raises ConfigurationError, with the cure."""
    found = await version_of(engine)
    _refuse_newer(found)
    if found != NEEDED:
        state = "is empty" if found is None else f"has schema version {found}"
        raise ConfigurationError(
            [f"the database {state}, and this version needs {NEEDED}. Cure: run resource-api migrate, once"]
        )


def _refuse_newer(version: str | None) -> None:
    if version is not None and version not in SCHEMA_VERSIONS:
        cure = "Cure: run the version of resource-api that migrated it, or a newer one"
        raise ConfigurationError(
            [f"the database has schema version {version}, unknown here (it needs {NEEDED}). {cure}"]
        )


async def _lock(connection: AsyncConnection) -> None:
    """Let nobody else migrate until this transaction ends; whoever waits finds the work done."""
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _version(connection: Connection) -> str | None:
    tables = inspect(connection)
    if tables.has_table(schema_version.name):
        found = connection.execute(select(schema_version.c.version_num)).scalar()
        if found is not None:
            return str(found)
    # The first version of the code kept no record of its schema, which is the oldest one.
    return SCHEMA_VERSIONS[0] if tables.has_table(todos.name) else None


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "resource_api.todos:migrations")
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
