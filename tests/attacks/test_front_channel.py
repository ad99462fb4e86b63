"""The front channel: what passes through addresses, redirects and histories on the way to a session and back."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.world.house import ADA, House

CALLBACK = "/bff/callback"


@pytest.mark.req("BCP-17")
async def test_every_redirect_of_ours_is_a_303(house: House) -> None:
    """303, never 307: what a form sent is never sent on."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.sign_out(tab)
    redirects = [one.response for one in house.internet.to(house.origin) if "location" in one.response.headers]
    assert {response.status_code for response in redirects} == {303}
    assert len(redirects) == 4


@pytest.mark.req("BCP-12")
async def test_a_callback_leaves_no_trace(house: House) -> None:
    """Its redirect has no referrer and is stored nowhere, and its target has neither code nor state."""
    tab = house.browser().tab()
    visit = await house.sign_in(tab, path="/bff/login?return_to=/todos")
    [callback] = [one.response for one in house.internet.to(house.origin) if CALLBACK in one.url]
    assert callback.headers["referrer-policy"] == "no-referrer"
    assert callback.headers["cache-control"] == "no-store"
    assert urlsplit(visit.url).query == ""


@pytest.mark.req("BCP-12", "ATK-6")
async def test_a_state_is_spent_with_its_first_use(house: House) -> None:
    """Whatever comes of a callback, signed in or cancelled, its answer deletes the transaction's cookie."""
    for button in ("", "action=cancel"):
        tab = house.browser().tab()
        await house.begin(tab)
        await (tab.submit(_button=button) if button else tab.submit(email=ADA.email, password=ADA.password))
        [callback] = [one.response for one in house.internet.to(house.origin) if CALLBACK in one.url][-1:]
        spent = [line for line in callback.headers.get_list("set-cookie") if "-tx-" in line]
        assert len(spent) == 1
        assert "Max-Age=0" in spent[0]
        assert not [name for name in tab.browser.names() if "-tx-" in name]


@pytest.mark.req("BCP-13")
async def test_no_token_is_in_any_address(house: House) -> None:
    """From sign-up to sign-out, no URL that anybody asked for contains a token of ours."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await tab.api("/api/todolist")
    session = await house.session(tab.browser)
    await house.sign_out(tab)
    secrets = [session.tokens.access_token, session.tokens.refresh_token, session.tokens.id_token]
    for _, url in house.internet.requests:
        assert "eyJ" not in url
        assert not [secret for secret in secrets if secret is not None and secret in url]


@pytest.mark.req("BCP-16")
async def test_state_carries_nothing_and_what_it_stands_for_is_sealed(house: House) -> None:
    """``state`` is random and says nothing; the target, the nonce and the verifier lie encrypted in our own cookie."""
    tab = house.browser().tab()
    visit = await house.begin(tab, "/bff/login?return_to=/todos/secret-place")
    asked = parse_qs(urlsplit(visit.url).query)
    [cookie] = [one for one in tab.browser.cookies.values() if "-tx-" in one.name]
    for visible in (visit.url, cookie.value, cookie.name):
        assert "secret-place" not in visible
    assert asked["nonce"][0] not in cookie.value
    flipped = cookie.value[:-8] + ("A" if cookie.value[-8] != "A" else "B") + cookie.value[-7:]
    cookie.value = flipped
    landed = await tab.submit(email=ADA.email, password=ADA.password)
    assert landed.heading == "This sign-in has expired"
    assert house.record.token_calls.total() == 0


@pytest.mark.req("BBA-20")
@pytest.mark.parametrize("path", ["/bff/callback/", "/bff/callback/x", "/BFF/callback", "/bff//callback"])
async def test_there_is_one_redirect_uri(house: House, path: str) -> None:
    """No other spelling of the callback answers, so the registered address is the only one."""
    answer = await house.sends(f"{path}?state=abcdefgh12&code=c")
    assert answer.status_code == 404
    assert "location" not in answer.headers
