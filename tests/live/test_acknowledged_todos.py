"""What the API has acknowledged is there, whatever is killed: the process that answered, or the database below it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.world.live_api import LiveApi, live_api
from tests.world.postgres import Postgres, running_postgres
from tests.world.tokens import ALICE, access_token

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

LIST = "/api/todolist"
WRITERS, SECONDS = 6, 0.7


@dataclass
class Acknowledged:
    """What was answered with success. A write without an answer may have happened or not, and is in ``unknown``."""

    stored: dict[int, str] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    unknown: dict[int, str | None] = field(default_factory=dict)

    def judge(self, held: dict[int, str]) -> None:
        """Everything acknowledged is held as it was acknowledged, and nothing removed came back.

        Whichever way a write without an answer went, it stays that way: from here on it is known.
        """
        for todo_id, text in self.stored.items():
            assert held.get(todo_id) in {text, self.unknown.get(todo_id, text)}
        assert not self.removed & held.keys()
        self.removed |= self.stored.keys() - held.keys()
        self.stored = {todo_id: held[todo_id] for todo_id in self.stored.keys() & held.keys()}
        self.unknown.clear()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server that flushes what it acknowledges, as one in production does."""
    with running_postgres(durable=True) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveApi]:
    """A live API on each store in turn."""
    url = f"sqlite+aiosqlite:///{tmp_path}/todos.sqlite"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    with live_api(tmp_path, url) as served:
        yield served


async def write(client: httpx.AsyncClient, writer: int, known: Acknowledged) -> None:
    """Add, change and remove without a pause, until no answer comes any more."""
    number = 0
    while True:
        number += 1
        text = f"{writer}:{number}"
        added = await client.post(LIST, json={"description": text})
        if added.status_code != 201:
            return
        todo_id = added.json()["id"]
        known.stored[todo_id] = text
        if number % 3 == 0:
            known.unknown[todo_id] = changed = f"{text}, changed"
            if (await client.put(f"{LIST}/{todo_id}", json={"description": changed})).status_code != 200:
                return
            known.stored[todo_id] = changed
        if number % 5 == 0:
            known.unknown[todo_id] = None
            if (await client.delete(f"{LIST}/{todo_id}")).status_code != 200:
                return
            del known.stored[todo_id]
            known.removed.add(todo_id)


async def until_killed(url: str, known: Acknowledged, kill: Callable[[], None]) -> None:
    """Many who write at once, and somebody who kills in the midst of it."""
    headers = {"Authorization": f"Bearer {access_token(oid=ALICE)}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=15) as client:
        writing = [asyncio.create_task(write(client, writer, known)) for writer in range(WRITERS)]
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(kill)
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert not [one for one in outcomes if one is not None and not isinstance(one, httpx.TransportError)]


async def held(url: str) -> dict[int, str]:
    """Everything that the API has now, page by page."""
    headers = {"Authorization": f"Bearer {access_token(oid=ALICE)}"}
    found: dict[int, str] = {}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=15) as client:
        page: str | None = f"{LIST}?limit=1000"
        while page is not None:
            answer = await client.get(page)
            assert answer.status_code == 200
            found |= {one["id"]: one["description"] for one in answer.json()}
            page = answer.links.get("next", {}).get("url")
    return found


async def test_a_killed_process_loses_nothing_it_acknowledged(api: LiveApi) -> None:
    """Three times killed in the midst of writing and started again: all that was answered is there, as answered."""
    known = Acknowledged()
    for _ in range(3):
        await until_killed(api.url, known, lambda: api.stop(signal.SIGKILL))
        api.start()
        known.judge(await held(api.url))
    assert len(known.stored) > 30
    assert known.removed


@pytest.mark.parametrize("api", ["postgresql"], indirect=True)
async def test_a_killed_database_loses_nothing_either(api: LiveApi, postgres: Postgres) -> None:
    """PostgreSQL killed under load: callers are told 503, and what they were acknowledged is there once it is back."""
    known = Acknowledged()
    for _ in range(2):
        await until_killed(api.url, known, lambda: postgres.stop(signal.SIGKILL))
        await asyncio.to_thread(postgres.start)
        known.judge(await held(api.url))
    assert len(known.stored) > 20
    assert "Traceback" not in api.log.read_text()
