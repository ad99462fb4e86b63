"""Code injection: a stolen code in the attacker's own sign-in (RFC 9700 4.5)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.world.house import AUTHORITY_ORIGIN, GRACE, House
from tests.world.responses import altered, caught_response, delivered, parameters


@pytest.mark.req("ATK-4", "BCP-4", "BCP-15")
async def test_a_stolen_code_is_worth_nothing_in_another_sign_in(house: House) -> None:
    """The victim's code under the attacker's state: the verifier does not fit, so the authority redeems nothing."""
    victim, attacker = house.browser().tab(), house.browser().tab()
    stolen = parameters(await caught_response(house, victim))["code"]
    own = await caught_response(house, attacker, GRACE)
    await delivered(house, attacker, altered(own, code=stolen))
    assert attacker.visit.heading == "The sign-in took too long"
    assert house.cookie not in attacker.browser.names()


@pytest.mark.req("ATK-4", "OA-7", "BCP-4", "OA-2")
async def test_every_token_call_proves_its_own_request(house: House) -> None:
    """Each code is redeemed with the verifier of its own challenge and the redirect URI of its own request."""
    tabs = [house.browser().tab() for _ in range(2)]
    for tab in tabs:
        await house.sign_in(tab)
    asked = [parse_qs(urlsplit(url).query) for _, url in house.internet.requests if "/authorize?" in url]
    calls = [one for one in house.internet.to(AUTHORITY_ORIGIN, "POST") if one.url.endswith("/token")]
    sent = [parse_qs(one.request_body.decode()) for one in calls]
    assert len({form["code_verifier"][0] for form in sent}) == 2
    assert len({query["nonce"][0] for query in asked}) == len({query["state"][0] for query in asked}) == 2
    for query, form in zip(asked, sent, strict=True):
        assert query["redirect_uri"] == form["redirect_uri"] == [house.url("/bff/callback")]
        assert 43 <= len(form["code_verifier"][0]) <= 128
        assert query["code_challenge_method"] == ["S256"]


@pytest.mark.req("BBA-2", "BBA-20", "OIDC-1")
async def test_the_request_is_what_the_best_practice_asks_for(house: House) -> None:
    """``response_type=code``, ``openid``, the registered redirect URI: nothing of it comes from the browser."""
    tab = house.browser().tab()
    visit = await house.begin(tab, "/bff/login?return_to=https://evil.example/")
    asked = parse_qs(urlsplit(visit.url).query)
    assert asked["response_type"] == ["code"]
    assert "openid" in asked["scope"][0].split()
    assert asked["redirect_uri"] == [house.url("/bff/callback")]
    assert "evil" not in visit.url
