"""Whatever people and applications do in any order: each reaches what is theirs to reach, and nothing else moves."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from resource_api.app import create_app
from resource_api.todos.database import open_engine
from resource_api.todos.repository import TodoRepository
from tests.resource_api.conftest import bearing, caller, settings_with
from tests.world.key_host import KeyHost
from tests.world.tokens import access_token, app_token

LIST: Final = "/api/todolist"
PEOPLE: Final = tuple(f"a11ce000-0000-4000-8000-00000000000{number}" for number in range(4))
APP: Final = None
TOKENS: Final[dict[tuple[str | None, bool], str]] = {
    **{(person, True): access_token(oid=person) for person in PEOPLE},
    **{(person, False): access_token(oid=person, scp="ToDoList.Read") for person in PEOPLE},
    (APP, True): app_token(roles=["ToDoList.ReadWrite.All"]),
    (APP, False): app_token(roles=["ToDoList.Read.All"]),
}
HEADERS: Final = {who: bearing(token) for who, token in TOKENS.items()}


class Step(NamedTuple):
    """One call: of a person or of an application (None), with the right to write or without, of an item or a list."""

    who: tuple[str | None, bool]
    method: str
    item: int  # how many ids before the newest, -1 for one that nobody has
    owner: str  # whom an application adds for
    condition: str  # "", "current", "stale" or "*"
    text: str


STEPS: Final = st.builds(
    Step,
    who=st.sampled_from(list(HEADERS)),
    method=st.sampled_from(["POST", "POST", "PUT", "PUT", "DELETE", "GET", "LIST"]),
    item=st.integers(-1, 5),
    owner=st.sampled_from(PEOPLE),
    condition=st.sampled_from(["", "", "current", "stale", "*"]),
    text=st.sampled_from(["tea", "茶", "x" * 500]),
)


@dataclass
class World:
    """The model: what there is, told by nobody but itself."""

    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    newest: int = 0

    def within_reach(self, who: str | None) -> list[dict[str, Any]]:
        """What this caller's list holds."""
        return [item for _, item in sorted(self.items.items()) if who is APP or item["owner"] == who]

    def reaches(self, who: str | None, todo_id: int) -> bool:
        """Whether this caller can know of an item."""
        return any(item["id"] == todo_id for item in self.within_reach(who))


@pytest.fixture
async def api(database_url: str, tmp_path: Path, key_host: KeyHost) -> AsyncIterator[httpx.AsyncClient]:
    """The whole API over each store in turn."""
    store = TodoRepository(open_engine(database_url))
    await store.migrate()
    await store.aclose()
    app = create_app(settings_with(tmp_path, database_url=database_url), transport=key_host.transport)
    async with app.router.lifespan_context(app), caller(app) as client:
        yield client


@pytest.mark.req("A-20", "A-21", "A-22", "A-09")
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a history takes minutes: each step is a call
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=12, max_size=30))
async def test_nobody_reaches_what_is_not_theirs(api: httpx.AsyncClient, steps: list[Step]) -> None:
    """After any history each answer, and every list in pages of any size, is exactly what the model says."""
    everything = (await api.get(LIST, headers=HEADERS[APP, True])).json()
    for item in everything:  # of the example before
        await api.delete(f"{LIST}/{item['id']}", headers=HEADERS[APP, True])
    world = World(newest=everything[-1]["id"] if everything else 0)
    for step in steps:
        await take(step, world, api)
    for who, limit in itertools.product((*PEOPLE, APP), (1, 3, 1000)):
        assert await whole_list(api, HEADERS[who, False], limit) == world.within_reach(who)


async def take(step: Step, world: World, api: httpx.AsyncClient) -> None:
    """Make the call, judge the answer by the model, and keep the model in step."""
    if step.method == "LIST":
        assert await whole_list(api, HEADERS[step.who], 1000) == world.within_reach(step.who[0])
    elif step.method == "POST":
        await add(step, world, api)
    else:
        await reach(step, world, api)


async def add(step: Step, world: World, api: httpx.AsyncClient) -> None:
    """A person's item is theirs, whomever they name; an application's is the named person's."""
    who, may_write = step.who
    answer = await api.post(LIST, json={"description": step.text, "owner": step.owner}, headers=HEADERS[step.who])
    if not may_write:
        assert answer.status_code == 403
        return
    item = answer.json()
    assert (answer.status_code, item["owner"], item["description"]) == (201, who or step.owner, step.text)
    assert item["id"] > world.newest
    world.newest = item["id"]
    world.items[world.newest], world.versions[world.newest] = item, 1


async def reach(step: Step, world: World, api: httpx.AsyncClient) -> None:
    """GET, PUT and DELETE of one item: not permitted, not there or not theirs, at another version, or done."""
    who, may_write = step.who
    todo_id = max(world.newest - step.item, 1)
    version = world.versions.get(todo_id, 1)
    tag = {"current": f'"{version}"', "stale": f'"{version + 1}"', "*": "*"}.get(step.condition)
    headers = HEADERS[step.who] | ({"If-Match": tag} if tag and step.method != "GET" else {})
    body: dict[str, Any] = {"json": {"description": step.text, "owner": step.owner}} if step.method == "PUT" else {}
    answer = await api.request(step.method, f"{LIST}/{todo_id}", headers=headers, **body)
    if step.method != "GET" and not may_write:
        assert answer.status_code == 403
    elif not world.reaches(who, todo_id):
        assert answer.status_code == 404
    elif step.method != "GET" and step.condition == "stale":
        assert answer.status_code == 412
    else:
        assert answer.status_code == 200
        if step.method == "PUT":
            world.items[todo_id]["description"] = step.text
            world.versions[todo_id] += 1
        if step.method == "DELETE":
            del world.items[todo_id]
        else:
            assert answer.json() == world.items[todo_id]
            assert answer.headers["ETag"] == f'"{world.versions[todo_id]}"'


async def whole_list(api: httpx.AsyncClient, headers: dict[str, str], limit: int) -> list[dict[str, Any]]:
    """Every page, one after the other."""
    url: str | None = f"{LIST}?limit={limit}"
    found: list[dict[str, Any]] = []
    while url is not None:
        answer = await api.get(url, headers=headers)
        found += answer.json()
        url = answer.links.get("next", {}).get("url")
    return found
