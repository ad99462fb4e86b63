"""Both stores, for every test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from resource_api.todos.database import open_engine
from resource_api.todos.repository import TodoRepository
from tests.world.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of this process; each has a database of its own in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/todos.sqlite"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty database of PostgreSQL."""
    return postgres.new_database()


@pytest.fixture
async def todos(database_url: str) -> AsyncIterator[TodoRepository]:
    """An empty store, ready to be used."""
    store = TodoRepository(open_engine(database_url))
    await store.migrate()
    yield store
    await store.aclose()
