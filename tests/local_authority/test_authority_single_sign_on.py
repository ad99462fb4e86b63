"""The sign-in session: when it answers without a form, and when it must not."""

from __future__ import annotations

import pytest

from tests.world.authority import (
    ADA,
    GRACE,
    LocalAuthority,
    SignInBrowser,
    authorization_url,
    claims_of,
    response_parameters,
)
from tests.world.clock import MovableClock


async def test_a_session_answers_without_a_form(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """While the session lives, a second request is answered at once, with or without prompt=none."""
    await browser.sign_in(authorization_url(authority))

    for prompt in (None, "none"):
        assert response_parameters(await browser.get(authorization_url(authority, prompt=prompt)))["code"]


async def test_prompt_none_without_a_session_is_login_required(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """prompt=none never shows a page: login_required goes back, with state and issuer (OIDC Core 3.1.2.6)."""
    answer = response_parameters(await browser.get(authorization_url(authority, prompt="none")))

    assert answer["error"] == "login_required"
    assert answer["iss"] == authority.options.issuer_identifier


async def test_a_session_ends_some_time_after_its_last_use(browser: SignInBrowser, clock: MovableClock) -> None:
    """Each use lets the session live on; without one it is over."""
    authority = LocalAuthority(clock=clock, bff_url="http://localhost:3000")
    browser = authority.browser()
    await browser.sign_in(authorization_url(authority))
    silent = authorization_url(authority, prompt="none")
    for _ in range(3):
        clock.advance(authority.options.lifetimes.session - 1)
        assert "code" in response_parameters(await browser.get(silent))

    clock.advance(authority.options.lifetimes.session + 1)
    assert response_parameters(await browser.get(silent))["error"] == "login_required"


@pytest.mark.parametrize("cookie", ["", "x", ".", "{sid}", "{sid}.", "{sid}.wrong"])
async def test_only_the_whole_cookie_is_the_session(
    authority: LocalAuthority, browser: SignInBrowser, cookie: str
) -> None:
    """Knowing a sid, which every client does, opens nothing."""
    await browser.sign_in(authorization_url(authority))
    name = authority.services.cookies.session_name
    sid = browser.cookies[name].partition(".")[0]
    other = authority.browser()
    other.cookies.set(name, cookie.format(sid=sid), domain="127.0.0.1")

    answer = response_parameters(await other.get(authorization_url(authority, prompt="none")))
    assert answer["error"] == "login_required"


@pytest.mark.parametrize("prompt", ["login", "create", "select_account", "login consent"])
async def test_some_prompts_always_show_a_form(authority: LocalAuthority, browser: SignInBrowser, prompt: str) -> None:
    """prompt=login, create and select_account ask the person, whatever session there is."""
    await browser.sign_in(authorization_url(authority))
    response = await browser.get(authorization_url(authority, prompt=prompt))

    assert response.status_code == 200
    assert "<form" in response.text


async def test_max_age_asks_again_when_the_sign_in_is_too_old(
    authority: LocalAuthority, browser: SignInBrowser, clock: MovableClock
) -> None:
    """Within max_age the session answers and auth_time tells its age; beyond, a form; 0 is always a form."""
    await browser.sign_in(authorization_url(authority))
    signed_in_at = int(clock.now())
    clock.advance(100)
    tokens = await authority.redeem(
        response_parameters(await browser.get(authorization_url(authority, max_age="100")))["code"]
    )

    assert claims_of(tokens.json()["id_token"])["auth_time"] == signed_in_at
    assert (await browser.get(authorization_url(authority, max_age="99"))).status_code == 200
    assert (await browser.get(authorization_url(authority, max_age="0"))).status_code == 200
    silent = await browser.get(authorization_url(authority, max_age="99", prompt="none"))
    assert response_parameters(silent)["error"] == "login_required"


async def test_acr_is_granted_by_a_form_and_remembered(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """A session that did not satisfy the asked acr asks again; the ID token then says it, and only when asked."""
    plain = await authority.signed_in(browser)
    stepping_up = authorization_url(authority, acr_values="c1 c2")
    assert (await browser.get(stepping_up)).status_code == 200
    first = await authority.redeem(response_parameters(await browser.sign_in(stepping_up))["code"])
    second = await authority.redeem(response_parameters(await browser.get(stepping_up))["code"])

    assert "acr" not in claims_of(plain["id_token"])
    assert claims_of(first.json()["id_token"])["acr"] == "c1"
    assert claims_of(second.json()["id_token"])["acr"] == "c1"


async def test_a_hint_at_somebody_else_asks(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """login_hint and id_token_hint of another person than the session's lead to a form, or to login_required."""
    graces = await authority.browser().sign_in(authorization_url(authority), email=GRACE.email, password=GRACE.password)
    foreign = (await authority.redeem(response_parameters(graces)["code"])).json()["id_token"]
    own = (await authority.signed_in(browser))["id_token"]
    hint = str(claims_of(own)["login_hint"])

    for parameters in ({"login_hint": ADA.email}, {"login_hint": hint}, {"id_token_hint": own}):
        response = await browser.get(authorization_url(authority, prompt="none", **parameters))
        assert "code" in response_parameters(response)
    for parameters in ({"login_hint": GRACE.email}, {"id_token_hint": foreign}, {"id_token_hint": "rubbish"}):
        response = await browser.get(authorization_url(authority, prompt="none", **parameters))
        assert response_parameters(response)["error"] == "login_required"


async def test_signing_in_again_changes_the_cookie_and_keeps_the_sid(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """The same person keeps the sid under a new cookie; another person gets another sid. The old cookie is dead."""
    first = await authority.signed_in(browser)
    old = dict(browser.cookies)
    second = await authority.signed_in(browser, prompt="login")
    url = authorization_url(authority, prompt="login")
    response = await browser.sign_in(url, email=GRACE.email, password=GRACE.password)
    third = (await authority.redeem(response_parameters(response)["code"])).json()

    sids = [claims_of(tokens["id_token"])["sid"] for tokens in (first, second, third)]
    assert sids[0] == sids[1] != sids[2]
    replayed = authority.browser()
    for name, value in old.items():
        replayed.cookies.set(name, value, domain="127.0.0.1")
    answer = response_parameters(await replayed.get(authorization_url(authority, prompt="none")))
    assert answer["error"] == "login_required"
