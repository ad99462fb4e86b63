"""Session fixation: a session that the attacker knows, in the victim's browser before the sign-in."""

from __future__ import annotations

import pytest

from tests.world.house import GRACE, House, problem_of


@pytest.mark.req("ATK-2")
async def test_a_planted_session_is_not_upgraded(house: House) -> None:
    """With the attacker's whole jar in the victim's browser, the victim's sign-in is a session of its own."""
    attacker, victim = house.browser(), house.browser()
    known = attacker.tab()
    await house.sign_in(known, GRACE)
    planted = (await house.session(attacker)).sid
    victim.cookies = {key: cookie for key, cookie in attacker.kept().items() if cookie.host == "localhost"}
    tab = victim.tab()
    await house.sign_in(tab)
    assert (await house.session(victim)).sid != planted
    assert (await house.user(tab))["claims"]["email"] == "ada@example.com"
    assert problem_of(await known.api("/api/todolist")) == "session-ended"


@pytest.mark.req("ATK-2")
async def test_the_name_of_a_session_is_never_the_browsers_to_choose(house: House) -> None:
    """Two sign-ins in one browser, with the first one's cookies kept, have two names."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    first = (await house.session(browser)).sid
    await house.sign_in(tab, path="/bff/login?prompt=login")
    assert (await house.session(browser)).sid != first


@pytest.mark.req("ATK-2")
@pytest.mark.parametrize("value", ["known-session-id", "", "AAAA", "0" * 400])
async def test_an_unknown_session_is_nobody(house: House, value: str) -> None:
    """A value that we did not seal is never adopted; the next sign-in clears it."""
    browser = house.browser()
    browser.toss(house.origin, house.cookie, value, path="/")
    tab = browser.tab()
    await tab.go(house.url("/"))
    assert problem_of(await tab.api("/api/todolist")) == "no-session"
    await house.begin(tab)
    assert house.cookie not in browser.names()
    assert (await house.sign_in(tab)).url == house.url("/")
