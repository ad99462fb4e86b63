"""A database's way from one version of the code to the next, on both stores."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import Connection, inspect

from resource_api.cli import main
from resource_api.errors import ConfigurationError, TodoStoreUnavailable
from resource_api.todos.database import open_engine
from resource_api.todos.model import Todo
from resource_api.todos.repository import TodoRepository
from resource_api.todos.schema import SCHEMA_VERSIONS, metadata
from tests.world.tokens import API_CLIENT_ID, ISSUER, METADATA_URL

NEWEST = SCHEMA_VERSIONS[-1]
# What the version before there were migrations made, to the letter.
BEFORE_MIGRATIONS = {
    "sqlite": (
        "CREATE TABLE todos (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, owner VARCHAR(255) NOT NULL, "
        "description VARCHAR(500) NOT NULL)"
    ),
    "postgresql": (
        "CREATE TABLE todos (id BIGSERIAL NOT NULL, owner VARCHAR(255) NOT NULL, "
        "description VARCHAR(500) NOT NULL, PRIMARY KEY (id))"
    ),
}
ITS_ROWS = (
    "CREATE INDEX todos_by_owner ON todos (owner, id)",
    "INSERT INTO todos (owner, description) VALUES ('ada', 'one'), ('ben', 'two'), ('ada', 'three')",
    "DELETE FROM todos WHERE description = 'three'",
)


async def run(url: str, *statements: str) -> None:
    """Run statements as nobody's code of ours would."""
    engine = open_engine(url)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    await engine.dispose()


def before_migrations(url: str) -> tuple[str, ...]:
    """The statements that make a database of the version before."""
    return BEFORE_MIGRATIONS[url.partition("+")[0]], *ITS_ROWS


async def migrated(url: str) -> tuple[str | None, str]:
    """Migrate as a job of its own does."""
    store = TodoRepository(open_engine(url))
    try:
        return await store.migrate()
    finally:
        await store.aclose()


def test_each_version_is_known_by_its_name() -> None:
    """The versions that the code names are the migrations that there are, in one line without branches."""
    config = Config()
    config.set_main_option("script_location", "resource_api.todos:migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(one.revision for one in scripts.walk_revisions())[::-1] == SCHEMA_VERSIONS
    assert scripts.get_heads() == [NEWEST]


@pytest.mark.parametrize("before", [(), "before"])
async def test_the_migrations_end_where_the_code_begins(database_url: str, before: object) -> None:
    """From nothing and from an old database alike, tables, columns and indexes are those that the code declares."""
    await run(database_url, *(before_migrations(database_url) if before else ()))
    await migrated(database_url)
    engine = open_engine(database_url)

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_database_from_before_is_taken_over(database_url: str) -> None:
    """To-dos of the version that kept no record of its schema are all there, and ids go on where they were."""
    await run(database_url, *before_migrations(database_url))
    assert await migrated(database_url) == ("0001", NEWEST)
    store = TodoRepository(open_engine(database_url))
    assert await store.list(None, limit=9) == [Todo(1, "ada", "one", 1), Todo(2, "ben", "two", 1)]
    assert (await store.add("ada", "four")).id == 4
    await store.aclose()


async def test_an_older_replica_may_still_write(database_url: str) -> None:
    """What a process of the version before adds while it is replaced begins at version 1."""
    await migrated(database_url)
    await run(database_url, "INSERT INTO todos (owner, description) VALUES ('ada', 'late')")
    store = TodoRepository(open_engine(database_url))
    assert await store.list("ada", limit=9) == [Todo(1, "ada", "late", 1)]
    await store.aclose()


@pytest.mark.parametrize("before", [(), "before"])
async def test_jobs_at_once_migrate_once(database_url: str, before: object) -> None:
    """Of four jobs that start together one does the work; the others wait for it and find it done."""
    await run(database_url, *(before_migrations(database_url) if before else ()))
    told = await asyncio.gather(*(migrated(database_url) for _ in range(4)))
    assert sorted(told, key=str) == sorted([("0001" if before else None, NEWEST), *[(NEWEST, NEWEST)] * 3], key=str)


async def test_a_migration_is_done_or_not_done(database_url: str) -> None:
    """One that fails half-way leaves the database as it was: no table, no column, no record of a version."""
    await run(database_url, *before_migrations(database_url), "ALTER TABLE todos ADD COLUMN version INTEGER")
    with pytest.raises(TodoStoreUnavailable):
        await migrated(database_url)
    engine = open_engine(database_url)
    async with engine.connect() as connection:
        tables = await connection.run_sync(lambda one: inspect(one).get_table_names())
    await engine.dispose()
    assert tables == ["todos"]


@pytest.mark.parametrize("how", ["prepare", "migrate"])
async def test_a_newer_database_is_left_alone(database_url: str, how: str) -> None:
    """A schema that this version does not know is neither used nor changed; the cure says what to run."""
    await migrated(database_url)
    await run(database_url, "UPDATE alembic_version SET version_num = '9999'")
    store = TodoRepository(open_engine(database_url))
    with pytest.raises(ConfigurationError, match=r"9999, unknown here .* Cure: run the version"):
        await getattr(store, how)()
    await store.aclose()


@pytest.mark.parametrize("before", [(), "before"])
async def test_postgresql_waits_for_its_job(postgres_url: str, before: object) -> None:
    """Serving changes no schema of a shared database: it names the job that does, and is content afterwards."""
    await run(postgres_url, *(before_migrations(postgres_url) if before else ()))
    store = TodoRepository(open_engine(postgres_url))
    with pytest.raises(ConfigurationError, match="Cure: run resource-api migrate, once"):
        await store.prepare()
    await migrated(postgres_url)
    await store.prepare()
    await store.aclose()


async def test_a_file_migrates_itself(tmp_path: Path) -> None:
    """Serving a SQLite file brings it up to date, with everything that was in it."""
    url = f"sqlite+aiosqlite:///{tmp_path}/todos.sqlite"
    await run(url, *before_migrations(url))
    store = TodoRepository(open_engine(url))
    await store.prepare()
    assert [one.description for one in await store.list(None, limit=9)] == ["one", "two"]
    await store.aclose()


def test_the_start_says_which_job_is_missing(postgres_url: str, tmp_path: Path) -> None:
    """``serve`` on a database without its schema ends with 2, the cure and no traceback; ``migrate`` is that cure."""
    path = tmp_path / "resource_api.toml"
    path.write_text(
        f'issuers = ["{ISSUER}"]\nmetadata_url = "{METADATA_URL}"\naudience = "{API_CLIENT_ID}"\n'
        f'database_url = "{postgres_url}"\n'
    )
    refused = CliRunner().invoke(main, ["serve", "--config", str(path)])
    assert (refused.exit_code, "Cure: run resource-api migrate" in refused.output) == (2, True)
    assert "Traceback" not in refused.output
    done = CliRunner().invoke(main, ["migrate", "--config", str(path)])
    assert (done.exit_code, done.output) == (0, f"The database went from nothing to schema version {NEWEST}.\n")
