"""``/docs`` on the BFF: the API's document as this site offers it, tried out with the session (F29)."""

from __future__ import annotations

import pytest

from tests.world.house import API_ORIGIN, AUTHORITY_ORIGIN, House, problem_of


@pytest.mark.req("F29")
async def test_the_document_knows_no_token(house: House) -> None:
    """The operations that are relayed, our address, and no security scheme or address of anybody else in it."""
    own = (await house.sends("/openapi.json", origin=API_ORIGIN)).json()
    copy = await house.sends("/docs/openapi.json")
    document = copy.json()
    assert copy.headers["content-type"] == "application/json"
    assert document["servers"] == [{"url": "/"}]
    assert document["paths"].keys() == {path for path in own["paths"] if path.startswith("/api/")}
    assert "securitySchemes" in own["components"]
    assert "securitySchemes" not in document["components"]
    assert '"security"' not in copy.text
    for address in (API_ORIGIN, AUTHORITY_ORIGIN, "127.0.0.1"):
        assert address not in copy.text


@pytest.mark.req("F29")
async def test_every_operation_can_be_tried_through_the_session(house: House) -> None:
    """A call of the document's first list operation, as the documentation page makes it, is answered with the list."""
    document = (await house.sends("/docs/openapi.json")).json()
    tab = house.browser().tab()
    await house.sign_in(tab)
    await tab.go(house.url("/docs"))
    path = next(path for path, operations in document["paths"].items() if "get" in operations and "{" not in path)
    answer = await tab.fetch(path, headers={"X-CSRF": "1"})
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.req("F29")
async def test_the_documentation_works_offline_under_a_strict_policy(house: House) -> None:
    """Every script and style comes from this site, none is inline, and the policy says so."""
    page = await house.sends("/docs")
    policy = page.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src 'none'" in policy
    assert "<script>" not in page.text
    assert "http://" not in page.text.replace("http://www.w3.org/", "")
    assert "https://" not in page.text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/{name}" in page.text
        assert (await house.sends(f"/docs/{name}")).status_code == 200
    script = await house.sends("/assets/docs.js")
    assert "X-CSRF" in script.text
    assert (await house.sends("/docs/oauth2-redirect.html")).status_code == 404


async def test_without_its_api_the_document_is_an_outage(house: House) -> None:
    """502, as for any call of the API; the page itself still loads."""
    house.internet.take_down(API_ORIGIN)
    assert problem_of(await house.sends("/docs/openapi.json")) == "upstream-unavailable"
    assert (await house.sends("/docs")).status_code == 200
