"""One API's own token: fetched in a flight of its own, remembered here only, and gone with its session (F7, C6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bff.errors import AuthorizationServerUnavailable, ClientRefused, SessionEnded
from bff.oidc.messages import Narrow, TokenSet
from bff.session.endings import Ending, EndingsView, Reason
from bff.session.marks import mark_of_sid
from bff.session.model import Session
from bff.session.narrow_tokens import NarrowTokens
from tests.bff.session.session_house import House
from tests.bff.session.session_world import NOW, a_session, tokens, until
from tests.world.clock import MovableClock

READ, WRITE = Narrow(scope="todo.read"), Narrow(scope="todo.write", resource="https://todo.example")


@pytest.mark.req("C6", "C7", "BBA-18")
async def test_each_api_sees_its_own_token_and_the_session_keeps_its_own(house: House) -> None:
    """One token call each, with what the route names; the rotated refresh token makes a generation, no other change."""
    session = await house.sign_in()
    read = await house.access.fresh_for(await house.present(), READ)
    write = await house.access.fresh_for(await house.present(), WRITE)
    assert len({read.access_token, write.access_token, session.tokens.access_token}) == 3
    assert house.server.asked_for == [READ, WRITE]
    assert (read.refresh_token, read.id_token) == (None, None)
    newest = await house.call()
    assert newest.generation == 3
    assert newest.tokens == replace(session.tokens, refresh_token=house.server.issued[-1])
    assert house.server.reused is False


@pytest.mark.req("C7", "F7")
async def test_a_narrow_token_is_asked_for_once(house: House) -> None:
    """Two hundred calls to one API, at once and later, are one token call; near its end there is one more."""
    await house.sign_in()
    presented = await house.present()
    found = await asyncio.gather(*(house.access.fresh_for(presented, READ) for _ in range(200)))
    assert {one.access_token for one in found} == {(await house.access.fresh_for(presented, READ)).access_token}
    assert len(house.server.calls) == 1
    house.clock.advance(3600 - 30)
    assert (await house.access.fresh_for(await house.present(), READ)).access_token != found[0].access_token
    assert len(house.server.calls) == 2


@pytest.mark.req("F7", "C7")
async def test_the_tokens_of_five_apis_at_once_spend_each_refresh_token_once(house: House) -> None:
    """And the session's own is refreshed among them: each flight is on the generation that the one before made."""
    await house.sign_in()
    house.until_the_token_ends(left=-10)
    presented = await house.present()
    routes = [Narrow(scope=f"api{number}") for number in range(5)]
    own = asyncio.create_task(house.access.fresh(presented))
    found = await asyncio.gather(*(house.access.fresh_for(presented, one) for one in routes))
    assert len({one.access_token for one in found} | {(await own).tokens.access_token}) == 6
    assert (len(house.server.calls), house.server.reused) == (6, False)
    assert (await house.present()).require().generation == 7


@pytest.mark.req("F3", "F7", "C7")
async def test_a_narrow_flight_and_another_workers_refresh_do_not_meet(house: House) -> None:
    """One refresh token, two processes, two purposes: one waits for the other."""
    await house.sign_in()
    other = house.another()
    house.until_the_token_ends(left=-10)
    house.server.held = asyncio.Event()
    narrow = asyncio.create_task(house.access.fresh_for(await house.present(), READ))
    await until(lambda: house.server.calls)
    late = await other.vault.find_session(house.browser.jar())
    plain = asyncio.create_task(other.tokens_from(house.server).fresh(late))
    await asyncio.sleep(0.03)
    assert len(house.server.calls) == 1
    house.server.held.set()
    assert ((await narrow).access_token, (await plain).generation) != ("", 2)
    assert house.server.reused is False


@pytest.mark.req("C6")
async def test_a_server_that_does_not_rotate_makes_no_generation(house: House) -> None:
    """Nothing of the session has changed, so its cookie does not."""
    house.server.rotates = False
    await house.sign_in()
    presented = await house.present()
    await house.access.fresh_for(presented, READ)
    assert (await house.present()).require().generation == 1
    assert house.process.vault.cookies_due(presented, slides=False) == []


@pytest.mark.req("C6", "F13")
async def test_what_is_forgotten_is_fetched_anew(house: House) -> None:
    """It is in no cookie and in no ledger: another process asks for its own."""
    await house.sign_in()
    one = await house.access.fresh_for(await house.present(), READ)
    restarted = house.another()
    again = await restarted.tokens_from(house.server).fresh_for(
        await restarted.vault.find_session(house.browser.jar()), READ
    )
    assert again.access_token != one.access_token
    assert house.server.reused is False


@pytest.mark.req("F2", "C6")
async def test_a_narrow_token_goes_with_its_session(house: House) -> None:
    """Signed out while it is fetched: nothing of it is kept, and all that it brought is revoked."""
    session = await house.sign_in()
    jar = house.browser.jar()
    house.server.held = asyncio.Event()
    fetch = asyncio.create_task(house.access.fresh_for(await house.present(), READ))
    await until(lambda: house.server.calls)
    await house.another().vault.end_session(session, Reason.SIGNED_OUT, jar)
    house.server.held.set()
    with pytest.raises(SessionEnded):
        await fetch
    await house.access.aclose()
    assert {hint for _, hint in house.server.revoked} == {"refresh_token", "access_token"}
    with pytest.raises(SessionEnded):
        await house.access.fresh_for(await house.present(jar), READ)


@pytest.mark.req("F15", "C6")
async def test_a_refused_narrow_token_is_replaced_where_that_is_permitted(house: House) -> None:
    """Another that is known already needs no permission, and a new one is asked for once."""
    await house.sign_in()
    presented = await house.present()
    first = await house.access.fresh_for(presented, READ)
    assert await house.access.instead_for(presented, READ, first.access_token, permitted=lambda: False) is None
    second = await house.access.instead_for(presented, READ, first.access_token, permitted=lambda: True)
    assert second is not None
    assert second.access_token != first.access_token
    assert await house.access.instead_for(presented, READ, first.access_token, permitted=lambda: False) == second
    assert len(house.server.calls) == 2


@pytest.mark.req("C4", "C6")
async def test_an_outage_is_survived_with_the_narrow_token_that_lives(house: House) -> None:
    """Then it is an outage of that API's calls, not of the session."""
    await house.sign_in()
    first = await house.access.fresh_for(await house.present(), READ)
    house.clock.advance(3600 - 20)
    house.server.down = AuthorizationServerUnavailable("503", answered=True)
    assert await house.access.fresh_for(await house.present(), READ) == first
    house.clock.advance(21)
    with pytest.raises(AuthorizationServerUnavailable):
        await house.access.fresh_for(await house.present(), READ)
    house.clock.advance(2)
    house.server.down = None
    assert (await house.access.fresh_for(await house.present(), READ)).access_token != first.access_token


@pytest.mark.req("F8", "C6")
async def test_a_narrow_token_that_is_needed_now_is_worth_a_second_request(house: House) -> None:
    """An answer got lost. Where an older token still serves nothing is risked; where none does, it is asked again."""
    await house.sign_in()
    await house.access.fresh_for(await house.present(), READ)
    house.clock.advance(3600 - 20)
    house.server.down = AuthorizationServerUnavailable("timeout")
    for _ in range(3):
        await house.access.fresh_for(await house.present(), READ)
    assert len(house.server.calls) == 1 + 1
    with pytest.raises(AuthorizationServerUnavailable):
        await house.access.fresh_for(await house.present(), WRITE)
    assert len(house.server.calls) == 2 + 2


@pytest.mark.req("C6", "C5")
async def test_without_a_refresh_token_there_is_no_narrow_one(house: House) -> None:
    """That is our registration's fault, and no session's."""
    await house.sign_in(tokens=tokens(refresh_token=None))
    with pytest.raises(ClientRefused, match="offline_access"):
        await house.access.fresh_for(await house.present(), READ)
    assert (await house.present()).require().generation == 1


# The memory.


def kept(session: Session, memory: NarrowTokens, narrow: Narrow, *, size: int = 100) -> TokenSet:
    """One more token of this session."""
    made = TokenSet(access_token="x" * size, expires_at=NOW + 600)
    memory.keep(session, narrow, made)
    return made


def test_the_memory_is_bounded_by_sessions_and_by_bytes() -> None:
    """Those used last stay."""
    memory = NarrowTokens(EndingsView(), MovableClock(NOW), sessions=2)
    one, two, three = (a_session(sid=f"sid-{number}") for number in range(3))
    for session in (one, two):
        kept(session, memory, READ)
    assert memory.find(mark_of_sid(one.sid), READ) is not None
    kept(three, memory, READ)
    assert [memory.find(mark_of_sid(each.sid), READ) is None for each in (one, two, three)] == [False, True, False]
    small = NarrowTokens(EndingsView(), MovableClock(NOW), bytes_=5000)
    for number in range(3):
        kept(one, small, Narrow(scope=str(number)))
    assert 0 < small.weight <= 5000
    kept(two, small, READ, size=4000)
    assert (len(small), small.weight) == (0, 0)


def test_no_token_outlives_its_end_or_its_session() -> None:
    """Asked at every call; and once a minute what is over goes, wherever it ended."""
    clock, view = MovableClock(NOW), EndingsView()
    memory = NarrowTokens(view, clock)
    ended, other = a_session(sid="ended"), a_session(sid="other", authority_sid=None)
    kept(ended, memory, READ)
    kept(other, memory, READ)
    view.learn(Ending.of_session(ended, Reason.ADMIN, at=NOW))
    clock.advance(61)
    kept(other, memory, WRITE)
    assert memory.find(mark_of_sid(ended.sid), READ) is None
    assert len(memory) == 1
    clock.advance(600)
    assert memory.find(mark_of_sid(other.sid), READ) is None
    memory.forget(mark_of_sid(other.sid))
    memory.forget(mark_of_sid(other.sid))
    assert (len(memory), memory.weight) == (0, 0)


def test_a_distrusted_token_is_forgotten_and_no_other() -> None:
    """One that was replaced meanwhile stays."""
    memory, session = NarrowTokens(EndingsView(), MovableClock(NOW)), a_session()
    sid = mark_of_sid(session.sid)
    made = kept(session, memory, READ)
    memory.distrust(sid, READ, "another")
    assert memory.find(sid, READ) is not None
    memory.distrust(sid, READ, made.access_token)
    memory.distrust(sid, READ, made.access_token)
    assert memory.find(sid, READ) is None
