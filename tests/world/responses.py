"""Authorization responses that a test holds in its hands: caught before the browser delivers them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from local_authority.seeds import SeededPerson
from tests.world.browser import Tab
from tests.world.house import ADA, House


async def caught_response(house: House, tab: Tab, person: SeededPerson = ADA) -> str:
    """Begin a sign-in and finish it at the authority; the address that leads back is caught, not visited."""
    await house.begin(tab)
    house.internet.take_down(house.origin)
    with pytest.raises(Exception, match="connection refused"):
        await tab.submit(email=person.email, password=person.password)
    house.internet.put(house.origin, house.bff)
    return house.internet.requests[-1][1]


async def delivered(house: House, tab: Tab, url: str) -> None:
    """The browser is sent to this address by a page of another site."""
    await tab.go(url, initiator=house.options.origin)


def parameters(url: str) -> dict[str, str]:
    """The parameters of a response."""
    return dict(parse_qsl(urlsplit(url).query))


def altered(url: str, **changes: str | None) -> str:
    """The same response with other parameters; None takes one away."""
    merged: dict[str, str | None] = {**parameters(url), **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(kept)}"
