"""Reflection: what an attacker writes into an address is never written into a page of ours."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from tests.world.house import House
from tests.world.responses import caught_response, delivered, parameters

SCRIPT = "<script>alert(document.domain)</script>"


@pytest.mark.req("ATK-7", "OIDC-2")
async def test_nothing_of_an_error_response_is_shown(house: House) -> None:
    """``error`` is mapped to our words; ``error_description`` and ``error_uri`` are read by nobody."""
    tab = house.browser().tab()
    visit = await house.begin(tab)
    state = parse_qs(urlsplit(visit.url).query)["state"][0]
    response = {"error": SCRIPT, "error_description": SCRIPT, "error_uri": "https://evil.example/", "state": state}
    query = urlencode({**response, "iss": house.options.issuer_identifier})
    landed = await tab.go(house.url(f"/bff/callback?{query}"), initiator=visit.url)
    assert landed.heading == "You were not signed in"
    assert "document.domain" not in landed.response.text
    assert "evil" not in landed.response.text


@pytest.mark.req("ATK-7")
async def test_an_error_without_a_state_of_ours_is_no_error(house: House) -> None:
    """The state comes first: nobody can make us say that a sign-in failed that was never begun."""
    landed = await house.browser().tab().go(house.url("/bff/callback?error=access_denied&state=abcdefgh12345678"))
    assert landed.heading == "This sign-in has expired"


@pytest.mark.req("ATK-7", "ATK-59")
@pytest.mark.parametrize(
    "path",
    [
        "/bff/login?return_to={}&x={}",
        "/bff/login?prompt={}",
        "/bff/callback?{}={}",
        "/bff/callback?state={}&code={}",
        "/bff/logout?ticket={}",
        "/bff/logged-out?state={}",
        "/bff/{}",
        "/docs/{}",
        "/api/{}",
        "/{}",
    ],
)
async def test_no_page_and_no_problem_repeats_the_request(house: House, path: str) -> None:
    """Neither as markup nor as text does anything of an address come back, headers included."""
    tab = house.browser().tab()
    for response in (
        (await tab.go(house.url(path.replace("{}", quote(SCRIPT, safe=""))))).response,
        await tab.fetch(path.replace("{}", "canary-" + "7" * 20)),
    ):
        answer = response.text + str(response.headers)
        assert "document.domain" not in answer
        assert "canary" not in answer


@pytest.mark.req("ATK-8", "OA-1")
@pytest.mark.parametrize("name", ["state", "code", "iss", "error", "session_state"])
async def test_a_repeated_parameter_is_refused_before_anything_happens(house: House, name: str) -> None:
    """Two values are two readings: 400, no token call, and the transaction is still there for the honest response."""
    tab = house.browser().tab()
    url = await caught_response(house, tab)
    value = parameters(url).get(name, "x")
    await delivered(house, tab, f"{url}&{urlencode({name: value})}&{urlencode({name: value})}")
    assert (tab.visit.response.status_code, tab.visit.heading) == (400, "The answer could not be accepted")
    assert house.record.token_calls.total() == 0
    await delivered(house, tab, url)
    assert tab.visit.url == house.url("/")
