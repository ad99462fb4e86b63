"""What every store of to-dos does alike: one suite, run on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from resource_api.errors import PreconditionFailed, TodoStoreUnavailable, UnknownTodo
from resource_api.todos.database import open_engine
from resource_api.todos.migration import NEEDED
from resource_api.todos.model import MAX_ID, Condition, Todo
from resource_api.todos.repository import TodoRepository
from tests.world.postgres import Postgres

ADA, BEN = "ada", "ben"
AT_1 = Condition(matching=frozenset({1}))


@pytest.mark.req("A-01", "A-02", "A-03", "A-04", "A-05")
async def test_the_life_of_a_todo_in_a_store(todos: TodoRepository) -> None:
    """Added, found, changed, listed, removed; each change is the next version, and nothing else changes."""
    added = await todos.add(ADA, "Water plants")
    assert added == Todo(1, ADA, "Water plants", 1)
    assert await todos.find(1, ADA) == added
    assert await todos.describe(1, ADA, "Done") == Todo(1, ADA, "Done", 2)
    assert await todos.list(ADA, limit=9) == [Todo(1, ADA, "Done", 2)]
    await todos.remove(1, ADA)
    assert await todos.list(None, limit=9) == []
    with pytest.raises(UnknownTodo):
        await todos.find(1, ADA)


@pytest.mark.req("A-15")
async def test_no_store_gives_an_id_twice(todos: TodoRepository) -> None:
    """Neither after the newest was removed, nor to two who add at once."""
    first = await todos.add(ADA, "x")
    await todos.remove(first.id, ADA)
    added = await asyncio.gather(*(todos.add(ADA, "x") for _ in range(20)))
    assert len({first.id, *(one.id for one in added)}) == 21


@pytest.mark.req("A-21", "A-09")
async def test_another_owner_is_nobody(todos: TodoRepository) -> None:
    """Whoever is not the owner finds, changes and removes nothing; whoever reaches everybody's does all three."""
    one = await todos.add(ADA, "hers")
    for call in (todos.find(1, BEN), todos.describe(1, BEN, "his"), todos.remove(1, BEN, AT_1)):
        with pytest.raises(UnknownTodo):
            await call
    assert await todos.find(1, None) == one
    assert await todos.list(BEN, limit=9) == []
    assert (await todos.describe(1, None, "theirs")).owner == ADA
    await todos.remove(1, None)


@pytest.mark.parametrize("todo_id", [2, MAX_ID])
async def test_an_id_that_is_not_there(todos: TodoRepository, todo_id: int) -> None:
    """No such item is UnknownTodo for every operation, conditions included, up to the largest id."""
    await todos.add(ADA, "x")
    for call in (todos.find(todo_id, ADA), todos.describe(todo_id, None, "y", AT_1), todos.remove(todo_id, ADA)):
        with pytest.raises(UnknownTodo):
            await call


@pytest.mark.parametrize(
    "text", ["x" * 500, "茶を飲む 🍵", "'; DROP TABLE todos; --", "%_\\", "\u202e", "é", "e\u0301"]
)
async def test_text_stays_as_it_is(todos: TodoRepository, text: str) -> None:
    """A store neither normalises nor cuts nor interprets what it is given."""
    assert (await todos.add(text[:255], text)).description == text
    assert [one.owner for one in await todos.list(text[:255], limit=1)] == [text[:255]]


async def test_owners_are_compared_exactly(todos: TodoRepository) -> None:
    """Upper and lower case, accents and trailing spaces make another owner, in every collation."""
    for owner in ("ada", "Ada", "ada ", "adá", "ada\u0301"):
        await todos.add(owner, owner)
    for owner in ("ada", "Ada", "ada ", "adá", "ada\u0301"):
        assert [one.description for one in await todos.list(owner, limit=9)] == [owner]


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        (Condition(), True),
        (Condition(matching=frozenset({2})), True),
        (Condition(matching=frozenset({1, 2, MAX_ID})), True),
        (Condition(matching=frozenset({1, 3})), False),
        (Condition(matching=frozenset()), False),
        (Condition(differing=frozenset({1, 3})), True),
        (Condition(differing=frozenset({1, 2})), False),
        (Condition(matching=frozenset({2}), differing=frozenset({2})), False),
    ],
)
async def test_a_change_is_meant_for_a_version(todos: TodoRepository, condition: Condition, passes: bool) -> None:
    """A change goes through at the versions that its condition names; elsewhere the item stays as it was."""
    await todos.add(ADA, "one")
    seen = await todos.describe(1, ADA, "two")
    if passes:
        assert await todos.describe(1, ADA, "three", condition) == Todo(1, ADA, "three", 3)
        return
    for call in (todos.describe(1, ADA, "three", condition), todos.remove(1, ADA, condition)):
        with pytest.raises(PreconditionFailed):
            await call
    assert await todos.find(1, ADA) == seen


@pytest.mark.parametrize("round_", range(3))
async def test_of_writers_at_once_one_wins(todos: TodoRepository, round_: int) -> None:
    """Eight who mean the same version change it once: one is told the new one, the others that they came too late."""
    await todos.add(ADA, "before")
    outcomes = await asyncio.gather(
        *(todos.describe(1, ADA, f"writer {number}", AT_1) for number in range(8)), return_exceptions=True
    )
    (winner,) = [one for one in outcomes if isinstance(one, Todo)]
    assert sum(isinstance(one, PreconditionFailed) for one in outcomes) == 7
    assert await todos.find(1, ADA) == winner == Todo(1, ADA, winner.description, 2)


async def test_a_change_and_a_removal_at_once(todos: TodoRepository) -> None:
    """Of a change and a removal that mean the same version, one wins; no removed item comes back."""
    for todo_id in range(1, 6):
        await todos.add(ADA, "before")
        outcomes = await asyncio.gather(
            todos.describe(todo_id, ADA, "after", Condition(matching=frozenset({1}))),
            todos.remove(todo_id, ADA, Condition(matching=frozenset({1}))),
            return_exceptions=True,
        )
        changed, removed = isinstance(outcomes[0], Todo), outcomes[1] is None
        assert changed != removed
        assert [one.id for one in await todos.list(ADA, after=todo_id - 1, limit=9)] == ([todo_id] if changed else [])


async def test_every_unconditional_change_counts(todos: TodoRepository) -> None:
    """Ten who ask for no version all write: ten versions later the item is one of theirs."""
    await todos.add(ADA, "before")
    await asyncio.gather(*(todos.describe(1, ADA, f"writer {number}") for number in range(10)))
    assert (await todos.find(1, ADA)).version == 11


async def test_pages_follow_each_other(todos: TodoRepository) -> None:
    """Pages hold each item once and in order, whatever is added or removed between them."""
    made = [(await todos.add(ADA, str(number))).id for number in range(7)]
    await todos.add(BEN, "between")
    first = await todos.list(ADA, limit=3)
    await todos.remove(made[2], ADA)
    late = await todos.add(ADA, "late")
    second = await todos.list(ADA, after=first[-1].id, limit=3)
    third = await todos.list(ADA, after=second[-1].id, limit=3)
    assert [one.id for one in first + second + third] == [*made, late.id]


async def test_a_store_without_tables_is_an_outage(todos: TodoRepository) -> None:
    """What the database complains of is TodoStoreUnavailable; its words and our values are in no message."""
    async with todos._engine.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE todos")
    for call in (todos.check(), todos.list(ADA, limit=1), todos.add(ADA, "secret words"), todos.remove(1, ADA)):
        with pytest.raises(TodoStoreUnavailable) as refusal:
            await call
        assert "secret words" not in str(refusal.value)


@pytest.mark.req("P-01")
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgresql+psycopg"])
def test_postgresql_is_reached_as_its_own_tools_write_it(scheme: str) -> None:
    """Whatever driver a URL names, ours is used; ``sslmode`` reaches it, and the password is in no repr."""
    engine = open_engine(f"{scheme}://ada:s3cret@db.example:5433/todos?sslmode=verify-full")
    assert engine.url.render_as_string() == "postgresql+asyncpg://ada:***@db.example:5433/todos?ssl=verify-full"
    assert "s3cret" not in repr(engine)


async def test_serving_needs_few_rights(postgres: Postgres) -> None:
    """A user who may read and write to-dos and read the schema's version can do everything but migrate."""
    url = postgres.new_database()
    owner = TodoRepository(open_engine(url))
    await owner.migrate()
    await owner.aclose()
    database = url.partition("@/")[2].partition("?")[0]
    postgres.run("DROP ROLE IF EXISTS serving")
    postgres.run("CREATE ROLE serving LOGIN")
    postgres.run(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON todos TO serving; GRANT SELECT ON alembic_version TO serving; "
        "GRANT USAGE ON SEQUENCE todos_id_seq TO serving",
        database,
    )
    serving = TodoRepository(open_engine(url.replace("//todos@", "//serving@")))
    await serving.prepare()
    await serving.add(ADA, "x")
    await serving.describe(1, ADA, "y")
    await serving.remove(1, ADA)
    assert await serving.migrate() == (NEEDED, NEEDED)  # nothing to do, so that nothing is asked for
    await serving.aclose()
    postgres.run("DROP OWNED BY serving", database)
    postgres.run("DROP ROLE serving")
