"""No refresh token outlives its session where anybody can read it: whichever generation is shown, whoever answers.

The authority revokes exactly the token that it is told, so that a spent one takes no living one along.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bff.app import create_app as create_bff
from local_authority.grants import RefreshToken
from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.browser import Browser, Tab
from tests.world.house import API_ORIGIN, BFF_ORIGIN, GRACE, House, opened_house, problem_of


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Access tokens live for five minutes."""
    async with opened_house(tmp_path, access_token_seconds=300) as running:
        running.misbehaviours.begin(Misbehaviour.REVOKES_ONE_TOKEN)
        yield running


def living(house: House) -> int:
    """How many refresh tokens the authority would take."""
    store = house.authority.state.services.grants._store
    return sum(not (token.spent or token.revoked) for token in store.every(RefreshToken))


async def overtaken(house: House) -> tuple[Tab, Tab]:
    """A person whose browser shows an expired generation, and a thief who holds the newest."""
    tab = await house.signed_in()
    old = tab.browser.kept()
    house.clock.advance(290)
    for _ in range(2):
        assert (await tab.api("/api/todolist")).status_code == 200
    await house.bff.state.services.vault.aclose()  # the acknowledgement, which nobody waits for
    house.clock.advance(61)
    thief = house.browser().tab()
    await thief.go(house.url("/"))
    thief.browser.cookies = tab.browser.kept()
    tab.browser.cookies = dict(old)
    assert problem_of(await tab.api("/api/todolist")) == "session-superseded"
    return tab, thief


async def front_channel(house: House, browser: Browser) -> None:
    """The authorization server ends this browser's session, behind its back."""
    session = await house.session(browser)
    query = f"iss={house.options.issuer_identifier}&sid={session.authority_sid}"
    await house.sends(f"/bff/frontchannel-logout?{query}")


async def refused_for(tab: Tab) -> str:
    """Why a call is refused that shows an ended session."""
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (401, "session-ended")
    reason: str = answer.json()["reason"]
    return reason


@pytest.mark.req("F2", "F5", "F9")
@pytest.mark.parametrize("restarted", [False, True], ids=["the newest is known", "nobody knows the newest"])
async def test_a_sign_out_ends_the_session_whatever_generation_the_browser_shows(
    house: House, *, restarted: bool
) -> None:
    """A thief went ahead: their next call is refused, and their refresh token dies as soon as anybody can read it."""
    tab, thief = await overtaken(house)
    if restarted:
        await house.restart_bff()
    assert (await tab.api("/bff/logout", method="POST")).status_code == 200
    assert house.cookie not in tab.browser.names()
    await house.settle()
    assert living(house) == int(restarted)
    assert await refused_for(thief) == "signed_out"
    await house.settle()
    assert living(house) == 0


@pytest.mark.req("F2", "F32")
async def test_a_sign_out_link_does_so_too(house: House) -> None:
    """Its ticket names the session, which is the same in every generation."""
    tab, thief = await overtaken(house)
    await tab.link((await house.user(thief))["logout_url"])
    assert house.cookie not in tab.browser.names()
    assert await refused_for(thief) == "signed_out"


@pytest.mark.req("F23")
async def test_signing_in_again_replaces_the_session_whatever_generation_the_browser_shows(house: House) -> None:
    """Whoever holds the newest generation is out, and only the new sign-in's refresh token lives."""
    tab, thief = await overtaken(house)
    await house.sign_in(tab, GRACE, "/bff/login?prompt=login")
    assert (await house.user(tab))["claims"]["email"] == GRACE.email
    assert await refused_for(thief) == "replaced"
    await house.settle()
    assert living(house) == 1


@pytest.mark.req("F5", "F23")
async def test_a_sign_in_that_is_given_up_takes_no_superseded_cookie(house: House) -> None:
    """The session lives, and so does whatever newer cookie the jar may hold by now."""
    tab, thief = await overtaken(house)
    assert (await tab.link("/bff/login?prompt=login")).heading == "Sign in"
    assert house.cookie in tab.browser.names()
    assert (await thief.api("/api/todolist")).status_code == 200


class Held:
    """The API takes its time: nothing is answered before ``go``."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.set()
        await self.go.wait()
        await self._app(scope, receive, send)


@pytest.mark.req("F2", "F9")
@pytest.mark.parametrize("late", [0.1, 30.0], ids=["with its deletions", "later than that"])
async def test_an_answer_that_starts_after_the_end_revokes(house: House, late: float) -> None:
    """Found alive, ended while the API was slow: whoever takes the cookie back has read its refresh token."""
    tab = await house.signed_in()
    api = Held(house.api)
    house.internet.put(API_ORIGIN, api)
    call = asyncio.create_task(tab.api("/api/todolist"))
    await api.asked.wait()
    await front_channel(house, tab.browser)
    house.clock.advance(late)
    api.go.set()
    assert (await call).status_code == 200
    assert (house.cookie in tab.browser.names()) is (late > 1)
    await house.settle()
    assert living(house) == 0


@pytest.mark.req("F9")
async def test_a_sign_out_from_an_ended_session_revokes(house: House) -> None:
    """The cookie is here now, and goes with this answer."""
    tab = await house.signed_in()
    await front_channel(house, tab.browser)
    assert (await tab.api("/bff/logout", method="POST")).status_code == 200
    assert house.cookie not in tab.browser.names()
    await house.settle()
    assert living(house) == 0


@pytest.mark.req("F9", "F21")
async def test_a_sign_in_from_an_ended_session_revokes(house: House) -> None:
    """What does not open any more is cleared on the way in, and not only cleared."""
    tab = await house.signed_in()
    await front_channel(house, tab.browser)
    assert (await tab.link("/bff/login?prompt=login")).heading == "Sign in"
    assert house.cookie not in tab.browser.names()
    await house.settle()
    assert living(house) == 0


async def by_button(tab: Tab) -> None:
    """The page's own."""
    assert (await tab.api("/bff/logout", method="POST")).status_code == 200


async def by_list(tab: Tab) -> None:
    """This very session, from the list of one's own."""
    tag = (await tab.api("/bff/user")).json()["session"]["tag"]
    assert (await tab.api(f"/bff/sessions/{tag}", method="DELETE")).status_code == 204


@pytest.mark.req("F2", "F10")
@pytest.mark.parametrize("sign_out", [by_button, by_list])
async def test_a_sign_out_revokes_what_another_process_has_refreshed_meanwhile(
    house: House, sign_out: Callable[[Tab], Awaitable[None]]
) -> None:
    """Its view is a quarter of a second old at most, and knows nothing of it: the ledger is asked after the end."""
    other = create_bff(house.settings(), transport=house.internet, clock=house.clock)
    async with other.router.lifespan_context(other):
        tab = await house.signed_in()
        house.clock.advance(290)
        await house.user(tab)  # from here on this process's view is young
        copy = house.browser().tab()
        await copy.go(house.url("/"))
        copy.browser.cookies = tab.browser.kept()
        house.internet.put(BFF_ORIGIN, other)
        assert (await copy.api("/api/todolist")).status_code == 200
        house.internet.put(BFF_ORIGIN, house.bff)
        await sign_out(tab)
        await house.settle()
        assert living(house) == 0


@pytest.mark.req("F5", "F9")
async def test_a_spent_token_that_was_revoked_does_not_spare_the_living_one(house: House) -> None:
    """The copy's came first; the newest generation's is revoked when its cookie comes, as if it were alone."""
    tab, newest = await overtaken(house)
    await house.restart_bff()  # so that nobody remembers the newest
    await tab.api("/api/todolist")
    house.clock.advance(6)
    assert await refused_for(tab) == "stale_generation"
    await house.settle()
    assert living(house) == 1
    assert await refused_for(newest) == "stale_generation"
    await house.settle()
    assert living(house) == 0


@pytest.mark.req("F9")
async def test_what_could_not_be_revoked_is_revoked_when_the_cookie_comes_again(house: House) -> None:
    """The authorization server was away for the first time; for the third, nothing is asked any more."""
    tab = await house.signed_in()
    copy = tab.browser.kept()
    await front_channel(house, tab.browser)
    house.misbehaviours.begin(Misbehaviour.DOWN, at="revoke", times=1)
    for left in (1, 0, 0):
        tab.browser.cookies = dict(copy)
        assert await refused_for(tab) == "frontchannel"
        await house.settle()
        assert living(house) == left
    assert house.record.revocations["refresh_token"] == 1
