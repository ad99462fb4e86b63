"""A sign-out that begins elsewhere ends the session here: by back channel, by front channel, in both shapes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from bff import app
from local_authority.misbehaving.misbehaviours import ABSENT
from tests.world.browser import Browser, Tab, Visit
from tests.world.house import AUTHORITY_ORIGIN, GRACE, House, opened_house, problem_of
from tests.world.internet import Exchange, HeldAnswers

BACK, FRONT = "/bff/backchannel-logout", "/bff/frontchannel-logout"
FORM = ("content-type", "application/x-www-form-urlencoded")
ENTRA = {"profile": "entra-external-id", "tenant_subdomain": "contoso", "tenant_id": "any"}


@pytest.fixture
async def entra(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose authority has Entra's shape: front-channel logout with sid alone, and no back channel."""
    async with opened_house(tmp_path, authority={"shape": "entra"}) as running:
        await running.restart_bff(authority=ENTRA | {"issuer": running.options.issuer_identifier})
        yield running


async def why_refused(tab: Tab) -> tuple[int, str | None]:
    """How a call in the name of this tab's session is answered, and why the session ended."""
    answer = await tab.api("/api/todolist")
    return answer.status_code, answer.json().get("reason") if answer.status_code >= 400 else None


async def sign_out_at_the_authority(house: House, browser: Browser, *, frames: bool = True) -> Visit:
    """End the authority's own session on a page of its own, as a person does there, and load what that page frames."""
    async with httpx.AsyncClient(transport=house.internet) as http:
        metadata = (await http.get(house.options.metadata_url)).json()
    tab = browser.tab()
    await tab.go(metadata["end_session_endpoint"])
    visit = await tab.submit(_button="action=sign-out")
    for address in re.findall(r'<iframe [^>]*src="([^"]+)"', visit.response.text if frames else ""):
        await tab.embed(unescape(address), destination="iframe")
    return visit


def told_by_back_channel(house: House) -> list[Exchange]:
    """What the authority posted, with our answers."""
    return [one for one in house.internet.exchanges if one.url == house.url(BACK)]


async def posted(house: House, body: bytes, *headers: tuple[str, str]) -> httpx.Response:
    """A form as a server posts it."""
    return await house.sends(BACK, FORM, *headers, method="POST", body=body)


async def framed(house: House, *headers: tuple[str, str], **parameters: str) -> httpx.Response:
    """What a frame with these parameters shows."""
    return await house.sends(f"{FRONT}?{urlencode(parameters)}", *headers)


async def authority_sid(house: House, browser: Browser) -> str:
    """The authority's own name of the session that a browser is in."""
    sid = (await house.session(browser)).authority_sid
    assert sid is not None
    return sid


@pytest.mark.req("BCL-1", "BCL-3", "BCL-4")
async def test_a_sign_out_at_the_authority_ends_the_session_here(house: House) -> None:
    """The authority posts a logout token, is answered 200 without a body to keep, and the next call says why."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    await sign_out_at_the_authority(house, browser)
    [told] = told_by_back_channel(house)
    answer = told.response
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert await why_refused(tab) == (401, "backchannel")
    assert house.cookie not in browser.names()
    assert (await house.user(tab))["authenticated"] is False


@pytest.mark.req("BCL-3")
async def test_only_that_session_ends(house: House) -> None:
    """The same person in another browser, and another person, stay signed in."""
    browser, elsewhere, other = house.browser(), house.browser().tab(), house.browser().tab()
    await house.sign_in(browser.tab())
    await house.sign_in(elsewhere)
    await house.sign_in(other, GRACE)
    await sign_out_at_the_authority(house, browser)
    assert await why_refused(elsewhere) == (200, None)
    assert await why_refused(other) == (200, None)


@pytest.mark.req("BCL-3", "F11")
async def test_a_token_without_sid_ends_all_that_the_person_began(house: House) -> None:
    """``sub`` alone means every session until then; one that begins afterwards lives."""
    browser, elsewhere, other = house.browser(), house.browser().tab(), house.browser().tab()
    await house.sign_in(browser.tab())
    await house.sign_in(elsewhere)
    await house.sign_in(other, GRACE)
    house.misbehaviours.logout_token["sid"] = ABSENT
    house.clock.advance(1)
    await sign_out_at_the_authority(house, browser, frames=False)
    assert await why_refused(elsewhere) == (401, "backchannel")
    assert await why_refused(other) == (200, None)
    house.clock.advance(1)
    again = house.browser().tab()
    await house.sign_in(again)
    await house.user(again)
    assert await why_refused(again) == (200, None)


@pytest.mark.req("F11", "F13")
async def test_a_sign_in_under_way_comes_too_late(house: House) -> None:
    """Its code is being redeemed when the authority ends its session: no session begins here, nor after a restart."""
    browser = house.browser()
    tab = browser.tab()
    held = HeldAnswers(house.internet, AUTHORITY_ORIGIN, "/token")
    arriving = asyncio.create_task(house.sign_in(tab))
    await held.acted.wait()
    await sign_out_at_the_authority(house, browser)
    assert [one.response.status_code for one in told_by_back_channel(house)] == [200]
    await house.restart_bff()
    held.released.set()
    await arriving
    assert house.cookie not in browser.names()
    assert (await house.user(tab))["authenticated"] is False


@pytest.mark.req("F11", "F13")
async def test_an_end_outlives_a_restart(house: House) -> None:
    """What was ended is still over when the BFF comes back: it is a fact on the disk."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    await sign_out_at_the_authority(house, browser)
    await house.restart_bff()
    assert await why_refused(tab) == (401, "backchannel")


@pytest.mark.req("BCL-2", "BCL-4", "ATK-53")
async def test_a_token_is_heard_once(house: House) -> None:
    """The same jti again is 400, by this process and by the next one; what it ended stays ended."""
    browser = house.browser()
    await house.sign_in(browser.tab())
    await sign_out_at_the_authority(house, browser)
    [told] = told_by_back_channel(house)
    for restarted in (False, True):
        if restarted:
            await house.restart_bff()
        answer = await posted(house, told.request_body)
        assert (answer.status_code, problem_of(answer)) == (400, "invalid-logout-token")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.req("BCL-2", "BCL-4", "ATK-53")
@pytest.mark.parametrize(
    "lie", [{"events": {}}, {"nonce": "n"}, {"aud": "somebody"}, {"iat": 1}, {"iss": "https://evil.example"}], ids=str
)
async def test_a_lying_token_ends_nothing(house: House, lie: dict[str, object]) -> None:
    """400 and no-store for a token that fails a step; the session lives."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    house.misbehaviours.logout_token.update(lie)
    await sign_out_at_the_authority(house, browser, frames=False)
    [told] = told_by_back_channel(house)
    assert (told.response.status_code, told.response.headers["cache-control"]) == (400, "no-store")
    assert await why_refused(tab) == (200, None)


@pytest.mark.req("BCL-1", "BCL-4", "ATK-53")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"token=x",
        b"logout_token=",
        b"logout_token=a.b.c",
        b"logout_token=a&logout_token=a",
        b"\xff",
        b"a" * 16_385,
    ],
    ids=["empty", "another field", "no value", "no token", "twice", "no text", "17 KiB"],
)
async def test_what_is_no_form_with_one_token_is_refused(house: House, body: bytes) -> None:
    """One ``logout_token`` in a form of at most 16 KiB, or 400."""
    answer = await posted(house, body)
    assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store")


@pytest.mark.req("BCL-1")
async def test_no_cookie_is_read(house: House) -> None:
    """With a living session's cookies the answers are the same, set no cookie, and end no session of that browser."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    cookie = house.cookie_header(browser)
    answers = [await posted(house, b"logout_token=a.b.c", cookie), await framed(house, cookie, sid="x")]
    assert [answer.status_code for answer in answers] == [400, 200]
    assert not any("set-cookie" in answer.headers for answer in answers)
    assert await why_refused(tab) == (200, None)


@pytest.mark.req("BCL-1", "F34")
async def test_only_its_own_method_does_anything(house: House) -> None:
    """A logout token in an address, or a frame's parameters in a form, would be somebody else's idea."""
    assert (await house.sends(f"{BACK}?logout_token=a.b.c")).status_code == 404
    assert (await house.sends(FRONT, FORM, method="POST", body=b"sid=x")).status_code == 405


@pytest.mark.req("BCL-4")
async def test_an_outage_of_the_keys_is_no_refusal(house: House) -> None:
    """Where the authority's keys cannot be had the answer is 503: the token may be good, and may be sent again."""
    browser = house.browser()
    await house.sign_in(browser.tab())
    house.misbehaviours.logout_token["nonce"] = "n"
    await sign_out_at_the_authority(house, browser)
    [told] = told_by_back_channel(house)
    await house.stop_bff()
    await house.start_bff()
    house.internet.take_down(AUTHORITY_ORIGIN)
    answer = await posted(house, told.request_body)
    assert (answer.status_code, problem_of(answer)) == (503, "authority-unavailable")


@pytest.mark.req("F34", "FCL-1", "C-49")
async def test_entra_ends_the_session_by_a_frame_with_sid_alone(entra: House) -> None:
    """A sign-out from another application of the tenant loads our frame, to which no cookie comes; the session ends."""
    browser = entra.browser()
    tab = browser.tab()
    await entra.sign_in(tab)
    await entra.user(tab)
    sid = await authority_sid(entra, browser)
    await sign_out_at_the_authority(entra, browser)
    [frame] = [one for one in entra.internet.exchanges if one.url.startswith(entra.url(FRONT))]
    assert frame.url == entra.url(f"{FRONT}?sid={sid}")
    assert frame.sent("cookie") == []
    assert told_by_back_channel(entra) == []
    assert await why_refused(tab) == (401, "frontchannel")


@pytest.mark.req("F34", "FCL-1")
async def test_the_full_shape_names_issuer_and_session(tmp_path: Path) -> None:
    """Where the back channel is cut, the frame with iss and sid still ends the session."""
    async with opened_house(tmp_path) as house:
        browser = house.browser()
        tab = browser.tab()
        await house.sign_in(tab)
        await house.user(tab)
        house.misbehaviours.logout_token["aud"] = "somebody"
        await sign_out_at_the_authority(house, browser)
        assert await why_refused(tab) == (401, "frontchannel")


@pytest.mark.req("F34", "FCL-1")
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sid": "{sid}"},
        {"iss": "{iss}"},
        {"iss": "{iss}", "sid": ""},
        {"iss": "https://evil.example", "sid": "{sid}"},
        {"iss": "", "sid": "{sid}"},
        {"iss": "{iss}", "sid": "{sid}x"},
        {"iss": "{iss}", "sid": "x" * 256},
    ],
    ids=str,
)
async def test_a_frame_that_names_no_session_of_ours_ends_none(house: House, parameters: dict[str, str]) -> None:
    """Both of iss and sid, and ours; whatever else comes gets the same answer and does nothing."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    known = {"iss": house.options.issuer_identifier, "sid": await authority_sid(house, browser)}
    answer = await framed(house, **{name: value.format(**known) for name, value in parameters.items()})
    good = await framed(house, **(known | {"sid": "another"}))
    assert (answer.status_code, answer.headers, answer.content) == (200, good.headers, good.content)
    assert await why_refused(tab) == (200, None)


@pytest.mark.req("F34")
async def test_an_issuer_that_is_sent_must_be_ours_in_entras_profile_too(entra: House) -> None:
    """``sid`` alone means our issuer; with another issuer beside it, it means somebody else's session."""
    browser = entra.browser()
    tab = browser.tab()
    await entra.sign_in(tab)
    await entra.user(tab)
    sid = await authority_sid(entra, browser)
    await framed(entra, iss="https://evil.example", sid=sid)
    assert await why_refused(tab) == (200, None)


@pytest.mark.req("F34", "FCL-1")
async def test_the_authoritys_pages_alone_may_frame_it(house: House) -> None:
    """frame-ancestors names the endpoints' origins and the setting's; no other header keeps the frame from loading."""
    await house.restart_bff(authority={"logout_framed_by": ["https://login.example"]})
    headers = (await framed(house, iss=house.options.issuer_identifier, sid="x")).headers
    framing = f"default-src 'none'; frame-ancestors {AUTHORITY_ORIGIN} https://login.example"
    assert headers["content-security-policy"] == framing
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["cache-control"] == "no-store"
    assert "x-frame-options" not in headers


@pytest.mark.req("F34")
async def test_nobody_may_frame_it_while_the_authority_is_unknown(house: House) -> None:
    """Before its metadata was ever had, the end is written all the same, and nothing is shown."""
    await house.restart_bff()
    house.internet.take_down(AUTHORITY_ORIGIN)
    answer = await framed(house, iss=house.options.issuer_identifier, sid="x")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.req("F34")
async def test_one_address_may_end_only_so_many(house: House) -> None:
    """The sixty-first name of a minute from one address is answered like the others, and not written down."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    known = {"iss": house.options.issuer_identifier, "sid": await authority_sid(house, browser)}
    answers = [await framed(house, **(known | {"sid": f"guess-{number}"})) for number in range(60)]
    answers.append(await framed(house, **known))
    assert {answer.status_code for answer in answers} == {200}
    assert await why_refused(tab) == (200, None)


@pytest.mark.req("F34")
async def test_all_addresses_together_may_end_only_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has many addresses fills the ledger no faster: beyond the cap all get the same answer, unwritten."""
    monkeypatch.setattr(app, "FRAMES_IN_ALL", "3/minute")
    await house.restart_bff(server={"trusted_proxies": ["127.0.0.1"]})
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    known = {"iss": house.options.issuer_identifier, "sid": await authority_sid(house, browser)}
    for number in range(3):
        await framed(house, ("x-forwarded-for", f"192.0.2.{number}"), **(known | {"sid": f"guess-{number}"}))
    assert (await framed(house, ("x-forwarded-for", "192.0.2.9"), **known)).status_code == 200
    assert await why_refused(tab) == (200, None)


@pytest.mark.req("F34")
async def test_addresses_of_one_ipv6_network_are_one(house: House) -> None:
    """A network of 64 bits is what one household has, and 2^64 addresses are no more names a minute than one."""
    await house.restart_bff(server={"trusted_proxies": ["127.0.0.1"]})
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    known = {"iss": house.options.issuer_identifier, "sid": await authority_sid(house, browser)}
    for number in range(60):
        await framed(
            house, ("x-forwarded-for", f"2001:db8:1:2::{number + 1:x}"), **(known | {"sid": f"guess-{number}"})
        )
    await framed(house, ("x-forwarded-for", "2001:db8:1:2:ffff::1"), **known)
    assert await why_refused(tab) == (200, None)
    await framed(house, ("x-forwarded-for", "2001:db8:1:3::1"), **known)
    assert await why_refused(tab) == (401, "frontchannel")


@pytest.mark.req("F13", "F34", "BCL-4")
@pytest.mark.parametrize(
    "settings",
    [{"session": {"ledger": "memory"}}, {"session": {"machines": 2}, "authority": {"refresh_rotation": "overlap"}}],
    ids=["memory", "two machines"],
)
async def test_without_a_ledger_that_holds_neither_is_there(
    house: House, settings: dict[str, dict[str, object]]
) -> None:
    """Nobody is told that a session ended where it would live on after a restart, or on the other machine."""
    await house.restart_bff(**settings)
    assert (await posted(house, b"logout_token=a.b.c")).status_code in {404, 405}
    answer = await framed(house, sid="x")
    assert (answer.status_code, problem_of(answer)) == (404, "unknown-route")


@pytest.mark.req("F34")
async def test_id_tokens_without_sid_are_mentioned_once(entra: House, caplog: pytest.LogCaptureFixture) -> None:
    """Where front-channel logout is all there is, an ID token without sid is one warning a start."""
    entra.misbehaviours.id_token["sid"] = ABSENT
    for _ in range(2):
        await entra.sign_in(entra.browser().tab())
    assert len([one for one in caplog.records if "no sid" in one.getMessage()]) == 1
