from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from local_authority.seeds import API_CLIENT_ID
from resource_api.settings import ResourceAPISettings
from tests.world.house import ADA, API_ORIGIN, BFF_ORIGIN, GRACE, House, opened_house

ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def stepping(step: int, folder: Path) -> AsyncIterator[House]:
    """A house whose app and API are a tutorial step's."""
    program: Any = importlib.import_module(f"examples.tutorial.step{step}.program")
    async with opened_house(folder) as house, contextlib.AsyncExitStack() as stack:
        settings = ResourceAPISettings(
            issuers=(house.options.issuer_identifier,),
            metadata_url=house.options.metadata_url,
            audience=API_CLIENT_ID,
            database_url=SecretStr("sqlite+aiosqlite:///" + str(folder / "todos.sqlite")),
        )
        api = program.make_api(settings, transport=house.internet)
        app = program.make_app(house.settings(), transport=house.internet)
        for one, origin in ((api, API_ORIGIN), (app, BFF_ORIGIN)):
            await stack.enter_async_context(one.router.lifespan_context(one))
            house.internet.put(origin, one)
        yield house


@pytest.mark.req("C-01", "A-06")
@pytest.mark.parametrize("step", [2, 3, 4])
async def test_a_step_shows_its_page_and_its_api_refuses_strangers(tmp_path: Path, step: int) -> None:
    """What a learner sees first at each step: the page, and a 401 that says what is missing."""
    async with stepping(step, tmp_path) as house:
        visit = await house.browser().tab().go(house.url("/"))
        assert f"<h1>Step {step}</h1>" in visit.response.text
        refused = await house.sends("/api/todolist", ("host", "127.0.0.1:3001"), origin=API_ORIGIN)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.req("C-32", "C-33")
async def test_step_3_signs_in_and_tells_about_the_token(tmp_path: Path) -> None:
    """After sign-in the app holds an access token with both scopes; the browser learns how long, never which."""
    async with stepping(3, tmp_path) as house:
        browser = house.browser()
        tab = browser.tab()
        await tab.go(house.url("/"))
        assert (await tab.api("/app/token")).status_code == 401
        await house.sign_in(tab)
        assert (await house.user(tab))["claims"]["name"] == "Ada Lovelace"
        told = await tab.api("/app/token")
        assert told.status_code == 200
        assert 3500 < told.json()["good_for_seconds"] <= 3600
        assert {scope.rpartition("/")[2] for scope in told.json()["scopes"]} >= {"ToDoList.Read", "ToDoList.ReadWrite"}
        assert set(told.json()) == {"good_for_seconds", "scopes"}
        house.clock.advance(3590)
        assert (await tab.api("/app/token")).status_code in {200, 401}
        assert "The last sign-in" in (await tab.go(house.url("/bff/picture"))).response.text


@pytest.mark.req("A-20", "A-21", "C-06", "C-07", "C-08")
async def test_step_4_calls_the_api(tmp_path: Path) -> None:
    """A person adds, sees and removes to-dos of their own; another person sees none of them, and removes none."""
    async with stepping(4, tmp_path) as house:
        ada, grace = house.browser().tab(), house.browser().tab()
        await house.sign_in(ada, ADA)
        await house.user(ada)
        added = await ada.api("/api/todolist", method="POST", json={"description": " Call the API ", "owner": "me"})
        assert added.status_code == 201
        assert [todo["description"] for todo in (await ada.api("/api/todolist")).json()] == ["Call the API"]
        await house.sign_in(grace, GRACE)
        await house.user(grace)
        assert (await grace.api("/api/todolist")).json() == []
        assert (await grace.api("/api/todolist/1", method="DELETE")).status_code == 404
        assert (await ada.api("/api/todolist/1", method="DELETE")).status_code == 200
        assert (await ada.api("/api/todolist")).json() == []


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_step_stays_small(step: int) -> None:
    """A step's program, and each file of its page, has 120 lines at most."""
    files = [
        path for path in (ROOT / f"examples/tutorial/step{step}").rglob("*") if path.suffix in {".py", ".js", ".html"}
    ]
    assert len(files) >= 2
    assert max(len(path.read_text().splitlines()) for path in files) <= 120
