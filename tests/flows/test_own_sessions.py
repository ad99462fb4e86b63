"""Somebody sees their own sessions and ends any of them; nobody sees or ends anybody else's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bff.app import create_app as create_bff
from tests.world.browser import Tab
from tests.world.house import BFF_ORIGIN, GRACE, House, opened_house, problem_of

SESSIONS = "/bff/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1"


async def listed(tab: Tab) -> list[dict[str, Any]]:
    """What the page is told of this person's sessions."""
    answer = await tab.api(SESSIONS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return found


async def why_refused(tab: Tab) -> tuple[int, str | None]:
    """How a call in the name of this tab's session is answered, and why the session ended."""
    answer = await tab.api("/api/todolist")
    return answer.status_code, answer.json().get("reason") if answer.status_code >= 400 else None


@pytest.mark.req("F9", "F13")
async def test_a_person_sees_each_of_their_sessions(house: House) -> None:
    """This one first, each with its device, since when, last seen when; and none of anybody else's."""
    phone = house.browser()
    phone.user_agent = IPHONE
    first = await house.signed_in(browser=phone)
    house.clock.advance(60)
    desk = house.browser()
    desk.user_agent = FIREFOX
    second = await house.signed_in(browser=desk)
    await house.signed_in(GRACE)
    lines = await listed(second)
    assert [(one["device"], one["current"]) for one in lines] == [
        ("Firefox on Linux", True),
        ("Safari on iPhone", False),
    ]
    assert lines[0]["tag"] == await house.tag(second)
    assert lines[1]["tag"] == await house.tag(first)
    assert [one["current"] for one in await listed(first)] == [True, False]
    began = int((await house.session(desk)).began_at)
    assert (lines[0]["began_at"], lines[0]["seen_at"], lines[1]["began_at"]) == (began, began, began - 60)


@pytest.mark.req("F9", "F11", "F13")
async def test_any_of_them_can_be_ended(house: House) -> None:
    """The other browser's next call says why; the list has one less; a second try finds nothing; this one lives."""
    here, there = await house.signed_in(), await house.signed_in()
    tag = await house.tag(there)
    answer = await here.api(f"{SESSIONS}/{tag}", method="DELETE", tag=await house.tag(here))
    assert answer.status_code == 204
    assert await why_refused(there) == (401, "ended_by_owner")
    assert house.cookie not in there.browser.names()
    assert [one["current"] for one in await listed(here)] == [True]
    again = await here.api(f"{SESSIONS}/{tag}", method="DELETE")
    assert (again.status_code, problem_of(again)) == (404, "unknown-session")
    assert await why_refused(here) == (200, None)


@pytest.mark.req("F2", "F13")
async def test_this_one_can_be_ended_too(house: House) -> None:
    """It is a sign-out without the way on: the cookies go, the refresh token is revoked, the list forgets it."""
    here, there = await house.signed_in(), await house.signed_in()
    session = await house.session(here.browser)
    assert (await here.api(f"{SESSIONS}/{await house.tag(here)}", method="DELETE")).status_code == 204
    assert house.cookie not in here.browser.names()
    await house.settle()
    assert house.record.revocations["refresh_token"] == 1
    assert house.bff.state.services.vault.ended(session) == "signed_out"
    assert len(await listed(there)) == 1


@pytest.mark.req("F11")
async def test_nobody_ends_anybody_elses(house: House) -> None:
    """Somebody else's tag is as unknown as one that never was, and that session lives."""
    ada, grace = await house.signed_in(), await house.signed_in(GRACE)
    for tag in (await house.tag(grace), "A" * 22, "..%2f", "é"):
        answer = await ada.api(f"{SESSIONS}/{tag}", method="DELETE")
        assert answer.status_code in {404, 405}, tag
    assert await why_refused(grace) == (200, None)


@pytest.mark.req("F27", "F30")
async def test_it_is_guarded_like_every_call(house: House) -> None:
    """No header, another site, no session, a page of another session: refused, each in its own words."""
    tab = await house.signed_in()
    cookie, ours = house.cookie_header(tab.browser), ("origin", BFF_ORIGIN)
    for method, path in (("GET", SESSIONS), ("DELETE", f"{SESSIONS}/x")):
        answers = [
            await house.sends(path, cookie, method=method),
            await house.sends(path, cookie, ("x-csrf", "1"), ("sec-fetch-site", "cross-site"), method=method),
            await house.sends(path, ("x-csrf", "1"), ours, method=method),
            await house.sends(path, cookie, ("x-csrf", "1"), ours, ("x-bff-session", "another"), method=method),
        ]
        found = [problem_of(answer) for answer in answers]
        assert found == ["antiforgery-header", "antiforgery-cross-site", "no-session", "session-changed"]


@pytest.mark.req("F13")
@pytest.mark.parametrize(
    "settings",
    [{"session": {"ledger": "memory"}}, {"session": {"machines": 2}, "authority": {"refresh_rotation": "overlap"}}],
    ids=["memory", "two machines"],
)
async def test_without_a_ledger_that_holds_there_is_no_list(
    house: House, settings: dict[str, dict[str, object]]
) -> None:
    """Nobody is told that a session was ended where it would live on after a restart, or on the other machine."""
    await house.restart_bff(**settings)
    tab = await house.signed_in()
    for method, path in (("GET", SESSIONS), ("DELETE", f"{SESSIONS}/x")):
        answer = await tab.api(path, method=method)
        assert answer.status_code in {404, 405}


@pytest.mark.req("F11", "F13")
async def test_what_ended_in_any_way_is_not_listed(house: House) -> None:
    """A sign-out, a sign-in over it, an end at the authorization server: each leaves the list at once."""
    watching, leaving, again, elsewhere = [await house.signed_in() for _ in range(4)]
    assert len(await listed(watching)) == 4
    await house.sign_out(leaving)
    assert len(await listed(watching)) == 3
    await house.sign_in(again, path="/bff/login?prompt=login")
    assert len(await listed(watching)) == 3
    sid = (await house.session(elsewhere.browser)).authority_sid
    await house.sends(f"/bff/frontchannel-logout?iss={house.options.issuer_identifier}&sid={sid}")
    assert len(await listed(watching)) == 2


@pytest.mark.req("F10", "F13")
async def test_the_list_is_that_of_every_worker_and_outlives_a_restart(house: House) -> None:
    """Two processes on one file: what began in the one is listed, and ended, in the other."""
    here, there = await house.signed_in(), await house.signed_in()
    tag = await house.tag(there)
    other = create_bff(house.settings(), transport=house.internet, clock=house.clock)
    async with other.router.lifespan_context(other):
        house.internet.put(BFF_ORIGIN, other)
        assert len(await listed(here)) == 2
        assert (await here.api(f"{SESSIONS}/{tag}", method="DELETE")).status_code == 204
        house.internet.put(BFF_ORIGIN, house.bff)
    house.clock.advance(1)
    assert await why_refused(there) == (401, "ended_by_owner")
    await house.restart_bff()
    assert len(await listed(here)) == 1


async def test_last_seen_moves_with_renewals_and_changes_never_with_a_reading(tmp_path: Path) -> None:
    """A reading writes nothing; a change is noted once in five minutes; a renewed token says that somebody was here."""
    async with opened_house(tmp_path, access_token_seconds=1800, settings={"session": {"idle": "1h"}}) as house:
        tab = await house.signed_in()
        began = (await listed(tab))[0]["seen_at"]

        async def seen_after(seconds: float, method: str, **body: Any) -> int:
            house.clock.advance(seconds)
            assert (await tab.api("/api/todolist", method=method, **body)).status_code < 300
            await house.bff.own_sessions._background.finish(seconds=5)  # type: ignore[union-attr]  # because it is there
            found: int = (await listed(tab))[0]["seen_at"] - began
            return found

        assert await seen_after(600, "GET") == 0
        assert await seen_after(1, "POST", json={"description": "one"}) == 601
        assert await seen_after(100, "POST", json={"description": "two"}) == 601
        await seen_after(1080, "GET")  # the token is renewed by this call, which is noted at the next
        assert await seen_after(1, "GET") >= 1781


async def test_a_session_that_nobody_can_use_any_more_lapses_from_the_list(tmp_path: Path) -> None:
    """Its idle time after its last token's end is over: had it been used, it would have been renewed."""
    async with opened_house(tmp_path, access_token_seconds=300, settings={"session": {"idle": "10m"}}) as house:
        await house.signed_in()
        house.clock.advance(901)
        assert [one["current"] for one in await listed(await house.signed_in())] == [True]


@pytest.mark.req("F9", "ATK-16")
async def test_the_ledger_tells_nothing_of_a_device(house: House) -> None:
    """The file holds marks and sealed values: neither device nor tag nor person can be read in it."""
    browser = house.browser()
    browser.user_agent = IPHONE
    tab = await house.signed_in(browser=browser)
    tag, session = await house.tag(tab), await house.session(browser)
    stored = b"".join(path.read_bytes() for path in house.folder.glob("ledger.sqlite*"))
    for secret in ("iPhone", "Safari", tag, session.sid, session.subject):
        assert secret.encode() not in stored
    assert session.sid not in json.dumps(await listed(tab))


@pytest.mark.req("F13")
@pytest.mark.parametrize(
    ("settings", "said_loudly", "said"),
    [
        ({}, set(), {"idle_unseen", "refresh_token_unread"}),
        (
            {"session": {"ledger": "memory"}},
            {"copied_cookie", "ends_elsewhere"},
            {"idle_unseen", "refresh_token_unread"},
        ),
    ],
    ids=["file", "memory"],
)
async def test_the_start_says_what_cannot_be_known(
    house: House, settings: dict[str, dict[str, object]], said_loudly: set[str], said: set[str]
) -> None:
    """One line a limit; a warning where a sign-out is weaker for it."""
    with capture_logs() as lines:
        await house.restart_bff(**settings)
    limits = {
        level: {one["limit"] for one in lines if one["event"] == "sign_out_limit" and one["log_level"] == level}
        for level in ("warning", "info")
    }
    assert limits == {"warning": said_loudly, "info": said}
