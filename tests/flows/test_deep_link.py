"""Where a sign-in began is where it ends."""

from __future__ import annotations

import pytest

from tests.world.house import House


@pytest.mark.req("BCP-16")
@pytest.mark.parametrize("place", ["/", "/todos", "/account", "/todos?sort=new#third", "/todos/%C3%A4"])
async def test_a_sign_in_ends_where_it_began(house: House, place: str) -> None:
    """``return_to`` comes back byte for byte: it lay sealed in our own cookie, not in the authority's hands."""
    tab = house.browser().tab()
    visit = await house.sign_in(
        tab, path=f"/bff/login?return_to={place.replace('#', '%23').replace('%C', '%25C').replace('%A', '%25A')}"
    )
    assert visit.url == house.url(place)
    assert visit.response.status_code == 200
    asked = next(url for url in visit_urls(house) if "/authorize" in url)
    assert "todos" not in asked


def visit_urls(house: House) -> list[str]:
    """Every address that anybody asked for."""
    return [url for _, url in house.internet.requests]


async def test_a_document_anywhere_is_the_page(house: House) -> None:
    """A deep link that is opened directly loads the page, which knows its own paths; a script's request does not."""
    tab = house.browser().tab()
    for path in ("/", "/todos", "/account", "/anywhere/else"):
        assert (await tab.go(house.url(path))).response.headers["content-type"].startswith("text/html")
    assert (await tab.fetch("/anywhere/else")).status_code == 404
