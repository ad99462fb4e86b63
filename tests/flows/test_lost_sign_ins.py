"""A sign-in gets lost: left open too long, without its cookie, with a wrong clock, in a loop. Each has its page."""

from __future__ import annotations

import pytest

from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.house import ADA, House


async def test_a_form_left_open_too_long_leads_to_a_page(house: House) -> None:
    """After ten minutes the transaction is over: 200, our words, a way on, and no code is spent."""
    tab = house.browser().tab()
    await house.begin(tab)
    house.clock.advance(601)
    visit = await tab.submit(email=ADA.email, password=ADA.password)
    assert (visit.response.status_code, visit.heading) == (200, "This sign-in has expired")
    assert visit.links == ["/bff/login", "/"]
    assert house.record.token_calls.total() == 0


@pytest.mark.req("ATK-6")
async def test_a_code_that_grew_old_leads_to_a_page(house: House) -> None:
    """The authority's ``invalid_grant`` is answered with the way to try again, and ends in no session."""
    tab = house.browser().tab()
    await house.begin(tab)
    house.misbehaviours.begin(Misbehaviour.INVALID_GRANT)
    visit = await tab.submit(email=ADA.email, password=ADA.password)
    assert (visit.response.status_code, visit.heading) == (400, "The sign-in took too long")
    assert house.cookie not in tab.browser.names()


async def test_a_browser_that_lost_the_cookie_is_told(house: House) -> None:
    """Without the transaction's cookie nothing is believed and nothing is asked of the authority."""
    tab = house.browser().tab()
    await house.begin(tab)
    [name] = [name for name in tab.browser.names() if "-tx-" in name]
    tab.browser.forget(house.origin, name)
    visit = await tab.submit(email=ADA.email, password=ADA.password)
    assert visit.heading == "This sign-in has expired"
    assert house.record.token_calls.total() == 0


async def test_the_third_sign_in_that_leads_nowhere_is_a_page(house: House) -> None:
    """A browser that keeps no session cookie is stopped within 30 seconds, instead of being sent round for ever."""
    browser = house.browser()
    tab = browser.tab()
    visits = []
    for _ in range(3):
        house.clock.advance(2)
        await tab.go(house.url("/"))
        visit = await tab.link("/bff/login")
        if visit.forms:
            house.clock.advance(1)
            visit = await tab.submit(email=ADA.email, password=ADA.password)
        visits.append(visit)
        for name in (house.cookie, f"{house.cookie}-idle"):
            browser.forget(house.origin, name)
    assert [visit.response.status_code for visit in visits] == [200, 200, 400]
    assert visits[2].heading == "Your browser did not keep the sign-in"
    assert "/bff/login" in visits[2].links


async def test_signing_in_three_times_slowly_is_no_loop(house: House) -> None:
    """The count is forgotten after 30 seconds."""
    browser = house.browser()
    tab = browser.tab()
    for _ in range(4):
        house.clock.advance(31)
        visit = await house.sign_in(tab)
        assert visit.url == house.url("/")
        browser.forget(house.origin, house.cookie)


async def test_signing_in_anew_with_a_session_is_no_loop(house: House) -> None:
    """Whoever changes accounts three times in half a minute has a session each time."""
    tab = house.browser().tab()
    for _ in range(4):
        house.clock.advance(2)
        assert (await house.sign_in(tab, path="/bff/login?prompt=login")).url == house.url("/")


@pytest.mark.parametrize(("ahead", "words"), [(90, "90 seconds ahead of ours"), (-4000, "4000 seconds behind ours")])
async def test_two_clocks_that_disagree_are_named_with_their_skew(house: House, ahead: int, words: str) -> None:
    """An ID token from the future, or one that has ended before it came, is a page that says by how much."""
    house.authority_clock.ahead = ahead
    tab = house.browser().tab()
    visit = await house.sign_in(tab)
    assert (visit.response.status_code, visit.heading) == (502, "Two clocks disagree")
    assert words in visit.response.text
    assert house.cookie not in tab.browser.names()


@pytest.mark.parametrize("ahead", [20, -25])
async def test_two_clocks_that_nearly_agree_are_no_obstacle(house: House, ahead: int) -> None:
    """Within the leeway of 30 seconds a person notices nothing."""
    house.authority_clock.ahead = ahead
    tab = house.browser().tab()
    await house.sign_in(tab)
    assert (await house.user(tab))["authenticated"] is True
    assert (await tab.api("/api/todolist")).status_code == 200
