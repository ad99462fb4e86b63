"""Login CSRF: the attacker's authorization response in the victim's browser."""

from __future__ import annotations

import pytest

from tests.world.house import GRACE, House
from tests.world.responses import altered, caught_response, delivered, parameters


@pytest.mark.req("ATK-1", "BCP-2", "OA-6")
async def test_a_response_to_another_browsers_request_signs_nobody_in(house: House) -> None:
    """The state exists at the server, and its cookie in the attacker's browser alone: refused, and no code is spent."""
    attacker, victim = house.browser().tab(), house.browser().tab()
    url = await caught_response(house, attacker, GRACE)
    await delivered(house, victim, url)
    assert victim.visit.heading == "This sign-in has expired"
    assert house.cookie not in victim.browser.names()
    assert house.record.token_calls.total() == 0


@pytest.mark.req("ATK-1", "BCP-2", "BCP-4")
async def test_a_victim_with_a_sign_in_under_way_is_not_fooled_either(house: House) -> None:
    """The attacker's code under the victim's own state ends at PKCE and nonce: no session, not even the victim's."""
    attacker, victim = house.browser().tab(), house.browser().tab()
    attackers = await caught_response(house, attacker, GRACE)
    victims = await caught_response(house, victim)
    await delivered(house, victim, altered(victims, code=parameters(attackers)["code"]))
    assert victim.visit.response.status_code == 400
    assert house.cookie not in victim.browser.names()


@pytest.mark.req("ATK-1", "BCP-16")
async def test_a_transaction_cookie_cannot_be_planted_without_our_key(house: House) -> None:
    """A cookie under the right name that we did not seal is no transaction."""
    attacker, victim = house.browser().tab(), house.browser().tab()
    url = await caught_response(house, attacker, GRACE)
    [name] = [name for name in attacker.browser.names() if "-tx-" in name]
    victim.browser.toss(house.origin, name, "A" * 400, path="/")
    await delivered(house, victim, url)
    assert victim.visit.heading == "This sign-in has expired"
    assert house.record.token_calls.total() == 0


@pytest.mark.req("ATK-1")
async def test_a_victims_session_is_not_replaced(house: House) -> None:
    """Whoever is signed in stays who they are, whatever response is thrown at the callback."""
    attacker, victim = house.browser().tab(), house.browser().tab()
    url = await caught_response(house, attacker, GRACE)
    await house.sign_in(victim)
    tag = await house.tag(victim)
    await delivered(house, victim, url)
    assert await house.tag(victim) == tag
