"""Whoever signs in again gets a new session, and the one that was there is over (F23)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.world.house import ADA, API_ORIGIN, GRACE, House, opened_house, problem_of


@pytest.mark.req("F23", "ATK-2")
async def test_a_new_sign_in_ends_the_session_it_replaces(house: House) -> None:
    """The callback sees no Strict cookie, yet ends the session whose name the transaction carried: a copy is dead."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    first = await house.tag(tab)
    thief = house.browser()
    thief.cookies = browser.kept()
    await tab.go(house.url("/"))
    await house.sign_in(tab, path="/bff/login?prompt=login")
    assert await house.tag(tab) != first
    stolen = thief.tab()
    await stolen.go(house.url("/"))
    assert problem_of(await stolen.api("/api/todolist")) == "session-ended"


@pytest.mark.req("F23")
async def test_the_callback_reads_no_session_cookie(house: House) -> None:
    """Coming from another site, the browser sends it none; what replaces what is sealed in the transaction."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.sign_in(tab, path="/bff/login?prompt=login")
    callbacks = [one for one in house.internet.to(house.origin) if "/bff/callback" in one.url]
    assert len(callbacks) == 2
    assert not [one for one in callbacks if any(f"{house.cookie}=".encode() in line for line in one.sent("cookie"))]


@pytest.mark.req("F23", "ATK-2")
async def test_a_session_is_replaced_in_whatever_generation_it_is(tmp_path: Path) -> None:
    """A refresh between the beginning and the end of the sign-in does not save the old session."""
    async with opened_house(tmp_path, access_token_seconds=300) as house:
        browser = house.browser()
        tab, other = browser.tab(), browser.tab()
        await house.sign_in(tab)
        await other.go(house.url("/"))
        await house.begin(tab, "/bff/login?prompt=login")
        house.clock.advance(290)
        assert (await other.api("/api/todolist")).status_code == 200
        assert house.record.token_calls["refresh_token"] == 1
        copy = house.browser()
        copy.cookies = browser.kept()
        await tab.submit(email=ADA.email, password=ADA.password)
        stolen = copy.tab()
        await stolen.go(house.url("/"))
        assert problem_of(await stolen.api("/api/todolist")) == "session-ended"
        assert (await other.api("/api/todolist")).status_code == 200


@pytest.mark.req("F30", "ATK-11")
async def test_another_account_takes_over_and_no_tab_writes_into_it(house: House) -> None:
    """A tab that still speaks for Ada is told so with 409, whatever it wants to do; nothing reaches the API."""
    browser = house.browser()
    old, new = browser.tab(), browser.tab()
    await house.sign_in(old)
    adas = await house.tag(old)
    await house.sign_in(new, GRACE, path="/bff/login?prompt=login")
    calls = len(house.internet.to(API_ORIGIN))
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = await old.api("/api/todolist", method=method, tag=adas)
        assert (answer.status_code, problem_of(answer)) == (409, "session-changed")
    assert len(house.internet.to(API_ORIGIN)) == calls
    assert (await new.api("/api/todolist", tag=await house.tag(new))).json() == []


async def test_whoever_gives_up_a_new_sign_in_keeps_the_session(house: House) -> None:
    """A sign-in that was begun and cancelled replaces nothing."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    first = await house.tag(tab)
    await house.begin(tab, "/bff/login?prompt=login")
    await tab.submit(_button="action=cancel")
    assert await house.tag(tab) == first
