"""A refresh token that somebody else used ends the session, loudly (ATK-54); an outage makes no storm (ATK-67)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.house import House, opened_house, problem_of

CALLS = 50


@pytest.fixture
async def brief(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose access tokens live for five minutes."""
    async with opened_house(tmp_path, access_token_seconds=300) as running:
        yield running


def token_calls(house: House) -> int:
    """How many requests went to the token endpoint, answered or not."""
    return sum(url.endswith("/token") for method, url in house.internet.requests if method == "POST")


@pytest.mark.req("ATK-54")
async def test_a_refresh_token_that_a_thief_used_ends_both_of_them(brief: House) -> None:
    """Our next refresh is the reuse: the authority revokes the family, the session ends, and the audit log says so."""
    tab = await brief.signed_in()
    grants, session = brief.authority.state.services.grants, await brief.session(tab.browser)
    assert session.tokens.refresh_token is not None
    stolen = grants.issue_refresh_token(grants.spend(session.tokens.refresh_token, client_id=brief.bff_client_id))
    brief.clock.advance(301)
    with capture_logs() as said:
        answer = await tab.api("/api/todolist")
    assert (answer.status_code, problem_of(answer), answer.json()["reason"]) == (
        401,
        "session-ended",
        "refresh_refused",
    )
    assert [one["by"] for one in said if one["event"] == "session_ended"] == ["authorization_server"]
    assert grants.of_refresh_token(stolen).revoked is True
    assert brief.cookie not in tab.browser.names()


@pytest.mark.req("ATK-67")
async def test_an_outage_is_no_storm(brief: House) -> None:
    """Fifty calls at a dead token make a handful of token calls, and are told to come back at different times."""
    tab = await brief.signed_in()
    brief.clock.advance(301)
    brief.misbehaviours.begin(Misbehaviour.DOWN, at="token")
    before = token_calls(brief)
    answers = await asyncio.gather(*(tab.api("/api/todolist") for _ in range(CALLS)))
    assert {(answer.status_code, problem_of(answer)) for answer in answers} == {(503, "authority-unavailable")}
    assert 1 <= token_calls(brief) - before <= 2
    waits = {int(answer.headers["retry-after"]) for answer in answers}
    assert len(waits) > 1
    assert min(waits) >= 1
    brief.misbehaviours.end(Misbehaviour.DOWN)
    brief.clock.advance(2)
    assert (await tab.api("/api/todolist")).status_code == 200
