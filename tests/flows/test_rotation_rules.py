"""What a person's page meets when generations expire, other processes meddle, and each API wants its own token."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_authority.misbehaving.misbehaviours import Misbehaviour
from local_authority.seeds import READ_SCOPE
from tests.world.browser import Tab
from tests.world.house import API_ORIGIN, House, opened_house, problem_of

OVERLAP = {"authority": {"refresh_rotation": "overlap"}}


@pytest.fixture
async def brief(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose access tokens live for five minutes."""
    async with opened_house(tmp_path, access_token_seconds=300) as running:
        yield running


async def expired_copy(house: House, tab: Tab) -> Tab:
    """Another browser with a copy of this one's jar, whose generation has expired since."""
    await house.sign_in(tab)
    copy = house.browser()
    copy.cookies = tab.browser.kept()
    house.clock.advance(290)
    for _ in range(2):
        assert (await tab.api("/api/todolist")).status_code == 200
    await house.bff.state.services.vault.aclose()  # that the newest was seen is written by now
    house.clock.advance(61)
    thief = copy.tab()
    await thief.go(house.url("/"))
    return thief


@pytest.mark.req("F5")
async def test_two_bodiless_calls_with_an_expired_generation_end_the_session_for_everybody(brief: House) -> None:
    """Softly the first time, and within five seconds of it; then it is over, for the copy and for the person."""
    tab = brief.browser().tab()
    thief = await expired_copy(brief, tab)
    for _ in range(2):
        refused = await thief.api("/api/todolist")
        assert (refused.status_code, problem_of(refused)) == (401, "session-superseded")
        assert "set-cookie" not in refused.headers
    brief.clock.advance(6)
    ended = await thief.api("/api/todolist")
    assert (problem_of(ended), ended.json()["reason"]) == ("session-ended", "stale_generation")
    mine = await tab.api("/api/todolist")
    assert (problem_of(mine), mine.json()["reason"]) == ("session-ended", "stale_generation")


@pytest.mark.req("F5")
async def test_uploads_with_an_expired_generation_are_no_evidence(brief: House) -> None:
    """They may have been held back by a proxy; the person stays signed in."""
    tab = brief.browser().tab()
    late = await expired_copy(brief, tab)
    for _ in range(3):
        refused = await late.api("/api/todolist", method="POST", json={"description": "late"})
        assert problem_of(refused) == "session-superseded"
        brief.clock.advance(10)
    assert (await tab.api("/api/todolist")).status_code == 200


@pytest.mark.req("F9", "F5")
async def test_a_session_that_ended_unread_is_revoked_when_its_cookie_comes_again(brief: House) -> None:
    """It ended for idleness, and nobody could read its refresh token then: the next call brings it."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.clock.advance(31 * 60)
    assert brief.record.revocations["refresh_token"] == 0
    ended = await tab.api("/api/todolist")
    assert ended.json()["reason"] == "idle"
    await brief.settle()
    assert brief.record.revocations["refresh_token"] == 1


@pytest.mark.req("F14")
@pytest.mark.parametrize("machines", [1, 2])
async def test_another_process_without_our_ledger_is_an_alarm(tmp_path: Path, machines: int) -> None:
    """Its cookie was sealed while we were running: not ready, unless the operator has said that there are several."""
    settings = {**OVERLAP, "session": {"machines": machines}}
    async with opened_house(tmp_path, settings=settings) as house:
        ours = house.bff
        house.clock.advance(120)
        await house.start_bff(session={"ledger": f"file:{tmp_path}/another.sqlite"})
        tab = house.browser().tab()
        await house.sign_in(tab)
        house.internet.put(house.origin, ours)
        assert (await house.sends("/readyz", ("host", "localhost:3000"))).status_code == 200
        assert (await house.user(tab))["authenticated"] is True
        answer = await house.sends("/readyz", ("host", "localhost:3000"))
        assert (answer.status_code, answer.json()["parts"]["one_ledger"]) == (
            (503, "down") if machines == 1 else (200, "ok")
        )


@pytest.mark.req("F8", "BBA-17")
async def test_credentials_that_the_server_refuses_cost_nobody_a_session(brief: House) -> None:
    """``invalid_client`` is our fault: 502 with a time to come back, and all is well once it is mended."""
    tab = brief.browser().tab()
    await brief.sign_in(tab)
    brief.clock.advance(301)
    brief.misbehaviours.begin(Misbehaviour.INVALID_CLIENT)
    answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer)) == (502, "authority-client-refused")
    assert 5 <= int(answer.headers["retry-after"]) <= 10
    brief.misbehaviours.end()
    brief.clock.advance(2)
    assert (await tab.api("/api/todolist")).status_code == 200


def scopes_seen(house: House) -> list[str]:
    """The scopes of the tokens that the API was shown, call by call."""
    tokens = [one.sent("authorization")[0].split(b".")[1] for one in house.internet.to(API_ORIGIN)]
    return [json.loads(base64.urlsafe_b64decode(token + b"=="))["scp"] for token in tokens]


@pytest.mark.req("C6", "C7", "F7", "BBA-18")
async def test_each_route_shows_its_api_its_own_narrow_token(tmp_path: Path) -> None:
    """Reading goes out with a token that can read and nothing else; writing with the session's own."""
    routes = [
        {"path": "/api/", "upstream": API_ORIGIN, "methods": ["GET"], "scope": READ_SCOPE},
        {"path": "/api/", "upstream": API_ORIGIN, "methods": ["POST"]},
    ]
    async with opened_house(tmp_path, settings={"route": routes}) as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        for _ in range(3):
            assert (await tab.api("/api/todolist")).status_code == 200
        made = await tab.api("/api/todolist", method="POST", json={"description": "with the session's own"})
        assert made.status_code == 201
        assert scopes_seen(house) == ["ToDoList.Read"] * 3 + ["ToDoList.Read ToDoList.ReadWrite"]
        assert house.record.token_calls["refresh_token"] == 1
        await house.restart_bff()
        assert (await tab.api("/api/todolist")).status_code == 200
        assert (house.record.token_calls["refresh_token"], house.record.refusals) == (2, {})
