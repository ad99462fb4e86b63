"""Reading and writing to-dos: each method is one transaction, and the only door to SQLAlchemy's exceptions.

``owner=None`` reaches everybody's items (an application's view, A-21); a given owner reaches only their own, in the
very statement that reads or writes, so that no check can be forgotten between two of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, true, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from resource_api.errors import TodoStoreUnavailable, UnknownTodo
from resource_api.todos.database import migrate, todos
from resource_api.todos.model import Todo

_COLUMNS = (todos.c.id, todos.c.owner, todos.c.description)


class TodoRepository:
    """The to-dos of one database. Every method raises TodoStoreUnavailable where that does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def prepare(self) -> None:
        """Create what is missing of the schema."""
        async with _translated():
            await migrate(self._engine)

    async def check(self) -> None:
        """Ask the database anything."""
        async with self._reading() as connection:
            await connection.execute(select(todos.c.id).limit(1))

    async def list(self, owner: str | None) -> list[Todo]:
        """All items within reach, oldest first."""
        async with self._reading() as connection:
            rows = await connection.execute(select(*_COLUMNS).where(_of(owner)).order_by(todos.c.id))
            return [_todo(row) for row in rows]

    async def find(self, todo_id: int, owner: str | None) -> Todo:
        """One item. Raises UnknownTodo where it is not there or not within reach."""
        async with self._reading() as connection:
            found = await connection.execute(select(*_COLUMNS).where(todos.c.id == todo_id, _of(owner)))
            return _found(found.first())

    async def add(self, owner: str, description: str) -> Todo:
        """A new item, with an id that was never given before."""
        async with self._writing() as connection:
            made = await connection.execute(
                insert(todos).values(owner=owner, description=description).returning(*_COLUMNS)
            )
            return _todo(made.one())

    async def describe(self, todo_id: int, owner: str | None, description: str) -> Todo:
        """The item with a new description and nothing else changed. Raises UnknownTodo as ``find`` does."""
        async with self._writing() as connection:
            changed = await connection.execute(
                update(todos)
                .where(todos.c.id == todo_id, _of(owner))
                .values(description=description)
                .returning(*_COLUMNS)
            )
            return _found(changed.first())

    async def remove(self, todo_id: int, owner: str | None) -> None:
        """The item is gone. Raises UnknownTodo as ``find`` does."""
        async with self._writing() as connection:
            gone = await connection.execute(delete(todos).where(todos.c.id == todo_id, _of(owner)).returning(*_COLUMNS))
            _found(gone.first())

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with _translated(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        async with _translated(), self._engine.begin() as connection:
            yield connection


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # a constraint that our own checks let somebody break: a fault of ours, no outage
    except (DBAPIError, PoolTimeoutError) as error:
        raise TodoStoreUnavailable(type(error).__name__) from error


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else todos.c.owner == owner


def _todo(row: Row[Any, Any, Any]) -> Todo:
    return Todo(row.id, row.owner, row.description)


def _found(row: Row[Any, Any, Any] | None) -> Todo:
    if row is None:
        raise UnknownTodo
    return _todo(row)
