"""An access token near its end is refreshed before it is used: one token call, whatever the browser does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.authority import OnTheWire
from tests.world.browser import Tab
from tests.world.house import API_ORIGIN, AUTHORITY_ORIGIN, GRACE, House, opened_house, problem_of
from tests.world.internet import HeldAnswers


@pytest.fixture
async def brief(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose access tokens live for five minutes; somebody is to advance the clock."""
    async with opened_house(tmp_path, access_token_seconds=300) as running:
        yield running


async def near_the_end(house: House) -> Tab:
    """A tab that is signed in, with ten seconds of its access token left."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    house.clock.advance(290)
    return tab


def bearer_tokens(house: House) -> list[bytes]:
    """What the API was shown, call by call."""
    return [one.sent("authorization")[0] for one in house.internet.to(API_ORIGIN) if one.sent("authorization")]


def revoked(house: House) -> set[str]:
    """The tokens that were sent to the revocation endpoint."""
    calls = [one.request_body for one in house.internet.to(AUTHORITY_ORIGIN) if one.url.endswith("/revoke")]
    return {parse_qs(body.decode())["token"][0] for body in calls}


@pytest.mark.req("BBA-17", "OA-5", "C-34")
async def test_a_token_near_its_end_is_refreshed_before_it_is_used(brief: House) -> None:
    """The API sees the new token, the browser gets the new session, and the next call needs no refresh."""
    tab = await near_the_end(brief)
    before = tab.browser.value(brief.origin, brief.cookie)
    assert (await tab.api("/api/todolist")).status_code == 200
    assert tab.browser.value(brief.origin, brief.cookie) != before
    assert (await tab.api("/api/todolist")).status_code == 200
    assert brief.record.token_calls["refresh_token"] == 1
    brief.clock.advance(250)
    assert (await tab.api("/api/todolist")).status_code == 200
    assert len(set(bearer_tokens(brief))) == 1


@pytest.mark.req("F2")
async def test_forty_parallel_calls_are_one_token_call(brief: House) -> None:
    """One refresh per generation; every response carries the same bytes of the next one."""
    tab = await near_the_end(brief)
    answers = await asyncio.gather(*(tab.api("/api/todolist") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {200}
    assert brief.record.token_calls["refresh_token"] == 1
    sealed = {answer.headers["set-cookie"].partition(";")[0] for answer in answers}
    assert len(sealed) == 1


async def test_a_response_that_got_lost_loses_nothing(brief: House) -> None:
    """A browser that never saw the new cookie is served by the old one, without a second token call."""
    tab = await near_the_end(brief)
    before = tab.browser.kept()
    await tab.api("/api/todolist")
    tab.browser.cookies = dict(before)
    assert (await tab.api("/api/todolist")).status_code == 200
    assert brief.record.token_calls["refresh_token"] == 1
    assert tab.browser.value(brief.origin, brief.cookie) != before["localhost", "/", brief.cookie].value


async def test_a_lost_response_is_healed_after_a_restart(brief: House) -> None:
    """The ledger's file keeps the way from the old generation to the new one."""
    tab = await near_the_end(brief)
    before = tab.browser.kept()
    await tab.api("/api/todolist")
    await brief.restart_bff()
    tab.browser.cookies = dict(before)
    assert (await tab.api("/api/todolist")).status_code == 200
    assert brief.record.token_calls["refresh_token"] == 1


@pytest.mark.req("BBA-17")
async def test_a_refused_refresh_ends_the_session(brief: House) -> None:
    """``invalid_grant`` is a 401 with its reason, and the cookies go; the page knows that nobody is signed in."""
    tab = await near_the_end(brief)
    brief.misbehaviours.begin(Misbehaviour.REFRESH_REFUSED)
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer), answer.json()["reason"]) == (
        401,
        "session-ended",
        "refresh_refused",
    )
    assert brief.cookie not in tab.browser.names()
    assert (await brief.user(tab))["authenticated"] is False


async def test_a_refreshed_identity_of_somebody_else_ends_the_session(brief: House) -> None:
    """A new ID token with another ``sub`` is never taken over (OIDC Core 12.2, ATK-11)."""
    tab = await near_the_end(brief)
    brief.misbehaviours.begin(Misbehaviour.REFRESHED_ID_TOKEN_OTHER_SUBJECT)
    assert problem_of(await tab.api("/api/todolist")) == "session-ended"
    assert (await brief.user(tab))["authenticated"] is False


async def test_a_lost_answer_is_lived_with_while_the_token_lives(brief: House) -> None:
    """After a rotation whose answer got lost, the living access token serves on; then the session is over (F1)."""
    tab = await near_the_end(brief)
    brief.misbehaviours.begin(Misbehaviour.ANSWER_LOST, at="token", times=1)
    assert (await tab.api("/api/todolist")).status_code == 200
    brief.clock.advance(60)
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (401, "session-ended")


@pytest.mark.req("F2")
async def test_a_sign_out_is_not_undone_by_a_refresh_under_way(brief: House) -> None:
    """The late answer carries no living session, and what the refresh brought is revoked at the authority."""
    browser = (await near_the_end(brief)).browser
    working, leaving = browser.tab(), browser.tab()
    await working.go(brief.url("/"))
    await leaving.go(brief.url("/"))
    brief.clock.advance(20)
    held = HeldAnswers(brief.internet, AUTHORITY_ORIGIN, "/token")
    call = asyncio.create_task(working.api("/api/todolist"))
    await held.acted.wait()
    assert (await leaving.api("/bff/logout", method="POST")).status_code == 200
    held.released.set()
    late = await call
    assert problem_of(late) == "session-ended"
    assert brief.cookie not in browser.names()
    await brief.settle()
    [renewed] = [
        one.response.json()
        for one in brief.internet.to(AUTHORITY_ORIGIN, "POST")
        if one.url.endswith("/token") and b"grant_type=refresh_token" in one.request_body
    ]
    assert {renewed["refresh_token"], renewed["access_token"]} <= revoked(brief)
    assert (await brief.user(working))["authenticated"] is False


@pytest.mark.req("F2")
async def test_a_late_answer_does_not_overwrite_another_sign_in(brief: House) -> None:
    """Somebody signed in anew while a call with the old session was under way: its answer sets no cookie."""
    browser = (await near_the_end(brief)).browser
    working, other = browser.tab(), browser.tab()
    await working.go(brief.url("/"))
    brief.clock.advance(20)
    await brief.begin(other, "/bff/login?prompt=login")
    held = HeldAnswers(brief.internet, AUTHORITY_ORIGIN, "/token")
    call = asyncio.create_task(working.api("/api/todolist"))
    await held.acted.wait()
    brief.internet.put(AUTHORITY_ORIGIN, OnTheWire(brief.authority))
    await other.submit(email=GRACE.email, password=GRACE.password)
    cookie = browser.value(brief.origin, brief.cookie)
    held.released.set()
    late = await call
    assert "set-cookie" not in late.headers
    assert browser.value(brief.origin, brief.cookie) == cookie
    assert (await brief.user(other))["claims"]["email"] == GRACE.email


async def test_a_browser_that_leaves_does_not_stop_its_refresh(brief: House) -> None:
    """The token call is detached from the caller: the next call finds its result."""
    tab = await near_the_end(brief)
    brief.clock.advance(20)
    held = HeldAnswers(brief.internet, AUTHORITY_ORIGIN, "/token")
    call = asyncio.create_task(tab.api("/api/todolist"))
    await held.acted.wait()
    call.cancel()
    held.released.set()
    assert (await tab.api("/api/todolist")).status_code == 200
    assert brief.record.token_calls["refresh_token"] == 1


@pytest.mark.req("F19")
async def test_a_refresh_does_not_count_as_activity(brief: House) -> None:
    """A background poll refreshes tokens for ever, and the session still ends for idleness."""
    tab = await near_the_end(brief)
    poll = {"X-CSRF": "1", "X-BFF-Slide": "0"}
    for _ in range(5):
        assert (await tab.fetch("/api/todolist", headers=poll)).status_code == 200
        brief.clock.advance(290)
    assert brief.record.token_calls["refresh_token"] >= 4
    brief.clock.advance(100)
    answer = await tab.fetch("/api/todolist", headers=poll)
    assert (problem_of(answer), answer.json()["reason"]) == ("session-ended", "idle")
