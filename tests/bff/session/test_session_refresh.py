from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from structlog.testing import CapturingLogger

from bff.errors import (
    AuthorizationServerUnavailable,
    ClientRefused,
    InvalidIDToken,
    LoginNotPermitted,
    NoSession,
    RefreshRefused,
    SessionEnded,
    SessionSuperseded,
    SessionTooLarge,
)
from bff.oidc.messages import Narrow
from bff.session import access_tokens
from bff.session.access_tokens import AccessTokens
from bff.session.cookies import Jar
from bff.session.endings import Reason
from bff.session.key_ring import KeyRing
from bff.session.ledger import MemoryLedger
from bff.session.marks import mark_of_sid
from bff.session.model import Lifetimes, Session
from bff.session.successor import Successor
from bff.session.turn import Turn
from tests.bff.session.session_house import House
from tests.bff.session.session_world import (
    NOW,
    Browser,
    TokenServer,
    a_process,
    a_session,
    jwt,
    settle,
    tokens,
    until,
    words,
)
from tests.world.clock import MovableClock

# When to refresh.


@pytest.mark.req("C1")
async def test_a_token_that_lives_is_used_as_it_is(house: House) -> None:
    """No token call while there is time."""
    session = await house.sign_in()
    assert await house.call() == session
    house.until_the_token_ends(left=61)
    assert (await house.call()).tokens == session.tokens
    assert house.server.calls == []


@pytest.mark.req("C1")
@pytest.mark.parametrize(
    ("lifetime", "left", "refreshed"), [(3600, 47, True), (3600, 61, False), (60, 7, False), (60, 4, True)]
)
async def test_the_margin_is_a_minute_or_a_tenth_whichever_is_less(
    house: House, lifetime: float, left: float, *, refreshed: bool
) -> None:
    """A token of one minute is not refreshed at every call; a fifth of the margin differs from session to session."""
    await house.sign_in(tokens=tokens(expires_at=NOW + lifetime))
    house.clock.advance(lifetime - left)
    await house.call()
    assert (house.server.calls != []) is refreshed


async def test_who_has_no_session_has_no_token(house: House) -> None:
    """Refusals pass through, and nothing is called."""
    with pytest.raises(NoSession):
        await house.access.fresh(await house.present(Jar({})))
    assert house.server.calls == []


@pytest.mark.req("C5")
async def test_a_session_without_a_refresh_token_lives_as_long_as_its_access_token(house: House) -> None:
    """Then it ends as ``refresh_refused``: nothing can be fetched for it any more."""
    await house.sign_in(tokens=tokens(refresh_token=None))
    house.until_the_token_ends()
    assert (await house.call()).tokens.refresh_token is None
    house.until_the_token_ends(left=-1)
    with pytest.raises(SessionEnded, match="no refresh token") as ended:
        await house.call()
    assert ended.value.reason == "refresh_refused"
    with pytest.raises(SessionEnded, match="refresh_refused"):
        await house.call()


# What a refresh makes.


@pytest.mark.req("F4", "F6", "F19", "C1")
async def test_a_refresh_makes_the_next_generation(house: House) -> None:
    """New tokens, the same session, the same last activity; the browser gets its bytes with the response."""
    first = await house.sign_in()
    house.until_the_token_ends()
    second = await house.call()
    assert (second.sid, second.generation, second.absolute_end) == (first.sid, 2, first.absolute_end)
    assert second.tokens.refresh_token == house.server.issued[0]
    assert second.active_at == first.active_at
    presented = await house.present()
    assert (presented.presented_generation, presented.require()) == (2, second)
    assert house.answer(presented) == []


@pytest.mark.req("OIDC-5")
async def test_a_refreshed_id_token_brings_the_claims_up_to_date(house: House) -> None:
    """What it does not repeat stays."""
    await house.sign_in()
    house.server.claims = {"name": "Alice Married"}
    house.until_the_token_ends()
    session = await house.call()
    assert session.claims == {"sub": "alice", "name": "Alice Married", "iat": int(NOW)}


@pytest.mark.req("F4")
async def test_a_server_that_does_not_rotate_is_served_too(house: House) -> None:
    """RT_g = RT_{g+1}: generations still follow each other, from any of them to the newest."""
    house.server.rotates = False
    await house.sign_in()
    oldest = house.browser.jar()
    for _ in range(3):
        house.clock.advance(3597)
        last = await house.access.fresh(await house.present(oldest))
    assert last.generation == 4
    assert (await house.present(oldest)).require() == last
    assert house.server.revoked == []


@pytest.mark.req("C2")
async def test_two_hundred_calls_at_once_are_one_token_call(house: House) -> None:
    """All get the new token, and every response carries the same bytes."""
    await house.sign_in()
    house.until_the_token_ends(left=-10)
    jar = house.browser.jar()
    house.server.held = asyncio.Event()

    async def call() -> tuple[Session, tuple[object, ...]]:
        presented = await house.present(jar)
        session = await house.access.fresh(presented)
        return session, tuple(house.process.vault.cookies_due(presented, slides=True))

    calls = [asyncio.create_task(call()) for _ in range(200)]
    await settle()
    house.server.held.set()
    answers = await asyncio.gather(*calls)
    assert len(house.server.calls) == 1
    assert {session.generation for session, _ in answers} == {2}
    assert len({cookies[0] for _, cookies in answers}) == 1


@pytest.mark.req("F7")
async def test_a_refresh_survives_the_caller_who_began_it(house: House) -> None:
    """The client goes away in mid-call; whoever comes next finds the answer, and the server is asked once."""
    await house.sign_in()
    house.until_the_token_ends(left=-10)
    house.server.held = asyncio.Event()
    first = asyncio.create_task(house.call())
    await until(lambda: house.server.calls)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(house.call())
    await settle()
    house.server.held.set()
    assert (await second).generation == 2
    assert len(house.server.calls) == 1


@pytest.mark.req("F7")
async def test_a_refresh_under_way_is_finished_before_the_end(house: House) -> None:
    """At shutdown the only refresh token that is left becomes durable first."""
    await house.sign_in()
    house.until_the_token_ends(left=-10)
    house.server.held = asyncio.Event()
    first = asyncio.create_task(house.call())
    await until(lambda: house.server.calls)
    first.cancel()
    asyncio.get_running_loop().call_later(0.05, house.server.held.set)
    await house.access.aclose()
    assert (await house.present()).require().generation == 2


@pytest.mark.req("F7")
async def test_a_late_request_uses_no_refresh_token_that_it_read_before(house: House) -> None:
    """It was found before the refresh and asks for a token after it: it gets the newest, not a second token call."""
    await house.sign_in()
    house.until_the_token_ends()
    early = await house.present()
    await house.call()
    assert (await house.access.fresh(early)).generation == 2
    assert (len(house.server.calls), house.server.reused) == (1, False)


# Lost responses (rules F4, F6).


@pytest.mark.req("F4", "F6", "ADV-2")
async def test_a_lost_response_loses_nothing_however_often(house: House) -> None:
    """The browser keeps an old generation through five refreshes, each response lost, and is still signed in."""
    await house.sign_in()
    old = house.browser.jar()
    for round_ in range(2, 7):
        house.clock.advance(3597)
        presented = await house.present(old)
        assert (await house.access.fresh(presented)).generation == round_
        opened = house.process.vault._sessions.open(house.process.vault.cookies_due(presented, slides=False)[0].value)
        assert opened is not None
        assert opened.session.generation == round_
    assert house.server.reused is False
    session = await house.call(old)
    assert (await house.present()).require() == session
    entry = await house.process.ledger.successor(mark_of_sid(session.sid), 1)
    assert entry is not None
    assert entry.newest == 6


@pytest.mark.req("F4", "C6")
async def test_a_way_of_many_steps_is_followed_to_its_end(house: House) -> None:
    """Tokens for a dozen APIs made a dozen generations at once, and the browser holds one from among them."""
    await house.sign_in()
    jars = []
    for number in range(24):
        presented = await house.present()
        await house.access.fresh_for(presented, Narrow(scope=str(number)))
        if number == 3:
            house.answer(presented)
            jars.append(house.browser.jar())
    assert (await house.another().vault.find_session(jars[0])).require().generation == 25


@pytest.mark.req("F4", "F13")
async def test_a_lost_response_loses_nothing_across_a_restart_or_another_worker(house: House) -> None:
    """The successor lies in the ledger under the old refresh token, with the same bytes for everybody."""
    await house.sign_in()
    house.until_the_token_ends()
    presented = await house.present()
    await house.access.fresh(presented)
    here = house.process.vault.cookies_due(presented, slides=False)
    restarted = house.another()
    late = await restarted.vault.find_session(house.browser.jar())
    assert late.require().generation == 2
    assert restarted.vault.cookies_due(late, slides=False) == here
    assert (await restarted.tokens_from(house.server).fresh(late)).generation == 2
    assert len(house.server.calls) == 1


@pytest.mark.req("F4", "F13")
async def test_another_worker_that_was_slower_takes_the_answer_that_stands(house: House) -> None:
    """It found the session before the first one's refresh: it re-reads after entering, and calls nobody."""
    await house.sign_in()
    other = house.another()
    house.until_the_token_ends(left=-10)
    early = await other.vault.find_session(house.browser.jar())
    await house.access.fresh(await house.present())
    assert (await other.tokens_from(house.server).fresh(early)).generation == 2
    assert len(house.server.calls) == 1
    assert other.vault.cookies_due(early, slides=False) != []


@pytest.mark.req("F3", "F13", "ADV-2")
async def test_two_workers_that_refresh_at_once_make_one_token_call(house: House) -> None:
    """The second one waits for the first one's answer, and sends nothing."""
    await house.sign_in()
    other = house.another()
    house.until_the_token_ends(left=-10)
    one, two = await house.present(), await other.vault.find_session(house.browser.jar())
    house.server.held = asyncio.Event()
    flights = [
        asyncio.create_task(access.fresh(presented))
        for access, presented in ((house.access, one), (other.tokens_from(house.server), two))
    ]
    await until(lambda: house.server.calls)
    await asyncio.sleep(0.03)
    house.server.held.set()
    sessions = await asyncio.gather(*flights)
    assert sessions[0].tokens == sessions[1].tokens
    assert (len(house.server.calls), house.server.revoked) == (1, [])


async def killed(house: House, *, sent: bool) -> None:
    """A worker enters the flight of the first generation and is gone: before it sends anything, or right after."""
    session = (await house.present()).require()
    gone = Turn(house.another().ledger, session)
    assert await gone.take()
    if sent:
        await gone.sending()


@pytest.mark.req("F3", "F1")
async def test_an_owner_that_was_killed_before_it_sent_is_followed_after_two_seconds(house: House) -> None:
    """Not earlier; and nothing was lost by it."""
    await house.sign_in()
    house.until_the_token_ends(left=-10)
    await killed(house, sent=False)
    call = asyncio.create_task(house.call())
    house.clock.advance(1.9)
    await asyncio.sleep(0.03)
    assert house.server.calls == []
    house.clock.advance(0.2)
    assert (await call).generation == 2
    assert len(house.server.calls) == 1


@pytest.mark.req("F3", "F1", "F8")
async def test_an_owner_that_was_killed_after_it_sent_is_followed_after_six_seconds(house: House) -> None:
    """No answer can be under way any longer; that the token was spent is then called lost, not refused."""
    await house.sign_in()
    house.until_the_token_ends(left=-10)
    await killed(house, sent=True)
    house.server.refuses = RefreshRefused("invalid_grant")
    call = asyncio.create_task(house.call())
    house.clock.advance(5.9)
    await asyncio.sleep(0.03)
    assert house.server.calls == []
    house.clock.advance(0.2)
    with pytest.raises(SessionEnded, match="RefreshRefused") as ended:
        await call
    assert ended.value.reason == "refresh_lost"


@pytest.mark.req("F1", "F8")
async def test_while_the_access_token_lives_a_token_that_may_be_spent_is_not_sent(house: House) -> None:
    """Strict rotation: the session is served to the access token's end, and tried once after it."""
    await house.sign_in()
    house.until_the_token_ends(left=40)
    await killed(house, sent=True)
    house.clock.advance(6.1)
    assert [(await house.call()).generation for _ in range(5)] == [1] * 5
    assert house.server.calls == []
    house.until_the_token_ends(left=-1)
    assert (await house.call()).generation == 2
    assert len(house.server.calls) == 1


@pytest.mark.req("F8", "F14")
@pytest.mark.parametrize("rotation", ["overlap", "none"])
async def test_where_the_old_token_works_on_a_lost_answer_is_repeated_at_once(
    house: House, rotation: Literal["overlap", "none"]
) -> None:
    """Once, with the access token alive or not; and an owner that was killed after it sent costs six seconds only."""
    access = house.process.tokens_from(house.server, rotation)
    house.server.rotates = False
    await house.sign_in()
    house.until_the_token_ends(left=40)
    house.server.down = AuthorizationServerUnavailable("timeout")
    assert (await access.fresh(await house.present())).generation == 1
    assert len(house.server.calls) == 2
    house.server.down = None
    await killed(house, sent=True)
    house.clock.advance(6.1)
    assert (await access.fresh(await house.present())).generation == 2
    await access.aclose()


@pytest.mark.req("F8")
async def test_what_was_not_sent_is_sent_again_within_the_budget(house: House) -> None:
    """DNS, connect, TLS, pool: nothing can be spent, and nobody is bothered where the fourth request gets through."""
    await house.sign_in()
    house.until_the_token_ends(left=-1)
    house.server.down = AuthorizationServerUnavailable("ConnectError", sent=False)
    call = asyncio.create_task(house.call())
    await until(lambda: house.server.unreached == 2)
    house.server.down = None
    assert (await call).generation == 2
    house.clock.advance(3600)
    house.server.down = AuthorizationServerUnavailable("ConnectError", sent=False)
    with pytest.raises(AuthorizationServerUnavailable):
        await house.call()
    assert house.server.unreached == 2 + 4
    assert await house.process.ledger.is_uncertain(mark_of_sid((await house.present()).require().sid), 2) is False


@pytest.mark.req("F8", "C4")
@pytest.mark.parametrize("sent", [True, False], ids=["503", "429"])
async def test_an_answer_that_asks_to_come_later_is_not_repeated(house: House, sent: bool) -> None:
    """One request; whether it may have done something decides whether a doubt stays."""
    session = await house.sign_in()
    house.until_the_token_ends(left=-1)
    house.server.down = AuthorizationServerUnavailable("answered", sent=sent, answered=True)
    with pytest.raises(AuthorizationServerUnavailable):
        await house.call()
    assert len(house.server.calls) == 1
    assert await house.process.ledger.is_uncertain(mark_of_sid(session.sid), 1) is sent


@pytest.mark.req("F8", "F13")
async def test_a_doubt_outlives_the_process(house: House) -> None:
    """The answer got lost, the process was restarted: the refusal that follows is still called lost."""
    await house.sign_in()
    house.until_the_token_ends(left=40)
    house.server.down = AuthorizationServerUnavailable("timeout")
    assert (await house.call()).generation == 1
    restarted = house.another()
    house.server.down, house.server.refuses = None, RefreshRefused("invalid_grant")
    house.until_the_token_ends(left=-1)
    with pytest.raises(SessionEnded) as ended:
        await restarted.tokens_from(house.server).fresh(await restarted.vault.find_session(house.browser.jar()))
    assert ended.value.reason == "refresh_lost"
    assert len(house.server.calls) == 2


async def refreshed_by_two_workers(house: House) -> list[Session]:
    """What two workers get, of whom the first was taken for dead: six seconds after it sent, the second sent too."""
    await house.sign_in()
    other = house.another()
    house.until_the_token_ends(left=-10)
    one, two = await house.present(), await other.vault.find_session(house.browser.jar())
    house.server.held = asyncio.Event()
    first = asyncio.create_task(house.access.fresh(one))
    await until(lambda: house.server.calls)
    second = asyncio.create_task(other.tokens_from(house.server).fresh(two))
    house.clock.advance(6.1)
    await until(lambda: len(house.server.calls) == 2)
    house.server.held.set()
    sessions = [await first, await second]
    await settle()
    return sessions


@pytest.mark.req("F4")
async def test_a_result_that_came_second_is_dropped_and_revoked(house: House) -> None:
    """Two workers sent one token to a server that allows it: one successor stands, the other's token is revoked."""
    sessions = await refreshed_by_two_workers(house)
    assert sessions[0].tokens == sessions[1].tokens
    lost = next(token for token in house.server.issued if token != sessions[0].tokens.refresh_token)
    assert house.server.revoked == [(lost, "refresh_token")]


@pytest.mark.req("F4")
async def test_a_result_that_came_second_is_not_revoked_where_both_hold_one_token(house: House) -> None:
    """A server that does not rotate gave both workers the same refresh token: revoking it would end the session."""
    house.server.rotates = False
    sessions = await refreshed_by_two_workers(house)
    assert sessions[0].tokens == sessions[1].tokens
    assert house.server.revoked == []


@pytest.mark.req("C1", "F21")
async def test_what_an_answer_leaves_out_stays_as_it_was(house: House) -> None:
    """No new refresh token, no new ID token: the old ones go on (RFC 6749 6, OIDC Core 12.2)."""
    process = house.another(keep_id_token=True)
    id_token = jwt({"sub": "alice"})
    session = a_session(tokens=tokens(id_token=id_token))
    browser = Browser()
    browser.take(await process.vault.keep_session(session, Jar({})))
    house.until_the_token_ends()
    house.server.terse = True
    presented = await process.vault.find_session(browser.jar())
    after = await process.tokens_from(house.server).fresh(presented)
    browser.take(process.vault.cookies_due(presented, slides=False))
    assert (after.generation, after.tokens.refresh_token) == (2, session.tokens.refresh_token)
    assert (await process.vault.find_session(browser.jar())).require().tokens.id_token == id_token


@pytest.mark.req("F4", "F5")
async def test_an_older_generation_lapses_a_minute_after_a_newer_one_was_seen(house: House) -> None:
    """Within it is healed; after it the call is to be repeated, and no cookie is touched."""
    await house.sign_in()
    old = house.browser.jar()
    house.until_the_token_ends()
    await house.call()
    house.clock.advance(3000)
    assert (await house.present(old)).require().generation == 2
    await house.call()
    await house.process.vault.aclose()
    house.clock.advance(59)
    assert (await house.present(old)).require().generation == 2
    house.clock.advance(2)
    presented = await house.present(old)
    with pytest.raises(SessionSuperseded):
        presented.require()
    assert house.process.vault.cookies_due(presented, slides=True) == []
    assert (await house.present()).require().generation == 2


@pytest.mark.req("F4", "ATK-17")
async def test_an_entry_that_leads_to_another_session_is_not_followed(house: House) -> None:
    """Whoever can write the ledger cannot turn one session into another, or back."""
    mine = await house.sign_in()
    jar = house.browser.jar()
    theirs = house.process.vault._sessions.seal(a_session(generation=2, subject="mallory"))
    lying = Successor.of(mine, newest=2, value=theirs.value)
    await house.process.ledger.keep_successor(mark_of_sid(mine.sid), lying, mine.absolute_end)
    with pytest.raises(SessionSuperseded):
        (await house.present(jar)).require()


@pytest.mark.req("F6")
async def test_a_response_that_starts_later_carries_what_is_known_by_then(house: House) -> None:
    """Another call refreshed meanwhile: this one's response brings the newest, not what it saw at its start."""
    await house.sign_in()
    house.until_the_token_ends()
    slow = await house.present()
    await house.access.fresh(await house.present())
    assert [cookie.name for cookie in house.process.vault.cookies_due(slow, slides=False)] == ["__Host-Http-bff"]


@pytest.mark.req("F6", "F4")
async def test_a_late_response_never_sets_back_a_jar_that_holds_something_newer(house: House) -> None:
    """This worker made the second generation, another one the third, which the browser has: nothing is set."""
    await house.sign_in()
    late = await house.present()
    house.until_the_token_ends()
    await house.call()
    other = house.another()
    house.clock.advance(3600)
    presented = await other.vault.find_session(house.browser.jar())
    assert (await other.tokens_from(house.server).fresh(presented)).generation == 3
    house.browser.take(other.vault.cookies_due(presented, slides=False))
    await house.call()
    await house.process.vault.aclose()
    house.clock.advance(61)
    assert house.answer(late) == []
    assert (await house.present()).require().generation == 3


@pytest.mark.req("F4")
async def test_a_generation_is_sealed_once(house: House) -> None:
    """However many responses carry it, its bytes are the same, and the key is used once."""
    await house.sign_in()
    house.until_the_token_ends()
    presented = await house.present()
    await house.access.fresh(presented)
    before = sum(house.ring.seals.values())
    values = {house.process.vault.cookies_due(presented, slides=False)[0].value for _ in range(50)}
    assert (len(values), sum(house.ring.seals.values())) == (1, before)


# Endings in flight (rule F2).


@pytest.mark.req("F2")
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_sign_out_during_a_refresh_wins(house: House, *, elsewhere: bool) -> None:
    """Here or in another worker: the result is dropped, its tokens are revoked, no response restores the session."""
    session = await house.sign_in()
    house.until_the_token_ends(left=-10)
    jar = house.browser.jar()
    presented = await house.present(jar)
    house.server.held = asyncio.Event()
    call = asyncio.create_task(house.access.fresh(presented))
    await until(lambda: house.server.calls)
    vault = house.another().vault if elsewhere else house.process.vault
    house.browser.take(await vault.end_session(session, Reason.SIGNED_OUT, jar))
    house.server.held.set()
    with pytest.raises(SessionEnded, match="signed_out"):
        await call
    await settle()
    assert {hint for _, hint in house.server.revoked} == {"refresh_token", "access_token"}
    assert (house.server.issued[0], "refresh_token") in house.server.revoked
    house.answer(presented)
    assert list(house.browser.kept) == ["__Host-Http-bff-out"]
    with pytest.raises(SessionEnded):
        (await house.present(jar)).require()


@pytest.mark.req("F2")
async def test_a_session_that_ended_before_the_flight_is_not_refreshed(house: House) -> None:
    """Asked after entering: the server hears nothing."""
    session = await house.sign_in()
    house.until_the_token_ends(left=-10)
    presented = await house.present()
    await house.another().vault.end_session(session, Reason.BACKCHANNEL)
    with pytest.raises(SessionEnded, match="backchannel"):
        await house.access.fresh(presented)
    assert house.server.calls == []


@pytest.mark.req("F2")
@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.REPLACED])
async def test_a_late_response_of_an_ended_session_restores_nothing(house: House, reason: Reason) -> None:
    """It was found alive with a newer generation waiting, and its response starts after the end: deletions only."""
    session = await house.sign_in()
    house.until_the_token_ends()
    late = await house.present()
    newest = await house.access.fresh(await house.present())
    await house.process.vault.end_session(newest, reason)
    due = house.process.vault.cookies_due(late, slides=True)
    assert {cookie.max_age for cookie in due} == {0}
    assert session.sid == newest.sid
    house.clock.advance(6)
    assert house.process.vault.cookies_due(late, slides=True) == []


@pytest.mark.req("F2", "F23")
async def test_a_late_response_of_one_account_never_touches_the_next(house: House) -> None:
    """Bob signed in over Alice while her refresh was under way: her response sets and deletes nothing."""
    alice = await house.sign_in()
    house.until_the_token_ends(left=-10)
    presented = await house.present()
    house.server.held = asyncio.Event()
    call = asyncio.create_task(house.access.fresh(presented))
    await until(lambda: house.server.calls)
    await house.process.vault.end_session(alice, Reason.REPLACED)
    bob = await house.sign_in(subject="bob", tokens=tokens(expires_at=house.clock.now() + 3600))
    house.server.held.set()
    with pytest.raises(SessionEnded):
        await call
    assert house.answer(presented) == []
    assert (await house.present()).require() == bob


# Refusals and outages.


@pytest.mark.req("BBA-17", "C5", "ATK-11")
@pytest.mark.parametrize("refusal", [RefreshRefused(), InvalidIDToken("sub"), LoginNotPermitted()], ids=repr)
async def test_a_refused_grant_ends_the_session(house: House, refusal: Exception) -> None:
    """The server says no, or the answer is another person's, or a rule no longer lets this one in."""
    await house.sign_in()
    house.until_the_token_ends()
    house.server.refuses = refusal
    presented = await house.present()
    with pytest.raises(SessionEnded) as ended:
        await house.access.fresh(presented)
    assert ended.value.reason == "refresh_refused"
    assert house.answer(presented) == ["__Host-Http-bff", "__Host-Http-bff-idle"]
    assert house.browser.kept == {}


@pytest.mark.req("F8")
async def test_who_is_refused_because_another_was_faster_takes_its_answer(house: House) -> None:
    """Strict rotation, two workers: the slower one's ``invalid_grant`` is no ending while a successor stands."""
    await house.sign_in()
    other = house.another()
    house.until_the_token_ends(left=-10)
    early = await other.vault.find_session(house.browser.jar())
    strict = TokenServer(house.clock, refuses=RefreshRefused(), held=asyncio.Event())
    slower = asyncio.create_task(other.tokens_from(strict).fresh(early))
    await until(lambda: strict.calls)
    house.clock.advance(6.1)
    await house.access.fresh(await house.present())
    assert strict.held is not None
    strict.held.set()
    assert (await slower).generation == 2


@pytest.mark.req("E2", "C4")
@pytest.mark.parametrize("outage", [AuthorizationServerUnavailable("503"), ClientRefused("invalid_client")], ids=repr)
async def test_an_outage_ends_no_session(house: House, outage: Exception) -> None:
    """While the token lives it serves; then it is an outage, never a sign-out, and it ends with its cause."""
    session = await house.sign_in()
    house.until_the_token_ends()
    house.server.down = outage
    assert (await house.call()).tokens == session.tokens
    house.until_the_token_ends(left=-1)
    with pytest.raises(type(outage)):
        await house.call()
    house.clock.advance(2)
    house.server.down = None
    assert (await house.call()).generation == 2


@pytest.mark.req("F8", "BBA-17")
async def test_refused_credentials_are_an_alarm(house: House, log: CapturingLogger) -> None:
    """An outage is a warning; that the server refuses us is an error with its cure, for no time mends it."""
    await house.sign_in()
    house.until_the_token_ends()
    house.server.down = AuthorizationServerUnavailable("503", answered=True)
    await house.call()
    house.clock.advance(1.1)
    house.until_the_token_ends(left=-1)
    house.server.down = ClientRefused("invalid_client")
    with pytest.raises(ClientRefused):
        await house.call()
    levels = {call.args[0]: call.method_name for call in log.calls}
    assert (levels["refresh_failed"], levels["client_refused"]) == ("warning", "error")
    assert (await house.present()).require().generation == 1


@pytest.mark.req("F1", "F8")
@pytest.mark.parametrize(("sent", "why"), [(True, "refresh_lost"), (False, "refresh_refused")])
async def test_an_answer_that_got_lost_is_named(house: House, sent: bool, why: str) -> None:
    """``invalid_grant`` after a request that was sent and not answered is ``refresh_lost``; else it is a refusal."""
    await house.sign_in()
    house.until_the_token_ends(left=-1)
    house.server.down = AuthorizationServerUnavailable("timeout", sent=sent)
    with pytest.raises(AuthorizationServerUnavailable):
        await house.call()
    house.clock.advance(2)
    house.server.down, house.server.refuses = None, RefreshRefused("invalid_grant")
    with pytest.raises(SessionEnded) as ended:
        await house.call()
    assert ended.value.reason == why
    with pytest.raises(SessionEnded, match=why):
        (await house.present()).require()


@pytest.mark.req("C4")
async def test_a_server_that_is_down_is_not_asked_by_every_call(house: House) -> None:
    """Within a second of a failure nobody waits for another."""
    await house.sign_in()
    house.until_the_token_ends(left=-1)
    house.server.down = AuthorizationServerUnavailable("timeout")
    for _ in range(5):
        with pytest.raises(AuthorizationServerUnavailable):
            await house.call()
    assert len(house.server.calls) == 2  # an unanswered request is repeated once, at once
    house.clock.advance(1.1)
    with pytest.raises(AuthorizationServerUnavailable):
        await house.call()
    assert len(house.server.calls) == 4


@pytest.mark.req("C4")
async def test_a_slow_server_does_not_hold_up_a_call_whose_token_lives(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes out with the old token; the refresh goes on, and the next call has the new one."""
    monkeypatch.setattr(access_tokens, "_PATIENCE", 0.02)
    await house.sign_in()
    house.until_the_token_ends()
    house.server.held = asyncio.Event()
    assert (await house.call()).generation == 1
    house.server.held.set()
    await house.access.aclose()
    assert (await house.call()).generation == 2
    assert len(house.server.calls) == 1


@pytest.mark.req("F21")
async def test_a_refresh_that_outgrows_the_cookie_ends_the_session_and_says_why(house: House) -> None:
    """The old refresh token is spent and the new one cannot be kept: it is revoked, nothing half-kept remains."""
    await house.sign_in()
    house.until_the_token_ends()
    house.server.claims = {"groups": [words(30) for _ in range(1000)]}
    with pytest.raises(SessionTooLarge, match=r"claims\.groups"):
        await house.call()
    await settle()
    assert (house.server.issued[0], "refresh_token") in house.server.revoked
    with pytest.raises(SessionEnded, match="too_large"):
        (await house.present()).require()


@pytest.mark.req("E2")
async def test_revoking_later_waits_for_nobody(house: House) -> None:
    """A sign-out goes on while the refresh token is revoked behind it; without one there is nothing to do."""
    session = await house.sign_in()
    house.process.vault.grants.revoke_later(session)
    house.process.vault.grants.revoke_later(a_session(tokens=tokens(refresh_token=None)))
    assert house.server.revoked == []
    await house.process.vault.aclose()
    assert house.server.revoked == [(session.tokens.refresh_token, "refresh_token")]


@pytest.mark.req("F17")
@pytest.mark.parametrize("skew", [-120.0, 120.0])
async def test_a_replica_whose_clock_is_off_by_two_minutes_refreshes_like_the_others(skew: float) -> None:
    """No log-out, no reuse, whoever of the two refreshes."""
    ring, browser = KeyRing.generate(), Browser()
    clock, other_clock = MovableClock(NOW), MovableClock(NOW + skew)
    ledger = MemoryLedger(clock)
    server = TokenServer(clock)
    long = Lifetimes(idle=40_000)
    houses = [a_process(clock=one, ring=ring, ledger=ledger, lifetimes=long) for one in (clock, other_clock)]
    access = [AccessTokens(server, process.vault, ledger, process.clock) for process in houses]
    browser.take(await houses[0].vault.keep_session(a_session(), Jar({})))
    for turn in range(8):
        for one in (clock, other_clock):
            one.advance(3000)
        process = houses[turn % 2]
        presented = await process.vault.find_session(browser.jar())
        await access[turn % 2].fresh(presented)
        browser.take(process.vault.cookies_due(presented, slides=True))
    assert server.reused is False
    assert len(server.calls) >= 4
