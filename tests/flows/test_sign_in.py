"""A person signs in, works on the to-do list, and the browser never holds a token."""

from __future__ import annotations

import pytest

from tests.world.house import House, problem_of


@pytest.mark.req("BBA-1", "BBA-2", "BBA-16")
async def test_a_person_signs_in_and_works(house: House) -> None:
    """Sign in, add, edit, list and remove a to-do: the whole story through the relay."""
    tab = house.browser().tab()
    visit = await house.sign_in(tab, path="/bff/login?return_to=/todos")
    assert visit.url == house.url("/todos")
    user = await house.user(tab)
    assert user["authenticated"] is True
    assert user["claims"]["email"] == "ada@example.com"
    tag = user["session"]["tag"]
    created = await tab.api("/api/todolist", method="POST", json={"description": "Water plants"}, tag=tag)
    assert created.status_code == 201, created.text
    item = created.json()
    edited = await tab.api(
        f"/api/todolist/{item['id']}", method="PUT", json={"description": "Water all plants"}, tag=tag
    )
    assert edited.status_code == 200
    listed = await tab.api("/api/todolist", tag=tag)
    assert [one["description"] for one in listed.json()] == ["Water all plants"]
    removed = await tab.api(f"/api/todolist/{item['id']}", method="DELETE", tag=tag)
    assert removed.status_code == 200
    assert (await tab.api("/api/todolist")).json() == []


@pytest.mark.req("BBA-10", "BBA-11", "ATK-23")
async def test_nobody_without_a_session_reaches_the_api(house: House) -> None:
    """Without a session the relay answers 401 no-session, and 403 where the header is missing."""
    tab = house.browser().tab()
    await tab.go(house.url("/"))
    assert problem_of(await tab.api("/api/todolist")) == "no-session"
    assert problem_of(await tab.fetch("/api/todolist")) == "antiforgery-header"
