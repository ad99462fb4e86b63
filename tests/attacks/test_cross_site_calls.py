"""Calls that other pages cause: of another site, of a sibling, from a frame, from a form, by a guess of the browser."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.world.browser import Blocked, Tab
from tests.world.house import API_ORIGIN, House, problem_of

EVIL = "https://evil.example/"
SIBLING = "http://localhost:4000/"  # another port is another origin of the same site: Strict cookies travel


async def victim_on(house: House, page: str) -> Tab:
    """A signed-in browser whose tab shows another page."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    tab.url = page
    return tab


def relayed(house: House) -> int:
    """How many calls reached the API with a token."""
    return len([one for one in house.internet.to(API_ORIGIN) if one.sent("authorization")])


@pytest.mark.req("ATK-23", "BBA-10", "BBA-11")
@pytest.mark.parametrize("page", [EVIL, SIBLING])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_form_of_another_page_does_nothing(house: House, page: str, method: str) -> None:
    """A form cannot send the header: whatever it posts or fetches, nothing reaches the API."""
    tab = await victim_on(house, page)
    visit = await tab.go(house.url("/api/todolist"), method=method, form={"description": "evil"}, initiator=page)
    assert problem_of(visit.response) == "antiforgery-header"
    assert relayed(house) == 0


@pytest.mark.req("ATK-23", "ATK-24", "ATK-25", "ATK-65")
@pytest.mark.parametrize("page", [EVIL, SIBLING])
@pytest.mark.parametrize("path", ["/api/todolist", "/bff/user", "/bff/logout"])
async def test_a_script_of_another_page_gets_no_preflight(house: House, page: str, path: str) -> None:
    """OPTIONS is answered by us and grants nothing, so a call with the header is never even sent."""
    tab = await victim_on(house, page)
    for method in ("GET", "POST", "PUT", "DELETE"):
        with pytest.raises(Blocked, match="preflight"):
            await tab.fetch(house.url(path), method=method, headers={"X-CSRF": "1"}, json={"description": "evil"})
    assert relayed(house) == 0
    assert (await _back_home(house, tab))["authenticated"] is True


@pytest.mark.req("ATK-24", "BBA-10")
@pytest.mark.parametrize("signal", [{"sec-fetch-site": "same-site"}, {"sec-fetch-site": "cross-site"}])
async def test_the_header_alone_is_not_enough(house: House, signal: dict[str, str]) -> None:
    """With cookie and header, a sibling's call is still told by ``Sec-Fetch-Site``, and by ``Origin`` without it."""
    tab = await victim_on(house, house.url("/"))
    cookie = house.cookie_header(tab.browser)
    answer = await house.sends("/api/todolist", cookie, ("x-csrf", "1"), *signal.items())
    assert problem_of(answer) == "antiforgery-cross-site"
    answer = await house.sends("/api/todolist", cookie, ("x-csrf", "1"), ("origin", "http://localhost:4000"))
    assert problem_of(answer) == "antiforgery-origin"
    assert relayed(house) == 0


@pytest.mark.req("ATK-25")
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil-app.example.com",
        "http://localhost:3000.evil.example",
        "http://LOCALHOST:3000",
        "http://localhost",
    ],
)
async def test_no_origin_is_ever_reflected(house: House, origin: str) -> None:
    """No answer of ours has a CORS field, whatever ``Origin`` says, with a session or without."""
    tab = await victim_on(house, house.url("/"))
    cookie = house.cookie_header(tab.browser)
    for path in ("/", "/bff/user", "/api/todolist", "/docs/openapi.json", "/assets/bff.js"):
        for method in ("GET", "OPTIONS"):
            asked = ("access-control-request-method", "DELETE")
            answer = await house.sends(path, cookie, ("origin", origin), ("x-csrf", "1"), asked, method=method)
            assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert relayed(house) == 0


@pytest.mark.req("ATK-28")
@pytest.mark.parametrize("page", [EVIL, SIBLING])
async def test_no_other_page_signs_anybody_out(house: House, page: str) -> None:
    """Neither an image nor a form, a link, a frame or a guess of the browser ends the session."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    link = house.url((await house.user(tab))["logout_url"])
    tab.url = page
    for target in (link, house.url("/bff/logout"), house.url("/bff/logout/continue")):
        for destination in ("image", "script", "iframe"):
            await tab.embed(target, destination=destination)
        await tab.go(target, initiator=page)
        tab.url = page
    await tab.go(house.url("/bff/logout"), method="POST", form={"x": "y"}, initiator=page)
    await tab.go(link, extra={"Sec-Purpose": "prefetch;prerender"})
    assert (await _back_home(house, tab))["authenticated"] is True


@pytest.mark.req("ATK-28")
async def test_a_forced_sign_in_never_happens_unseen(house: House) -> None:
    """A link of another site to ``/bff/login`` leads to the authority's page, and no further until somebody acts."""
    tab = house.browser().tab()
    tab.url = EVIL
    visit = await tab.link(house.url("/bff/login"))
    assert visit.url.startswith(house.options.origin)
    assert house.record.token_calls.total() == 0


@pytest.mark.req("ATK-30", "BBA-11")
@pytest.mark.parametrize("page", [EVIL, SIBLING])
async def test_nobody_else_can_tell_who_is_signed_in(house: House, page: str) -> None:
    """To another page ``/bff/user`` looks the same with and without a session: status, headers, length."""
    looks: list[Any] = []
    for signed_in in (False, True):
        tab = house.browser().tab()
        if signed_in:
            await house.sign_in(tab)
        tab.url = page
        for path in ("/bff/user", "/api/todolist", "/bff/logout"):
            for destination in ("image", "script", "iframe"):
                answer = await tab.embed(house.url(path), destination=destination)
                assert not answer.is_success or path == "/bff/logout"
                looks.append((path, destination, answer.status_code, dict(answer.headers), len(answer.text)))
    half = len(looks) // 2
    assert looks[:half] == looks[half:]


@pytest.mark.req("ATK-30")
async def test_what_a_page_loads_of_ours_no_other_page_may_embed(house: House) -> None:
    """``Cross-Origin-Resource-Policy: same-origin`` and ``nosniff`` on everything that depends on a session."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    for path in ("/bff/user", "/api/todolist"):
        answer = await tab.api(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.req("ATK-29", "BCP-12")
@pytest.mark.parametrize(
    "path", ["/", "/todos", "/docs", "/bff/callback?state=abcdefgh12&code=c", "/bff/logout", "/bff/login?x=y"]
)
async def test_no_page_of_ours_may_be_framed_or_leaks_its_address(house: House, path: str) -> None:
    """``frame-ancestors 'none'``, no referrer, and no resource of anybody else's on any document."""
    answer = (await house.browser().tab().go(house.url(path))).response
    assert answer.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.findall(r"""(?:src|srcset|action|<link[^>]*href)=["'](?:https?:)?//""", answer.text)


async def _back_home(house: House, tab: Tab) -> dict[str, Any]:
    await tab.go(house.url("/"))
    return await house.user(tab)
