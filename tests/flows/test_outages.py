"""Whose fault is it? An outage is a 502, 503 or 504 with its own words, never a 401, and nobody is signed out by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local_authority.misbehaving.misbehaviours import Endpoint, Misbehaviour
from tests.world.house import API_ORIGIN, House, opened_house, problem_of

OUTAGES = [Misbehaviour.DOWN, Misbehaviour.UNREACHABLE, Misbehaviour.TOO_MANY_REQUESTS, Misbehaviour.BROKEN_JSON]
OUTAGES += [Misbehaviour.OVERSIZED, Misbehaviour.REDIRECTED]


@pytest.fixture
async def brief(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose access tokens live for five minutes, and whose API has one second to answer."""
    route = [{"path": "/api/", "upstream": API_ORIGIN, "timeout": 1}]
    async with opened_house(tmp_path, access_token_seconds=300, settings={"route": route}) as running:
        yield running


@pytest.mark.parametrize("endpoint", ["metadata", "token", "keys"])
@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_sign_in_during_an_outage_is_a_page_with_a_way_on(
    house: House, outage: Misbehaviour, endpoint: Endpoint
) -> None:
    """Whatever part of the authority is out, the person reads that it is, with 503 and a time to come back."""
    tab = house.browser().tab()
    house.misbehaviours.begin(outage, at=endpoint)
    visit = await house.sign_in(tab)
    assert (visit.response.status_code, visit.heading) == (503, "The sign-in service does not answer")
    assert int(visit.response.headers["retry-after"]) >= 5
    assert "/bff/login" in visit.links
    house.misbehaviours.end()
    house.clock.advance(60)
    await house.sign_in(tab)
    assert (await house.user(tab))["authenticated"] is True


@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_refresh_during_an_outage_signs_nobody_out(brief: House, outage: Misbehaviour) -> None:
    """With a dead access token and no authority the call is 503, the cookies stay, and all is well afterwards."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.clock.advance(301)
    brief.misbehaviours.begin(outage, at="token")
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (503, "authority-unavailable")
    assert "retry-after" in answer.headers
    assert "set-cookie" not in answer.headers or brief.cookie + "=;" not in answer.headers["set-cookie"]
    assert (await brief.user(tab))["authenticated"] is True


async def test_calls_go_on_while_the_old_token_lives(brief: House) -> None:
    """An outage before the token's end is nobody's business: the call is made with what there is."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.clock.advance(285)
    brief.misbehaviours.begin(Misbehaviour.DOWN, at="token")
    assert (await tab.api("/api/todolist")).status_code == 200
    brief.misbehaviours.end()
    brief.clock.advance(20)
    assert (await tab.api("/api/todolist")).status_code == 200
    assert brief.record.token_calls["refresh_token"] == 1


async def test_an_api_that_is_down_is_502(brief: House) -> None:
    """No connection to the API: its own problem, its own status, and the session is as it was."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.internet.take_down(API_ORIGIN)
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (502, "upstream-unavailable")
    assert (await brief.user(tab))["authenticated"] is True


@pytest.mark.req("C-44")
async def test_an_api_that_says_nothing_is_504(brief: House) -> None:
    """An API that was reached and does not answer in the route's time is another problem than one that is down."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.internet.put(API_ORIGIN, _silent)
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (504, "upstream-timeout")


async def test_an_api_that_refuses_our_token_is_a_problem_of_its_own(brief: House) -> None:
    """The API's 401 is no lost session: the page is told so by type, and stays signed in."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.clock.advance(301)
    brief.misbehaviours.access_token["aud"] = "another-api"
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (401, "upstream-unauthorized")
    assert (await brief.user(tab))["authenticated"] is True


async def test_four_different_failures_are_four_different_problems(brief: House) -> None:
    """No session, an API that refuses, an API that is down and an API that is silent can be told apart by type."""
    tab = brief.browser().tab()
    await tab.go(brief.url("/"))
    kinds = {problem_of(await tab.api("/api/todolist"))}
    await brief.sign_in(tab)
    for app in (None, _refusing, _silent):
        brief.internet.take_down(API_ORIGIN)
        if app is not None:
            brief.internet.put(API_ORIGIN, app)
        kinds.add(problem_of(await tab.api("/api/todolist")))
    assert kinds == {"no-session", "upstream-unavailable", "upstream-unauthorized", "upstream-timeout"}


async def test_readiness_follows_the_authority_and_liveness_does_not(house: House) -> None:
    """A probe names the part that is down, and no outage elsewhere restarts this process."""
    house.misbehaviours.begin(Misbehaviour.DOWN)
    ready, alive = await house.sends("/readyz"), await house.sends("/livez")
    assert (ready.status_code, ready.json()["parts"]) == (
        503,
        {"authority": "down", "ledger": "ok", "one_ledger": "ok"},
    )
    assert alive.status_code == 200
    house.misbehaviours.end()
    house.clock.advance(60)
    assert (await house.sends("/readyz")).status_code == 200


async def _refusing(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
    await send({"type": "http.response.body", "body": b""})


async def _silent(*_: Any) -> None:
    await asyncio.sleep(5)
