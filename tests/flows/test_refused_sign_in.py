"""A sign-in that the authorization server does not finish: one page that says so, in our words, and the way on."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.world.browser import Tab
from tests.world.house import ADA, House


async def answered(house: House, tab: Tab, **parameters: str) -> Any:
    """The browser comes back from the authority with this response to its own sign-in."""
    visit = await house.begin(tab)
    asked = parse_qs(urlsplit(visit.url).query)
    response = {"state": asked["state"][0], "iss": house.options.issuer_identifier, **parameters}
    return await tab.go(f"{asked['redirect_uri'][0]}?{urlencode(response)}", initiator=visit.url)


@pytest.mark.req("C-29")
async def test_whoever_cancels_reads_that_nothing_happened(house: House) -> None:
    """Cancel leads back to a page of ours with two ways on, and nobody is signed in."""
    tab = house.browser().tab()
    await house.begin(tab)
    visit = await tab.submit(_button="action=cancel")
    assert (visit.response.status_code, visit.heading) == (403, "You cancelled")
    assert visit.links == ["/bff/login", "/"]
    await tab.go(house.url("/"))
    assert (await house.user(tab)) == {"authenticated": False, "login_url": "/bff/login"}


async def test_whoever_cancels_can_sign_in_at_once(house: House) -> None:
    """The way on that the page offers works."""
    tab = house.browser().tab()
    await house.begin(tab)
    visit = await tab.submit(_button="action=cancel")
    await tab.link(visit.links[0])
    await tab.submit(email=ADA.email, password=ADA.password)
    assert (await house.user(tab))["authenticated"] is True


@pytest.mark.req("OIDC-2", "ATK-7")
@pytest.mark.parametrize(
    ("code", "heading"),
    [
        ("access_denied", "You cancelled"),
        ("login_required", "Please sign in"),
        ("interaction_required", "One more step is needed"),
        ("consent_required", "Your consent is needed"),
        ("account_selection_required", "Choose an account"),
        ("temporarily_unavailable", "The sign-in service is busy"),
        ("server_error", "The sign-in service had a problem"),
        ("invalid_scope", "This site asks for too much"),
        ("AADSTS50011", "You were not signed in"),
    ],
)
async def test_every_error_has_words_of_ours(house: House, code: str, heading: str) -> None:
    """An error response is answered with our words for its code; a code nobody knows has words, too."""
    tab = house.browser().tab()
    visit = await answered(house, tab, error=code, error_description="the server's own text")
    assert (visit.response.status_code, visit.heading) == (403, heading)
    assert "the server's own text" not in visit.response.text
    assert visit.links[-1] == "/"


async def test_prompt_none_without_a_session_there_asks_to_sign_in(house: House) -> None:
    """A silent attempt that finds nobody ends on a page, not in a loop."""
    tab = house.browser().tab()
    visit = await house.begin(tab, "/bff/login?prompt=none")
    assert (visit.path, visit.heading) == ("/bff/callback", "Please sign in")


@pytest.mark.parametrize(
    "query",
    [
        "next=/todos",
        "prompt=later",
        "max_age=-1",
        "max_age=1&max_age=2",
        "ui_locales=<script>",
        "login_hint=",
        "scope=x",
    ],
)
async def test_login_offers_nothing_else(house: House, query: str) -> None:
    """A parameter that is unknown, repeated or outside its pattern is a page, and nothing is asked of the authority."""
    tab = house.browser().tab()
    await tab.go(house.url("/"))
    visit = await tab.link(f"/bff/login?{query}")
    assert (visit.response.status_code, visit.heading) == (400, "This link cannot sign you in")
    assert house.record.requests["authorize"] == 0
    assert not house.browser().names()


async def test_what_login_offers_is_passed_on(house: House) -> None:
    """Each hint reaches the authorization request as it was written."""
    tab = house.browser().tab()
    hints = {"login_hint": "ada@example.com", "max_age": "60", "ui_locales": "en de", "acr_values": "1"}
    visit = await house.begin(tab, f"/bff/login?{urlencode(hints)}")
    asked = parse_qs(urlsplit(visit.url).query)
    assert {name: asked[name] for name in hints} == {name: [value] for name, value in hints.items()}
