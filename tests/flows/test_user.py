"""``GET /bff/user``: the page's one source of truth, in the shape it was promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.world.house import ADA, House, opened_house


async def test_an_anonymous_browser_learns_how_to_sign_in(house: House) -> None:
    """200, and nothing but that."""
    tab = house.browser().tab()
    await tab.go(house.url("/"))
    answer = await tab.api("/bff/user")
    assert (answer.status_code, answer.json()) == (200, {"authenticated": False, "login_url": "/bff/login"})
    assert "set-cookie" not in answer.headers


@pytest.mark.req("F30")
async def test_a_signed_in_page_learns_all_it_needs(house: House) -> None:
    """The members and their types; the tag is stable, and it is not the session's id."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    user = await house.user(tab)
    assert user.keys() == {"authenticated", "sub", "claims", "session", "logout_url", "antiforgery"}
    assert user["session"].keys() == {
        "began_at", "expires_at", "idle_expires_at", "auth_time", "acr", "tag",
    }  # fmt: skip
    assert user["antiforgery"] == {"header": "X-CSRF", "value": "1"}
    assert user["logout_url"].startswith("/bff/logout?ticket=")
    assert user["sub"] == user["claims"]["sub"]
    assert isinstance(user["session"]["auth_time"], int)
    assert user["session"]["tag"] == await house.tag(tab) != (await house.session(tab.browser)).sid


async def test_only_listed_claims_leave(tmp_path: Path) -> None:
    """What ``session.claims`` does not name stays in the sealed session."""
    async with opened_house(tmp_path, settings={"session": {"claims": ["name", "nickname"]}}) as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        user = await house.user(tab)
        assert user["claims"] == {"name": ADA.name}
        assert ADA.email not in str(user)


@pytest.mark.req("ATK-30")
async def test_the_answer_is_kept_nowhere_and_differs_by_cookie(house: House) -> None:
    """No cache, no sniffing, and the same status whoever asks."""
    tab = house.browser().tab()
    await tab.go(house.url("/"))
    anonymous = await tab.api("/bff/user")
    await house.sign_in(tab)
    signed_in = await tab.api("/bff/user")
    for answer in (anonymous, signed_in):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"] == "Cookie"
        assert answer.headers["x-content-type-options"] == "nosniff"
