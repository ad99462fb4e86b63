"""Entity tags, conditions and pages reach from the API through the relay to the page, and back."""

from __future__ import annotations

import re

import pytest

from tests.world.house import House

LIST = "/api/todolist"


async def test_two_tabs_through_the_relay(house: House) -> None:
    """The tag crosses to the page, the condition to the API, and its refusal back: whoever saves second is told."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    added = await tab.api(LIST, method="POST", json={"description": "Buy milk"})
    path, tag = added.headers["Location"], added.headers["ETag"]
    assert (path, tag) == (f"{LIST}/{added.json()['id']}", '"1"')
    headers = {"X-CSRF": "1", "If-Match": tag}
    saved = await tab.fetch(path, method="PUT", json={"description": "Buy oat milk"}, headers=headers)
    assert (saved.status_code, saved.headers["ETag"]) == (200, '"2"')
    late = [
        await tab.fetch(path, method="PUT", json={"description": "Buy soy milk"}, headers=headers),
        await tab.fetch(path, method="DELETE", headers=headers),
    ]
    assert {(one.status_code, one.json()["type"]) for one in late} == {
        (412, "urn:resource-api:problem:precondition-failed")
    }
    unchanged = await tab.fetch(path, headers={"X-CSRF": "1", "If-None-Match": '"2"'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", '"2"')
    assert unchanged.headers["Cache-Control"] == "no-store"


@pytest.mark.req("F38")
async def test_the_next_page_through_the_relay(house: House) -> None:
    """The Link of each page leads to the next one at the BFF, until there is none."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    for number in range(5):
        await tab.api(LIST, method="POST", json={"description": str(number)})
    seen, path = list[str](), f"{LIST}?limit=2"
    for expected in (2, 2, 1):
        page = await tab.api(path)
        seen += [one["description"] for one in page.json()]
        assert len(page.json()) == expected
        link = re.fullmatch(r'<(/api/todolist\?limit=2&cursor=[\w-]{11})>; rel="next"', page.headers.get("Link", ""))
        path = link[1] if link else ""
    assert (seen, path) == (["0", "1", "2", "3", "4"], "")
