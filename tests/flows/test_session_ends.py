"""A session ends by itself: after idleness, at its absolute end, where the authorization server said so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.house import House, opened_house, problem_of

HOUR = 3600


@pytest.fixture
async def brief(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose sessions idle for ten minutes and live for an hour."""
    async with opened_house(tmp_path, settings={"session": {"idle": "10m", "absolute": "1h"}}) as running:
        yield running


async def test_a_session_that_nobody_uses_ends(brief: House) -> None:
    """After the idle time a call is 401 with its reason, and the cookies are taken back."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.clock.advance(601)
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer), answer.json()["reason"]) == (401, "session-ended", "idle")
    assert brief.cookie not in tab.browser.names()


@pytest.mark.req("F19")
async def test_a_session_that_is_used_goes_on(brief: House) -> None:
    """Each call slides the end of idleness, by a stamp of its own; the sealed session is not written anew."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    sealed = tab.browser.value(brief.origin, brief.cookie)
    for _ in range(5):
        brief.clock.advance(590)
        assert (await tab.api("/api/todolist")).status_code == 200
    assert tab.browser.value(brief.origin, brief.cookie) == sealed


async def test_no_use_moves_the_absolute_end(brief: House) -> None:
    """However busy, the session is over when its time has come."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    for _ in range(7):
        brief.clock.advance(500)
        assert (await tab.api("/api/todolist")).status_code == 200
    brief.clock.advance(101)
    answer = await tab.api("/api/todolist")
    assert (problem_of(answer), answer.json()["reason"]) == ("session-ended", "absolute")


@pytest.mark.req("F19")
async def test_a_stamp_of_another_session_does_not_keep_one_alive(brief: House) -> None:
    """A thief with a stale session cannot wake it with the fresh stamp of his own."""
    victim, thief = brief.browser(), brief.browser()
    await brief.sign_in(victim.tab())
    brief.clock.advance(601)
    own = thief.tab()
    await brief.sign_in(own)
    key = ("localhost", "/", brief.cookie)
    thief.cookies[key] = victim.kept()[key]
    answer = await own.api("/api/todolist")
    assert (problem_of(answer), answer.json()["reason"]) == ("session-ended", "idle")


async def test_the_authority_may_set_an_earlier_end(brief: House) -> None:
    """A ``session_expiry`` claim bounds the session, and the page learns the instant."""
    end = int(brief.clock.now()) + 120
    brief.misbehaviours.id_token["session_expiry"] = end
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    user = await brief.user(tab)
    assert user["session"]["expires_at"] == user["session"]["idle_expires_at"] == end
    brief.clock.advance(121)
    answer = await tab.api("/api/todolist")
    assert (problem_of(answer), answer.json()["reason"]) == ("session-ended", "session_expiry")


async def test_the_page_is_told_both_ends(brief: House) -> None:
    """``expires_at`` never moves; ``idle_expires_at`` follows the last activity and never passes it."""
    tab = brief.browser().tab()
    began = brief.clock.now()
    await brief.sign_in(tab)
    brief.clock.advance(500)
    await tab.api("/api/todolist")
    session = (await brief.user(tab))["session"]
    assert (session["began_at"], session["expires_at"]) == (int(began), int(began + HOUR))
    assert abs(session["idle_expires_at"] - (began + 500 + 600)) < 2


@pytest.mark.req("F5", "F19")
async def test_an_upload_that_arrives_late_is_no_evidence_of_idleness(brief: House) -> None:
    """Its cookies are those of its beginning: it is refused, and the session that was used meanwhile is not touched."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    await brief.user(tab)
    sent = (brief.cookie_header(tab.browser), ("x-csrf", "1"), ("origin", brief.origin))
    for _ in range(2):
        brief.clock.advance(400)
        assert (await tab.api("/api/todolist")).status_code == 200
    late = await brief.sends(
        "/api/todolist", *sent, ("content-type", "application/json"), method="POST", body=b'{"description": "late"}'
    )
    assert (problem_of(late), late.json()["reason"]) == ("session-ended", "idle")
    assert "set-cookie" not in late.headers
    await brief.settle()
    assert brief.record.revocations == {}
    assert (await tab.api("/api/todolist")).status_code == 200


async def test_asking_who_is_there_is_never_an_error(brief: House) -> None:
    """An ended session is told as anonymous with 200; only calls that need it are refused."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.clock.advance(601)
    user = await brief.user(tab)
    assert (user["authenticated"], user["login_url"]) == (False, "/bff/login")
