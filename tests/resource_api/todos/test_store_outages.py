"""A store that does not answer is an outage that says so, writes nothing by halves, and ends by itself."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner
from sqlalchemy import event

from resource_api.app import create_app
from resource_api.cli import main
from resource_api.errors import TodoStoreUnavailable
from resource_api.todos.database import open_engine
from resource_api.todos.model import Todo
from resource_api.todos.repository import TodoRepository
from tests.resource_api.conftest import bearing, caller, settings_with
from tests.world.key_host import KeyHost
from tests.world.postgres import Postgres, running_postgres
from tests.world.tokens import API_CLIENT_ID, ISSUER, METADATA_URL, access_token

LIST = "/api/todolist"
OUTAGE = (503, "5", "urn:resource-api:problem:store-unavailable")


@pytest.fixture(scope="module")
def frail() -> Iterator[Postgres]:
    """A PostgreSQL that tests may stop; whoever does starts it again."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def hasty(frail: Postgres) -> AsyncIterator[TodoRepository]:
    """A store on it that waits for nothing longer than half a second."""
    store = TodoRepository(open_engine(frail.new_database(), patience=0.5))
    await store.migrate()
    yield store
    await store.aclose()


async def connect(store: TodoRepository) -> asyncpg.Connection:
    """A session of somebody else on the same database."""
    url = store._engine.url
    return await asyncpg.connect(host=str(url.query["host"]), user="todos", database=url.database)


async def test_postgresql_is_stopped_and_comes_back(frail: Postgres, tmp_path: Path, key_host: KeyHost) -> None:
    """While it is away every call is 503 with Retry-After, and the process alive but not ready; then all is there."""
    url = frail.new_database()
    store = TodoRepository(open_engine(url))
    await store.migrate()
    await store.aclose()
    app = create_app(settings_with(tmp_path, database_url=url), transport=key_host.transport)
    headers = bearing(access_token())
    async with app.router.lifespan_context(app), caller(app) as api:
        kept = await api.post(LIST, json={"description": "kept"}, headers=headers)
        await asyncio.gather(*(api.get(LIST, headers=headers) for _ in range(8)))  # the pool is full of connections
        frail.stop()
        try:
            answers = [
                await api.get(LIST, headers=headers),
                await api.get(f"{LIST}/1", headers=headers),
                await api.post(LIST, json={"description": "lost"}, headers=headers),
                await api.put(f"{LIST}/1", json={"description": "lost"}, headers=headers),
                await api.delete(f"{LIST}/1", headers=headers),
                await api.get("/readyz"),
            ]
            alive = await api.get("/livez")
        finally:
            frail.start()
        assert {(one.status_code, one.headers["Retry-After"], one.json()["type"]) for one in answers} == {OUTAGE}
        assert alive.status_code == 200
        assert not [one.text for one in answers if "postgres" in one.text.lower() or str(frail.folder) in one.text]
        for _ in range(8):  # not one caller is told of the connections that were lost
            assert (await api.get(LIST, headers=headers)).json() == [kept.json()]
        assert (await api.get("/readyz")).status_code == 200


async def test_a_start_without_its_database(frail: Postgres, tmp_path: Path) -> None:
    """``serve`` and ``migrate`` end with 2 and say what to check; neither shows an address or a password."""
    path = tmp_path / "resource_api.toml"
    path.write_text(
        f'issuers = ["{ISSUER}"]\nmetadata_url = "{METADATA_URL}"\naudience = "{API_CLIENT_ID}"\n'
        'database_url = "postgresql://todos:s3cret@/todos?host=/nowhere"\n'
    )
    for command in ("serve", "migrate"):
        refused = await asyncio.to_thread(CliRunner().invoke, main, [command, "--config", str(path)])
        assert (refused.exit_code, "Cure: check database_url" in refused.output) == (2, True)
        assert "s3cret" not in refused.output
        assert "/nowhere" not in refused.output


async def test_postgresql_keeps_us_waiting(hasty: TodoRepository) -> None:
    """A lock that somebody else holds is waited for as long as we have patience; nothing is written afterwards."""
    await hasty.add("ada", "before")
    other = await connect(hasty)
    await other.execute("BEGIN; LOCK TABLE todos")
    for call in (hasty.describe(1, "ada", "after"), hasty.list("ada", limit=1), hasty.check()):
        with pytest.raises(TodoStoreUnavailable):
            await call
    await other.close()
    assert [(one.description, one.version) for one in await hasty.list(None, limit=9)] == [("before", 1)]


async def test_postgresql_does_not_take_calls(frail: Postgres) -> None:
    """A server that accepts no new connection is an outage after our patience, not a wait without an end."""
    store = TodoRepository(open_engine(frail.new_database(), patience=0.5))
    assert frail._process is not None
    frail._process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TodoStoreUnavailable):
            await asyncio.wait_for(store.check(), 5)
    finally:
        frail._process.send_signal(signal.SIGCONT)
    await store.migrate()
    await store.check()
    await store.aclose()


async def test_a_connection_is_cut_within_a_write(hasty: TodoRepository) -> None:
    """A write whose connection is cut while it waits is refused, and never happens."""
    await hasty.add("ada", "before")
    holder, killer = await connect(hasty), await connect(hasty)
    await holder.execute("BEGIN; LOCK TABLE todos IN SHARE MODE")
    writing = asyncio.create_task(hasty.describe(1, "ada", "after"))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while not await killer.fetch(cut):  # noqa: ASYNC110 — because only the server knows who waits for the lock
        await asyncio.sleep(0.01)
    with pytest.raises(TodoStoreUnavailable):
        await writing
    await holder.close()
    await killer.close()
    assert (await hasty.find(1, "ada")).description == "before"


async def test_all_connections_are_taken(todos: TodoRepository) -> None:
    """More callers than connections wait for their turn, and all are served."""
    added = await asyncio.gather(*(todos.add("ada", str(number)) for number in range(30)))
    assert len({one.id for one in added}) == 30


async def test_a_file_that_somebody_else_writes_to(tmp_path: Path) -> None:
    """Another process's lock is waited for, then it is an outage for writers alone; readers go on; then all do."""
    path = tmp_path / "todos.sqlite"
    store = TodoRepository(open_engine(f"sqlite+aiosqlite:///{path}", patience=0.2))
    await store.prepare()
    await store.add("ada", "before")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for call in (store.add("ada", "no"), store.describe(1, "ada", "no"), store.remove(1, "ada")):
        with pytest.raises(TodoStoreUnavailable):
            await call
    assert [one.description for one in await store.list("ada", limit=9)] == ["before"]
    await store.check()
    other.close()
    assert (await store.describe(1, "ada", "after")).version == 2
    await store.aclose()


async def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    """A full disk is an outage for writers; what does not fit leaves no trace, and all goes on once there is room."""
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path}/todos.sqlite")
    pages = 12

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(engine.sync_engine, "checkout", limit)
    store = TodoRepository(engine)
    await store.prepare()
    outcomes = [await asyncio.gather(store.add("ada", "x" * 500), return_exceptions=True) for _ in range(100)]
    written = [one for (one,) in outcomes if isinstance(one, Todo)]
    assert all(isinstance(one, Todo | TodoStoreUnavailable) for (one,) in outcomes)
    assert 0 < len(written) < 100
    seen = await store.list("ada", limit=1000)
    assert seen == written
    pages = 1000
    assert (await store.add("ada", "z")).id == seen[-1].id + 1
    await store.aclose()


async def test_a_file_that_is_damaged(tmp_path: Path) -> None:
    """What is no database any more is an outage, in words that tell nothing of the file."""
    path = tmp_path / "todos.sqlite"
    path.write_bytes(b"something else altogether" * 400)
    store = TodoRepository(open_engine(f"sqlite+aiosqlite:///{path}"))
    with pytest.raises(TodoStoreUnavailable) as refusal:
        await store.prepare()
    assert str(path) not in str(refusal.value)
    await store.aclose()


async def test_a_caller_who_leaves_takes_no_connection_along(todos: TodoRepository) -> None:
    """Callers who give up while they wait leave the pool whole: the next ones are served."""
    await todos.add("ada", "x")
    for _ in range(3):
        leaving = [asyncio.create_task(todos.list("ada", limit=1)) for _ in range(20)]
        await asyncio.sleep(0.002)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
    assert len(await asyncio.gather(*(todos.list("ada", limit=1) for _ in range(10)))) == 10
