"""Several tabs sign in at once, and each lands on its own page."""

from __future__ import annotations

import asyncio

import pytest

from tests.world.house import ADA, House


@pytest.mark.req("ATK-9", "F21")
async def test_eight_tabs_at_once_each_land_on_their_own_page(house: House) -> None:
    """Every login has a cookie of its own: none of eight evicts another, in whatever order they come back."""
    browser = house.browser()
    tabs = [browser.tab() for _ in range(8)]
    for number, tab in enumerate(tabs):
        await house.begin(tab, f"/bff/login?return_to=/todos/{number}")
    for number in (3, 0, 7, 1, 6, 2, 5, 4):
        house.clock.advance(1)
        visit = await tabs[number].submit(email=ADA.email, password=ADA.password)
        assert visit.url == house.url(f"/todos/{number}")
    assert (await house.user(tabs[0]))["authenticated"] is True
    assert not [name for name in browser.names() if "-tx-" in name]


@pytest.mark.req("ATK-9")
async def test_the_ninth_login_drops_the_oldest(house: House) -> None:
    """No more than eight transactions are kept; whoever comes back to a dropped one reads that it has expired."""
    browser = house.browser()
    tabs = [browser.tab() for _ in range(9)]
    for tab in tabs:
        house.clock.advance(1)
        await house.begin(tab)
    assert len([name for name in browser.names() if "-tx-" in name]) == 8
    assert (await tabs[8].submit(email=ADA.email, password=ADA.password)).url == house.url("/")
    visit = await tabs[0].submit(email=ADA.email, password=ADA.password)
    assert visit.heading == "This sign-in has expired"
    assert (await house.user(tabs[0]))["authenticated"] is True


async def test_tabs_that_return_at_the_same_moment_all_land(house: House) -> None:
    """Callbacks that are served side by side do not disturb each other."""
    browser = house.browser()
    tabs = [browser.tab() for _ in range(5)]
    for number, tab in enumerate(tabs):
        await house.begin(tab, f"/bff/login?return_to=/todos/{number}")
    visits = await asyncio.gather(*(tab.submit(email=ADA.email, password=ADA.password) for tab in tabs))
    assert [visit.url for visit in visits] == [house.url(f"/todos/{number}") for number in range(5)]


async def test_all_tabs_share_one_session(house: House) -> None:
    """A second tab is signed in as soon as the first one is."""
    browser = house.browser()
    first, second = browser.tab(), browser.tab()
    await house.sign_in(first)
    await second.go(house.url("/todos"))
    assert await house.tag(second) == await house.tag(first)


async def test_eight_transactions_and_a_session_fit_the_head_of_a_request(house: House) -> None:
    """All cookies of ours together stay within the budget of 7 kB (rule F21)."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    for _ in range(8):
        await house.begin(browser.tab(), "/bff/login?prompt=login&return_to=/" + "t" * 900)
    carried = browser.cookies_for(house.url("/"), cross_site=False, safe_navigation=True)
    assert sum(len(cookie.name) + len(cookie.value) + 3 for cookie in carried if cookie.name.startswith("bff-")) <= 7168
    assert (await house.user(tab))["authenticated"] is True
