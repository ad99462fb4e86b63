"""Mix-up: a response that another authorization server made (RFC 9207, RFC 9700 4.4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.authority import LocalAuthority
from tests.world.house import House, opened_house
from tests.world.responses import altered, caught_response, delivered


@pytest.mark.req("ISS-1", "ISS-3", "BCP-14", "ATK-8")
@pytest.mark.parametrize(
    "misbehaviour",
    [
        Misbehaviour.RESPONSE_WRONG_ISSUER,
        Misbehaviour.RESPONSE_MISSING_ISSUER,
        Misbehaviour.RESPONSE_REPEATED_ISSUER,
    ],
)
async def test_a_response_of_another_issuer_never_reaches_the_token_endpoint(
    house: House, misbehaviour: Misbehaviour
) -> None:
    """A wrong, a missing or a repeated ``iss``: a page, no token call, no session."""
    house.misbehaviours.begin(misbehaviour)
    tab = house.browser().tab()
    visit = await house.sign_in(tab)
    assert visit.heading == "The answer could not be accepted"
    assert house.record.token_calls.total() == 0
    assert house.cookie not in tab.browser.names()


@pytest.mark.req("ISS-1")
@pytest.mark.parametrize("change", ["/", "#", " ", "%2f", "HTTP"])
async def test_iss_is_compared_as_text(house: House, change: str) -> None:
    """No slash more, no other case, no second decoding: simple string comparison."""
    tab = house.browser().tab()
    url = await caught_response(house, tab)
    issuer = house.options.issuer_identifier
    await delivered(
        house, tab, altered(url, iss=issuer.replace("http", "HTTP") if change == "HTTP" else issuer + change)
    )
    assert tab.visit.heading == "The answer could not be accepted"
    assert house.record.token_calls.total() == 0


@pytest.mark.req("ISS-2", "OIDC-2")
async def test_an_error_of_another_issuer_is_not_believed_either(house: House) -> None:
    """``iss`` comes before ``error``: a foreign refusal is no refusal."""
    tab = house.browser().tab()
    url = await caught_response(house, tab)
    await delivered(house, tab, altered(url, code=None, error="access_denied", iss="https://evil.example"))
    assert tab.visit.heading == "The answer could not be accepted"


@pytest.mark.req("BCP-14")
async def test_a_sign_in_belongs_to_the_server_it_was_begun_at(tmp_path: Path) -> None:
    """After the settings name another issuer, a transaction of the former one is refused, without a token call."""
    async with opened_house(tmp_path, authority={"shape": "entra"}) as house:
        tab = house.browser().tab()
        url = await caught_response(house, tab)
        house.options = replace(house.options, issuer="http://127.0.0.1:3002/another")
        await house.stop_bff()
        other = LocalAuthority(clock=house.clock, issuer=house.options.issuer, shape="entra")
        house.authority = other.app
        house.internet.put(house.options.origin, other.asgi)
        await house.start_bff()
        await delivered(house, tab, url)
        assert tab.visit.heading == "The answer could not be accepted"
        assert house.record.token_calls.total() == 0


@pytest.mark.req("BCP-14", "ATK-3")
async def test_metadata_that_names_another_issuer_is_discarded(house: House) -> None:
    """A document under our address that speaks for somebody else signs nobody in (OIDC Discovery 4.3)."""
    house.misbehaviours.begin(Misbehaviour.METADATA_WRONG_ISSUER)
    tab = house.browser().tab()
    await tab.go(house.url("/"))
    visit = await tab.link("/bff/login")
    assert visit.heading == "The sign-in service does not answer"
    assert visit.url.startswith(house.origin)
