"""Open redirects: no address of ours leads to a place that a stranger chose."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest

from tests.world.house import House

ELSEWHERE = [
    "//evil", "/\\evil", "/%09/evil", "/%2f/evil", "\t//evil", "/.//evil", "///evil", "https:evil", "/\t/evil",
    "/%5cevil", "@evil", "https://app.example.com.evil", "https://app.example.com@evil", "javascript:alert(1)",
    "data:text/html,x", "/\u2028evil", "\uff0f\uff0fevil", "/..//evil", "http://localhost:3000@evil/",
    "/%0d%0aLocation:x",
    "https://localhost:3000/", "\\/evil", "/\x00/evil", "/%00evil", "//localhost:3000/",
]  # fmt: skip


@pytest.mark.req("ATK-5", "BCP-1")
@pytest.mark.parametrize("return_to", ELSEWHERE)
async def test_whatever_return_to_says_the_browser_stays_here(house: House, return_to: str) -> None:
    """After a real sign-in the browser is on our origin, and no redirect of ours named another one."""
    tab = house.browser().tab()
    visit = await house.sign_in(tab, path=f"/bff/login?return_to={quote(return_to, safe='')}")
    assert visit.url.startswith(house.url("/"))
    landed = [
        one.response.headers["location"]
        for one in house.internet.to(house.origin)
        if "/bff/callback" in one.url and "location" in one.response.headers
    ]
    assert landed == ["/"]


@pytest.mark.req("BCP-1", "F31")
@pytest.mark.parametrize("path", ["/bff/callback", "/bff/logged-out", "/bff/logout/continue", "/bff/logout"])
@pytest.mark.parametrize("name", ["return_to", "redirect_uri", "post_logout_redirect_uri", "next", "url"])
async def test_no_other_address_takes_a_target(house: House, path: str, name: str) -> None:
    """A target in a query of ours is read by nobody."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    response = await tab.fetch(f"{path}?{name}=https%3A%2F%2Fevil.example%2F")
    assert "evil" not in response.headers.get("location", "")
    assert "evil" not in response.text


@pytest.mark.req("BCP-1", "F31")
async def test_the_authoritys_answer_chooses_no_place(house: House) -> None:
    """Every redirect of the BFF leads to itself, or to an endpoint of the metadata."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.sign_out(tab)
    locations = [
        one.response.headers["location"]
        for one in house.internet.to(house.origin)
        if "location" in one.response.headers
    ]
    known = {"", urlsplit(house.options.origin).netloc}
    assert len(locations) == 4
    assert {urlsplit(location).netloc for location in locations} == known
