"""The list is the seed's bare array, and no longer than one answer should be."""

from __future__ import annotations

import itertools
import re
from typing import Any

import httpx
import pytest

from resource_api.routes.paging import DEFAULT_LIMIT, MAX_LIMIT
from tests.resource_api.conftest import bearing
from tests.world.tokens import ALICE, BOB, access_token, app_token

LIST = "/api/todolist"
_NEXT = re.compile(r'<(/api/todolist\?limit=[0-9]+&cursor=[\w-]{11})>; rel="next"')


async def add(api: httpx.AsyncClient, count: int, person: str = ALICE) -> list[int]:
    """Some to-dos of one person; their ids."""
    headers = bearing(access_token(oid=person))
    return [(await api.post(LIST, json={"description": "x"}, headers=headers)).json()["id"] for _ in range(count)]


async def page(api: httpx.AsyncClient, url: str, token: str) -> tuple[list[int], str | None]:
    """The ids on a page, and where the next one is."""
    answer = await api.get(url, headers=bearing(token))
    assert answer.status_code == 200
    link = answer.headers.get("Link")
    found = _NEXT.fullmatch(link) if link is not None else None
    assert (found is None) == (link is None)
    return [one["id"] for one in answer.json()], found[1] if found else None


async def pages(api: httpx.AsyncClient, url: str | None, token: str) -> list[list[int]]:
    """Every page, from one to the last."""
    found = []
    while url is not None:
        ids, url = await page(api, url, token)
        found.append(ids)
    return found


def joined(found: list[list[int]]) -> list[int]:
    """The pages one after the other."""
    return list(itertools.chain.from_iterable(found))


@pytest.mark.req("A-01")
@pytest.mark.parametrize(("limit", "expected"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (5, [5]), (1000, [5])])
async def test_pages_hold_the_whole_list(api: httpx.AsyncClient, limit: int, expected: list[int]) -> None:
    """Following ``rel="next"`` shows each to-do once, in order; the last page has no Link, and none is empty."""
    ids = await add(api, 5)
    found = await pages(api, f"{LIST}?limit={limit}", access_token())
    assert ([len(one) for one in found], joined(found)) == (expected, ids)


async def test_an_answer_is_bounded(api: httpx.AsyncClient) -> None:
    """Without a limit an answer holds the documented number, and its Link leads on."""
    ids = await add(api, DEFAULT_LIMIT + 1)
    assert await pages(api, LIST, access_token()) == [ids[:DEFAULT_LIMIT], ids[DEFAULT_LIMIT:]]


async def test_what_happens_between_two_pages(api: httpx.AsyncClient) -> None:
    """What is added comes last, what is removed is left out, and nothing else moves: nothing twice, nothing missing."""
    ids = await add(api, 6)
    first, url = await page(api, f"{LIST}?limit=2", access_token())
    for gone in (ids[1], ids[3]):  # the item that the cursor names is one of them
        await api.delete(f"{LIST}/{gone}", headers=bearing(access_token()))
    late = await add(api, 1)
    assert first + joined(await pages(api, url, access_token())) == [*ids[:3], *ids[4:], *late]


@pytest.mark.req("A-21")
async def test_a_cursor_grants_nothing(api: httpx.AsyncClient) -> None:
    """Somebody else's cursor shows one's own items; an application's pages hold everybody's."""
    mine, theirs = await add(api, 3), await add(api, 3, BOB)
    _, url = await page(api, f"{LIST}?limit=1", access_token())
    assert joined(await pages(api, url, access_token(oid=BOB))) == theirs
    assert joined(await pages(api, f"{LIST}?limit=4", app_token(roles=["ToDoList.Read.All"]))) == mine + theirs


async def test_a_limit_that_is_none(api: httpx.AsyncClient) -> None:
    """A limit that is no number from 1 to the documented maximum is 422, and says so of ``limit``."""
    for limit in ("0", "-1", str(MAX_LIMIT + 1), "ten", "1.0", "1e2", "01", " 1", "", "1_0", "9" * 99):
        answer = await api.get(LIST, params={"limit": limit}, headers=bearing(access_token()))
        assert (answer.status_code, answer.json()["fields"].keys()) == (422, {"limit"})


async def test_a_cursor_that_we_never_gave(api: httpx.AsyncClient) -> None:
    """What cannot be a cursor of ours is 422, and says so of ``cursor``."""
    too_short_or_long = ("", "1", "AAAAAAAAAA", "AAAAAAAAAAAA", "AAAAAAAAAA=")
    for cursor in (*too_short_or_long, "AAAAAAAAAAB", "gAAAAAAAAAA", "AAAAA+AAAAA", "ÄAAAAAAAAAA", "AAAAAAAAAAA\n"):
        answer = await api.get(LIST, params={"cursor": cursor}, headers=bearing(access_token()))
        assert (answer.status_code, answer.json()["fields"].keys()) == (422, {"cursor"})


@pytest.mark.parametrize(("cursor", "shown"), [("AAAAAAAAAAA", 2), ("AAAAAAAAAAE", 1), ("f_________8", 0)])
async def test_the_ends_of_the_list(api: httpx.AsyncClient, cursor: str, shown: int) -> None:
    """Before the first and after the largest id there can be are pages like any other."""
    await add(api, 2)
    answer: Any = await api.get(LIST, params={"cursor": cursor}, headers=bearing(access_token()))
    assert (answer.status_code, len(answer.json()), "Link" in answer.headers) == (200, shown, False)
