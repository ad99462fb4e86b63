"""Reading and writing to-dos: each method is one transaction, and the only door to SQLAlchemy's exceptions.

``owner=None`` reaches everybody's items (an application's view, A-21); a given owner reaches only their own, in the
very statement that reads or writes, so that no check can be forgotten between two of them. The same holds for the
version that a change is meant for: of two writers who mean the same one, the database lets one through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, true, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from resource_api.errors import PreconditionFailed, TodoStoreUnavailable, UnknownTodo
from resource_api.todos.migration import NEEDED, migrate, require_schema, version_of
from resource_api.todos.model import UNCONDITIONAL, Condition, Todo
from resource_api.todos.schema import todos

_COLUMNS = (todos.c.id, todos.c.owner, todos.c.description, todos.c.version)


class TodoRepository:
    """The to-dos of one database. Every method raises TodoStoreUnavailable where that does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # One SELECT needs no transaction, and on a network its begin and its end are round trips of their own.
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT") if _is_shared(engine) else engine

    async def prepare(self) -> None:
        """Make sure of the schema: a SQLite file is migrated, PostgreSQL is left to the job that may (``migrate``).

        Raises ConfigurationError where the schema is not the one that this version needs.
        """
        async with _translated():
            if _is_shared(self._engine):
                await require_schema(self._engine)
            elif await version_of(self._engine) != NEEDED:
                await migrate(self._engine)

    async def migrate(self) -> tuple[str | None, str]:
        """Bring the schema to what this version needs; return where it was (None: nowhere) and where it is."""
        async with _translated():
            return await migrate(self._engine)

    async def check(self) -> None:
        """Ask the database anything."""
        async with self._reading() as connection:
            await connection.execute(select(todos.c.id).limit(1))

    async def list(self, owner: str | None, *, after: int = 0, limit: int) -> list[Todo]:
        """The items within reach whose id is above ``after``, oldest first, ``limit`` at most."""
        asked = select(*_COLUMNS).where(_of(owner), todos.c.id > after).order_by(todos.c.id).limit(limit)
        async with self._reading() as connection:
            return [_todo(row) for row in await connection.execute(asked)]

    async def find(self, todo_id: int, owner: str | None) -> Todo:
        """One item. Raises UnknownTodo where it is not there or not within reach."""
        async with self._reading() as connection:
            return await _find(connection, todo_id, owner)

    async def add(self, owner: str, description: str) -> Todo:
        """A new item, with an id that was never given before."""
        async with self._writing() as connection:
            made = await connection.execute(
                insert(todos).values(owner=owner, description=description, version=1).returning(*_COLUMNS)
            )
            return _todo(made.one())

    async def describe(
        self, todo_id: int, owner: str | None, description: str, condition: Condition = UNCONDITIONAL
    ) -> Todo:
        """The item with a new description and the next version, and nothing else changed.

        Raises UnknownTodo as ``find`` does, PreconditionFailed where the item is at another version than meant.
        """
        changing = update(todos).values(description=description, version=todos.c.version + 1)
        async with self._writing() as connection:
            changed = await connection.execute(changing.where(*_meant(todo_id, owner, condition)).returning(*_COLUMNS))
            return await _changed(connection, changed.first(), todo_id, owner)

    async def remove(self, todo_id: int, owner: str | None, condition: Condition = UNCONDITIONAL) -> None:
        """The item is gone. Raises as ``describe`` does."""
        removing = delete(todos).where(*_meant(todo_id, owner, condition)).returning(*_COLUMNS)
        async with self._writing() as connection:
            gone = await connection.execute(removing)
            await _changed(connection, gone.first(), todo_id, owner)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with _translated(), self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        async with _translated(), self._engine.begin() as connection:
            yield connection


def _is_shared(engine: AsyncEngine) -> bool:
    """Whether other machines may use this database too."""
    return engine.dialect.name != "sqlite"


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """OSError is what asyncpg raises where nobody listens, and its TimeoutError where nobody answers in time."""
    try:
        yield
    except (IntegrityError, DataError):
        raise  # a constraint that our own checks let somebody break: a fault of ours, no outage
    except (DBAPIError, PoolTimeoutError, OSError) as error:
        raise TodoStoreUnavailable(type(error).__name__) from error


async def _find(connection: AsyncConnection, todo_id: int, owner: str | None) -> Todo:
    found = (await connection.execute(select(*_COLUMNS).where(todos.c.id == todo_id, _of(owner)))).first()
    if found is None:
        raise UnknownTodo
    return _todo(found)


async def _changed(
    connection: AsyncConnection, row: Row[Any, Any, Any, Any] | None, todo_id: int, owner: str | None
) -> Todo:
    """The row that a statement changed; where it changed none, the same transaction tells why."""
    if row is None:
        await _find(connection, todo_id, owner)
        raise PreconditionFailed
    return _todo(row)


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else todos.c.owner == owner


def _meant(todo_id: int, owner: str | None, condition: Condition) -> Iterator[ColumnElement[bool]]:
    yield todos.c.id == todo_id
    yield _of(owner)
    if condition.matching is not None:
        yield todos.c.version.in_(sorted(condition.matching))
    if condition.differing:
        yield todos.c.version.not_in(sorted(condition.differing))


def _todo(row: Row[Any, Any, Any, Any]) -> Todo:
    return Todo(row.id, row.owner, row.description, row.version)
