"""A flood of login starts: neither the browser's jar nor our memory fills up."""

from __future__ import annotations

import pytest

from tests.world.house import House, problem_of


@pytest.mark.req("ATK-9")
async def test_an_image_of_another_site_begins_no_sign_in(house: House) -> None:
    """A thousand embedded ``/bff/login`` are refused by their Fetch Metadata, and leave no cookie."""
    browser = house.browser()
    tab = browser.tab()
    tab.url = "https://evil.example/"
    for destination in ("image", "script", "iframe"):
        response = await tab.embed(house.url("/bff/login"), destination=destination)
        assert response.status_code == 403
        assert "set-cookie" not in response.headers
    assert not browser.names()


@pytest.mark.req("ATK-9", "F21")
async def test_a_hundred_logins_keep_eight_cookies_and_no_memory(house: House) -> None:
    """What is kept lies in the browser, eight at most, within the budget; the ledger learns nothing of it."""
    browser = house.browser()
    known = len(house.bff.state.services.ledger.view)
    for _ in range(100):
        house.clock.advance(0.01)
        await browser.tab().go(house.url("/bff/login?return_to=/" + "x" * 1500))
    carried = browser.cookies_for(house.url("/"), cross_site=False, safe_navigation=True)
    assert 1 <= len([cookie for cookie in carried if "-tx-" in cookie.name]) <= 8
    assert sum(len(cookie.name) + len(cookie.value) + 1 for cookie in carried if "bff-" in cookie.name) <= 7168
    assert len(house.bff.state.services.ledger.view) == known


@pytest.mark.req("ATK-9")
async def test_a_speculative_login_has_no_effect(house: House) -> None:
    """Prefetch and prerender of ``/bff/login`` are 503 and leave no cookie."""
    for purpose in ("prefetch", "prefetch;prerender"):
        browser = house.browser()
        visit = await browser.tab().go(house.url("/bff/login"), extra={"Sec-Purpose": purpose})
        assert (visit.response.status_code, problem_of(visit.response)) == (503, "speculative-request")
        assert not browser.names()
