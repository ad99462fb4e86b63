"""Own sessions, and an operator's hands, where sessions or their ledger lie in a real Valkey: on any replica alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from bff.app import create_app as create_bff
from bff.session.marks import mark_of_person, mark_of_sid
from bff.session.model import Session
from bff.session.redis_keys import key_of
from bff.wiring import operator_of
from local_authority.metadata import Paths
from local_authority.misbehaving.misbehaviours import ABSENT
from tests.world.browser import Tab
from tests.world.house import BFF_ORIGIN, GRACE, House, opened_house
from tests.world.valkey import Valkey

SOON = 2.0  # seconds: a quarter of one is promised, the machine that runs this may be slow


@pytest.fixture(params=["sessions", "ledger"])
async def house(request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey) -> AsyncIterator[House]:
    """A house whose BFF has its sessions, or its ledger, in Valkey, and is one of three machines."""
    stored: dict[str, Any] = {"store": "redis", "ledger": None} if request.param == "sessions" else {"ledger": "redis"}
    settings = {"session": {**stored, "redis_url": valkey.url, "machines": 3}}
    async with opened_house(tmp_path, settings=settings) as running:
        yield running


async def ended_soon(tab: Tab) -> str | None:
    """Why this tab's session ended, once the process that answers has heard of it; None where it lives on."""
    for _ in range(int(SOON / 0.05)):
        answer = await tab.api("/api/todolist")
        if answer.status_code == 401:
            reason: str = answer.json()["reason"]
            return reason
        await asyncio.sleep(0.05)
    return None


async def as_operator(house: House, act: Callable[[Any], Awaitable[Any]]) -> Any:
    """Another process on the same store."""
    operator, closing = operator_of(house.settings(), house.clock)
    try:
        return await act(operator)
    finally:
        for close in closing:
            await close()


@pytest.mark.req("F9", "F10", "F13")
async def test_a_person_sees_and_ends_their_sessions_on_any_replica(house: House) -> None:
    """What began at one replica is listed at another, ended there, and over at the first within a second."""
    here, there, other = await house.signed_in(), await house.signed_in(), await house.signed_in(GRACE)
    tag = await house.tag(there)
    replica = create_bff(house.settings(), transport=house.internet, clock=house.clock)
    async with replica.router.lifespan_context(replica):
        house.internet.put(BFF_ORIGIN, replica)
        sessions = (await here.api("/bff/sessions")).json()["sessions"]
        assert {one["tag"] for one in sessions} == {tag, await house.tag(here)}
        assert (await other.api(f"/bff/sessions/{tag}", method="DELETE")).status_code == 404
        assert (await here.api(f"/bff/sessions/{tag}", method="DELETE")).status_code == 204
        house.internet.put(BFF_ORIGIN, house.bff)
        assert await ended_soon(there) == "ended_by_owner"
    assert (await here.api("/api/todolist")).status_code == 200
    assert len((await here.api("/bff/sessions")).json()["sessions"]) == 1


@pytest.mark.req("F9", "ATK-16")
@pytest.mark.parametrize("how", ["own list", "operator", "back channel"])
async def test_an_end_from_elsewhere_shreds_what_is_stored(house: House, valkey: Valkey, how: str) -> None:
    """The secrets of a session that ends without its cookie are gone from the store, and its device from the list."""
    here, there = await house.signed_in(), await house.signed_in()
    session = await house.session(there.browser)
    with valkey.client() as client:
        assert is_readable(client, session) == (house.settings().session.store == "redis")
        if how == "own list":
            await here.api(f"/bff/sessions/{await house.tag(there)}", method="DELETE")
        elif how == "operator":
            await as_operator(house, lambda operator: operator.end_person(session.issuer, session.subject))
        else:
            await sign_out_at_the_authority(house, there)
        async with asyncio.timeout(SOON):
            while is_readable(client, session) or session_is_listed(client, session):  # noqa: ASYNC110 — no event of ours
                await asyncio.sleep(0.02)
    assert await ended_soon(there) in {"ended_by_owner", "admin", "backchannel"}


@pytest.mark.req("F9", "F34", "ATK-16")
@pytest.mark.parametrize("how", ["front channel", "back channel by sid", "everybody", "begun_after"])
async def test_an_end_that_names_nobody_shreds_what_is_stored(tmp_path: Path, valkey: Valkey, how: str) -> None:
    """The authority's sid alone, or no name at all: on a replica that never saw the session; what it spares stays."""
    stored = {"session": {"store": "redis", "ledger": None, "redis_url": valkey.url, "machines": 3}}
    async with opened_house(tmp_path, settings=stored) as house:
        there, other = await house.signed_in(), await house.signed_in(GRACE)
        session, spared = [await house.session(tab.browser) for tab in (there, other)]
        await house.restart_bff()
        if how == "front channel":
            named = urlencode({"iss": session.issuer, "sid": session.authority_sid or ""})
            framed = await house.sends(f"/bff/frontchannel-logout?{named}", ("host", "localhost:3000"))
            assert framed.status_code == 200
        elif how == "back channel by sid":
            house.misbehaviours.logout_token["sub"] = ABSENT
            await sign_out_at_the_authority(house, there)
        elif how == "everybody":
            await as_operator(house, lambda operator: operator.end_everybody())
        else:
            house.clock.advance(1)
            since = house.clock.now() - 0.5  # a date has microseconds, an instant here has more
            await house.restart_bff(session={**stored["session"], "begun_after": since})
        with valkey.client() as client:
            over = [session] if "channel" in how else [session, spared]
            async with asyncio.timeout(5 * SOON):  # everybody's are looked for in many places, behind a start's back
                while any(is_readable(client, one) or session_is_listed(client, one) for one in over):
                    house.clock.advance(0.05)  # a busy machine may open the breaker, which counts in this time
                    await asyncio.sleep(0.02)
            assert is_readable(client, spared) == ("channel" in how)
        assert await ended_soon(there) in {"frontchannel", "backchannel", "epoch"}


async def sign_out_at_the_authority(house: House, tab: Tab) -> None:
    """On a page of its own, from which it posts a logout token to us."""
    out = tab.browser.tab()
    await out.go(house.options.origin + Paths(house.options.tenant_id).oauth2("logout"))
    await out.submit(_button="action=sign-out")


def is_readable(client: Any, session: Session) -> bool:
    """Whether its secrets lie in the store."""
    found: bool = client.hexists(key_of(mark_of_sid(session.sid), "session"), "secrets")
    return found


def session_is_listed(client: Any, session: Session) -> bool:
    """Whether the person's list names it."""
    person = mark_of_person(session.issuer, session.subject)
    found: bool = client.hexists(key_of(person, "list"), mark_of_sid(session.sid))
    return found


@pytest.mark.req("F9", "F11")
async def test_an_operator_ends_a_persons_sessions_and_everybodys(house: House) -> None:
    """From a process that serves nobody: one person first, then all; what begins afterwards lives."""
    first, second, other = await house.signed_in(), await house.signed_in(), await house.signed_in(GRACE)
    session = await house.session(first.browser)
    found = await as_operator(house, lambda operator: operator.sessions_of(session.issuer, session.subject))
    assert {one.tag for one in found} == {await house.tag(first), await house.tag(second)}
    assert await as_operator(house, lambda operator: operator.end_person(session.issuer, session.subject)) == 2
    assert (await ended_soon(first), await ended_soon(second)) == ("admin", "admin")
    assert (await other.api("/api/todolist")).status_code == 200
    await as_operator(house, lambda operator: operator.end_everybody())
    assert await ended_soon(other) == "epoch"
    house.clock.advance(1)
    again = await house.signed_in()
    assert (await again.api("/api/todolist")).status_code == 200
