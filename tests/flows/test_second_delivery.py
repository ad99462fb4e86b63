"""A browser delivers one authorization response twice: reload, back button, a retry of its network stack (F18)."""

from __future__ import annotations

import asyncio

import pytest

from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.browser import Tab, Visit
from tests.world.house import ADA, House


async def deliver(house: House, tab: Tab, url: str) -> Visit:
    """The authority's redirect arrives in this tab."""
    return await tab.go(url, initiator=house.options.origin)


def session_cookies(house: House) -> list[list[str]]:
    """The ``Set-Cookie`` lines that each answer to a callback carried."""
    answers = [one for one in house.internet.to(house.origin) if "/bff/callback" in one.url]
    return [sorted(one.response.headers.get_list("set-cookie")) for one in answers]


@pytest.mark.req("F18", "ATK-6")
async def test_a_second_delivery_gets_the_first_ones_outcome_byte_for_byte(house: House) -> None:
    """Whoever delivers again with the transaction's cookie is sent on with the very same cookies; one code is spent."""
    tab = house.browser().tab()
    await house.begin(tab)
    before = tab.browser.kept()
    await tab.submit(email=ADA.email, password=ADA.password)
    callback = next(url for url in tab.visit.chain if "/bff/callback" in url)
    other = house.browser()
    other.cookies = before
    again = await deliver(house, other.tab(), callback)
    assert again.url == house.url("/")
    first, second = session_cookies(house)
    assert first == second
    assert house.record.token_calls["authorization_code"] == 1


@pytest.mark.req("F18")
async def test_deliveries_side_by_side_spend_one_code(house: House) -> None:
    """Five deliveries at the same moment are one token call, and five times the same session."""
    browser = house.browser()
    tab = browser.tab()
    await house.begin(tab)
    before = browser.kept()
    house.misbehaviours.seconds = 0.02
    house.misbehaviours.begin(Misbehaviour.SLOW, at="token")
    authority_answer = await _sign_in_at_the_authority(house, tab)
    copies = []
    for _ in range(5):
        copy = house.browser()
        copy.cookies = dict(before)
        copies.append(copy.tab())
    visits = await asyncio.gather(*(deliver(house, copy, authority_answer) for copy in copies))
    assert {visit.url for visit in visits} == {house.url("/")}
    assert house.record.token_calls["authorization_code"] == 1
    assert len({str(cookies) for cookies in session_cookies(house)}) == 1
    tags = {await house.tag(copy) for copy in copies}
    assert len(tags) == 1


async def _sign_in_at_the_authority(house: House, tab: Tab) -> str:
    """Fill in the form with our BFF unreachable, so that the response is made and not delivered."""
    house.internet.take_down(house.origin)
    with pytest.raises(Exception, match="refused"):
        await tab.submit(email=ADA.email, password=ADA.password)
    house.internet.put(house.origin, house.bff)
    return house.internet.requests[-1][1]


@pytest.mark.req("ATK-6", "F23", "BCP-12")
async def test_the_back_button_finds_the_session_through_the_page(house: House) -> None:
    """A callback whose transaction is gone answers 200 with a page whose script asks who is signed in."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    callback = next(url for url in tab.visit.chain if "/bff/callback" in url)
    visit = await tab.go(callback)
    assert (visit.response.status_code, visit.heading) == (200, "This sign-in has expired")
    assert "/assets/outcome.js" in visit.response.text
    assert house.record.token_calls["authorization_code"] == 1
    assert (await house.user(tab))["authenticated"] is True


@pytest.mark.req("F18")
async def test_a_second_delivery_after_a_restart_gets_the_first_ones_outcome(house: House) -> None:
    """The ledger's file remembers what was spent, and what came of it."""
    browser = house.browser()
    tab = browser.tab()
    await house.begin(tab)
    before = browser.kept()
    await tab.submit(email=ADA.email, password=ADA.password)
    callback = next(url for url in tab.visit.chain if "/bff/callback" in url)
    await house.restart_bff()
    browser.cookies = before
    assert (await deliver(house, tab, callback)).url == house.url("/")
    assert house.record.token_calls["authorization_code"] == 1
    assert (await house.user(tab))["authenticated"] is True


@pytest.mark.req("F18")
async def test_a_second_delivery_of_a_failed_sign_in_fails_again(house: House) -> None:
    """What did not become a session does not become one by reloading."""
    browser = house.browser()
    tab = browser.tab()
    await house.begin(tab)
    before = browser.kept()
    house.misbehaviours.begin(Misbehaviour.ID_TOKEN_WRONG_NONCE, times=1)
    visit = await tab.submit(email=ADA.email, password=ADA.password)
    assert visit.response.status_code == 502
    browser.cookies = before
    again = await deliver(house, tab, visit.url)
    assert again.response.status_code == 502
    assert house.record.token_calls["authorization_code"] == 1
    assert house.cookie not in browser.names()


@pytest.mark.req("F18")
async def test_an_outage_leaves_the_transaction_as_it_was(house: House) -> None:
    """A token endpoint that did not answer spends nothing: the same delivery works once it is back."""
    browser = house.browser()
    tab = browser.tab()
    await house.begin(tab)
    before = browser.kept()
    house.misbehaviours.begin(Misbehaviour.DOWN, at="token")
    visit = await tab.submit(email=ADA.email, password=ADA.password)
    assert (visit.response.status_code, visit.heading) == (503, "The sign-in service does not answer")
    house.misbehaviours.end()
    browser.cookies = before
    assert (await deliver(house, tab, visit.url)).url == house.url("/")
    assert (await house.user(tab))["authenticated"] is True
