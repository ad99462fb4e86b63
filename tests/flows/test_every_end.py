"""Each way a session ends is one event: refused with its reason, told to the page, counted once, and audited once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bff.session.audit import WHO
from bff.session.cookies import Jar
from bff.session.endings import Reason
from bff.session.marks import mark_of_person, shown
from bff.telemetry import metrics
from bff.wiring import operator_of
from local_authority.misbehaving.misbehaviours import ABSENT, Misbehaviour
from tests.world.browser import Tab
from tests.world.house import GRACE, House, opened_house, problem_of

Scenario = Callable[[House, Tab], Awaitable[None]]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Access tokens live for five minutes, sessions for ten without use and for an hour in all."""
    settings = {"session": {"idle": "10m", "absolute": "1h"}}
    async with opened_house(tmp_path, access_token_seconds=300, settings=settings) as running:
        yield running


async def signed_out(house: House, tab: Tab) -> None:
    """The page's button."""
    assert (await tab.api("/bff/logout", method="POST")).status_code == 200
    await house.settle()


async def replaced(house: House, tab: Tab) -> None:
    """A sign-in as somebody else."""
    await house.sign_in(tab, GRACE, "/bff/login?prompt=login")
    await house.settle()


async def ended_by_owner(house: House, tab: Tab) -> None:
    """From another browser of the same person."""
    other = await house.signed_in()
    assert (await other.api(f"/bff/sessions/{await house.tag(tab)}", method="DELETE")).status_code == 204


async def idle(house: House, tab: Tab) -> None:
    """Eleven minutes of nothing."""
    house.clock.advance(660)


async def absolute(house: House, tab: Tab) -> None:
    """An hour of something every nine minutes."""
    for _ in range(6):
        house.clock.advance(540)
        assert (await tab.api("/api/todolist")).status_code == 200
    house.clock.advance(400)


async def session_expiry(house: House, tab: Tab) -> None:
    """The authorization server gave this session two minutes."""
    house.misbehaviours.id_token["session_expiry"] = int(house.clock.now()) + 120
    await house.sign_in(tab, path="/bff/login?prompt=login")
    await house.user(tab)
    house.clock.advance(121)


async def refresh_refused(house: House, tab: Tab) -> None:
    """The grant is over."""
    house.clock.advance(290)
    house.misbehaviours.begin(Misbehaviour.REFRESH_REFUSED)


async def too_large(house: House, tab: Tab) -> None:
    """What a refresh brings fits into no cookie."""
    house.clock.advance(290)
    house.misbehaviours.access_token["groups"] = [f"group-{number:x}-{number**9:x}" for number in range(900)]
    await tab.api("/api/todolist")


async def refresh_lost(house: House, tab: Tab) -> None:
    """The answer with the rotated token gets lost, and the old one is spent."""
    house.clock.advance(290)
    house.misbehaviours.begin(Misbehaviour.ANSWER_LOST, at="token", times=1)
    assert (await tab.api("/api/todolist")).status_code == 200
    house.clock.advance(60)


async def stale_generation(house: House, tab: Tab) -> None:
    """A copy of an expired generation keeps coming."""
    old = tab.browser.kept()
    house.clock.advance(290)
    assert (await tab.api("/api/todolist")).status_code == 200
    assert (await tab.api("/api/todolist")).status_code == 200
    await house.bff.state.services.vault.aclose()  # the acknowledgement, which nobody waits for
    house.clock.advance(61)
    newest = tab.browser.kept()
    tab.browser.cookies = dict(old)
    assert problem_of(await tab.api("/api/todolist")) == "session-superseded"
    house.clock.advance(6)
    await tab.api("/api/todolist")
    tab.browser.cookies = dict(newest)


async def backchannel(house: House, tab: Tab) -> None:
    """A sign-out at the authority, which has no frame to load."""
    visit = await tab.browser.tab().go(await end_session_endpoint(house))
    out = tab.browser.tab()
    out.url, out.visit = visit.url, visit
    await out.submit(_button="action=sign-out")


async def frontchannel(house: House, tab: Tab) -> None:
    """Its frame alone."""
    sid = (await house.session(tab.browser)).authority_sid
    await house.sends(f"/bff/frontchannel-logout?iss={house.options.issuer_identifier}&sid={sid}")


async def admin(house: House, tab: Tab) -> None:
    """An operator ends what this person has begun."""
    session = await house.session(tab.browser)
    await as_operator(house, lambda operator: operator.end_person(session.issuer, session.subject))


async def epoch(house: House, tab: Tab) -> None:
    """An operator ends everybody's."""
    await as_operator(house, lambda operator: operator.end_everybody())


async def as_operator(house: House, act: Callable[[Any], Awaitable[Any]]) -> None:
    """Another process on the same ledger."""
    operator, closing = operator_of(house.settings(), house.clock)
    await act(operator)
    for close in closing:
        await close()
    house.clock.advance(0.5)


async def end_session_endpoint(house: House) -> str:
    """Where a person signs out at the authority."""
    answer = await house.sends(
        house.options.metadata_url.removeprefix(house.options.metadata_origin), origin=house.options.metadata_origin
    )
    found: str = answer.json()["end_session_endpoint"]
    return found


SCENARIOS: dict[Reason, Scenario] = {
    Reason.SIGNED_OUT: signed_out,
    Reason.REPLACED: replaced,
    Reason.ENDED_BY_OWNER: ended_by_owner,
    Reason.IDLE: idle,
    Reason.ABSOLUTE: absolute,
    Reason.SESSION_EXPIRY: session_expiry,
    Reason.REFRESH_REFUSED: refresh_refused,
    Reason.REFRESH_LOST: refresh_lost,
    Reason.TOO_LARGE: too_large,
    Reason.STALE_GENERATION: stale_generation,
    Reason.BACKCHANNEL: backchannel,
    Reason.FRONTCHANNEL: frontchannel,
    Reason.ADMIN: admin,
    Reason.EPOCH: epoch,
}
# What ends in the call that finds it out; every other end is there before anybody presents the cookie again.
FOUND_OUT = {Reason.IDLE, Reason.ABSOLUTE, Reason.SESSION_EXPIRY, Reason.REFRESH_REFUSED, Reason.REFRESH_LOST}
UNREADABLE = {Reason.REFRESH_REFUSED, Reason.REFRESH_LOST, Reason.TOO_LARGE}  # that refresh token is dead already


def counted(reason: Reason) -> float:
    """How many ends this process has counted for a reason."""
    return metrics.sessions_ended.labels(reason=reason.value)._value.get()  # type: ignore[no-any-return]  # a float


def test_there_is_a_scenario_for_each_reason() -> None:
    """A reason that is added is proven here, or this fails."""
    assert SCENARIOS.keys() == set(Reason)


@pytest.mark.req("F2", "F11", "F13", "ATK-58")
@pytest.mark.parametrize("reason", SCENARIOS, ids=lambda reason: reason.value)
async def test_an_end_is_one_event(house: House, reason: Reason) -> None:
    """A copy of the cookies is refused with the reason, `/bff/user` says it, it is counted and audited exactly once."""
    tab = await house.signed_in()
    before, lost = counted(reason), metrics.refreshes_lost._value.get()
    with capture_logs() as said:
        if reason is Reason.SESSION_EXPIRY:
            await session_expiry(house, tab)
            copy = tab.browser.kept()
        else:
            copy = tab.browser.kept()
            await SCENARIOS[reason](house, tab)
            copy = tab.browser.kept() if reason in FOUND_OUT | {Reason.STALE_GENERATION} else copy
        for _ in range(2):
            tab.browser.cookies = dict(copy)
            answer = await tab.api("/api/todolist")
            assert (answer.status_code, problem_of(answer)) == (401, "session-ended")
            assert answer.json()["reason"] == reason.value
        tab.browser.cookies = dict(copy)
        assert (await house.user(tab)) == {"authenticated": False, "login_url": "/bff/login", "reason": reason.value}
        await house.settle()
    assert counted(reason) == before + 1
    assert metrics.refreshes_lost._value.get() == lost + (reason is Reason.REFRESH_LOST)
    [line] = [one for one in said if one["event"] in {"session_ended", "sessions_ended"} and one["reason"] == reason]
    assert line["by"] == WHO[reason]


@pytest.mark.req("F2", "F9")
@pytest.mark.parametrize("reason", [one for one in SCENARIOS if one not in UNREADABLE], ids=lambda reason: reason.value)
async def test_no_refresh_token_outlives_its_session(house: House, reason: Reason) -> None:
    """Revoked at the end where it can be read, else when the cookie comes again: none lives on at the authority."""
    tab = await house.signed_in()
    copy = tab.browser.kept()
    await SCENARIOS[reason](house, tab)
    if reason in {Reason.SESSION_EXPIRY, Reason.STALE_GENERATION} | FOUND_OUT:
        copy = tab.browser.kept()
    tab.browser.cookies = dict(copy)
    session = await sealed_in(house, tab)
    await tab.api("/bff/user")
    await house.settle()
    grant = house.authority.state.services.grants.of_refresh_token(session.tokens.refresh_token)
    assert grant is not None
    assert grant.revoked is True


async def sealed_in(house: House, tab: Tab) -> Any:
    """What lies sealed in a jar, whatever is known of its end."""
    vault = house.bff.state.services.vault
    name, line = house.cookie_header(tab.browser)
    opened = vault._sessions.opened(Jar.read([(name.encode(), line.encode())]))
    return opened.session


@pytest.mark.req("F28", "F11")
@pytest.mark.parametrize("reason", [Reason.ENDED_BY_OWNER, Reason.ADMIN, Reason.EPOCH, Reason.BACKCHANNEL])
async def test_an_open_page_hears_of_an_end_elsewhere(house: House, reason: Reason) -> None:
    """The stream ends with the reason within a second, wherever the end came from."""
    tab = await house.signed_in()
    stream = asyncio.create_task(tab.fetch("/bff/events", headers={"X-CSRF": "1"}))
    async with asyncio.timeout(5):
        while not house.bff.state.services.endings._waiting:  # noqa: ASYNC110 — it has no event of ours
            await asyncio.sleep(0.005)
    await SCENARIOS[reason](house, tab.browser.tab() if reason is Reason.BACKCHANNEL else tab)
    async with asyncio.timeout(2):
        answer = await stream
    assert f'{{"reason": "{reason.value}"}}' in answer.text


@pytest.mark.req("BCL-3", "F11")
async def test_a_logout_token_with_both_names_reaches_a_session_without_sid(house: House) -> None:
    """Its ID token named none, so ``sub`` speaks for it; a session that has another ``sid`` lives."""
    house.misbehaviours.id_token["sid"] = ABSENT
    unnamed = await house.signed_in()
    house.misbehaviours.id_token.clear()
    named = await house.signed_in()
    house.clock.advance(1)
    await backchannel(house, unnamed)
    answer = await unnamed.api("/api/todolist")
    assert (answer.status_code, answer.json()["reason"]) == (401, "backchannel")
    assert (await named.api("/api/todolist")).status_code == 200
    house.clock.advance(1)
    house.misbehaviours.id_token["sid"] = ABSENT
    assert (await (await house.signed_in()).api("/api/todolist")).status_code == 200


@pytest.mark.req("F13")
async def test_the_audit_log_names_nobody(house: House) -> None:
    """A beginning and an end share the tag and the mark of a person; neither sid, sub nor a token is said."""
    with capture_logs() as said:
        tab = await house.signed_in()
        session, tag = await house.session(tab.browser), await house.tag(tab)
        await signed_out(house, tab)
    lines = [one for one in said if one["event"] in {"session_began", "session_ended"}]
    person = shown(mark_of_person(session.issuer, session.subject))
    assert [(one["event"], one["session"], one["person"]) for one in lines] == [
        ("session_began", tag, person),
        ("session_ended", tag, person),
    ]
    text = repr(lines)
    for secret in (session.sid, session.subject, session.tokens.access_token, session.tokens.refresh_token):
        assert secret is not None
        assert secret not in text
