"""The suite that every vault runs: a subclass says how a process comes to one, and what a cookie holds."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bff.errors import NoSession, SessionEnded, SessionSuperseded
from bff.oidc.messages import TokenSet
from bff.session.access_tokens import AccessTokens
from bff.session.cookies import Jar
from bff.session.ended_grants import EndedGrants
from bff.session.endings import Ending, Reason
from bff.session.key_ring import Key, KeyRing
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_subject
from bff.session.model import Lifetimes, Session
from bff.session.vault import Presented, SessionVault
from tests.bff.session.session_world import (
    ISSUER,
    NOW,
    Browser,
    TokenServer,
    a_session,
    a_transaction,
    settle,
    tokens,
    until,
    words,
)
from tests.world.clock import MovableClock


@dataclass
class Running:
    """One process: its clock, its keys, its ledger and its vault."""

    clock: MovableClock
    ring: KeyRing
    ledger: Ledger
    vault: SessionVault

    async def keep(self, browser: Browser, **overrides: object) -> Session:
        """A new session for this browser, at a callback: no Strict cookie arrives there."""
        session = a_session(**{"sid": secrets.token_urlsafe(16), **overrides})
        browser.take(await self.vault.keep_session(session, browser.jar(from_another_site=True)))
        return session

    async def present(self, browser: Browser, *, slides: bool = True, bodiless: bool = True) -> Presented:
        """One call, whose answer this browser obeys."""
        await self.ledger.catch_up(at_once=True)
        presented = await self.vault.find_session(browser.jar(), bodiless=bodiless)
        browser.take(self.vault.cookies_due(presented, slides=slides))
        await settle()
        return presented

    async def reason(self, browser: Browser) -> str:
        """Why this browser has no session any more."""
        refusal = (await self.present(browser)).refusal
        assert isinstance(refusal, SessionEnded), refusal
        return refusal.reason


Processes = Callable[..., Running]


def same(one: Session, other: Session) -> bool:
    """Whether two are one session, in one generation, with one set of tokens."""
    return (one.sid, one.generation, one.tokens) == (other.sid, other.generation, other.tokens)


def renewed(session: Session, **overrides: object) -> Session:
    """Its next generation."""
    kept: TokenSet = tokens(**overrides)
    return replace(session, generation=session.generation + 1, tokens=kept)


class VaultSuite:
    """What every vault promises to routes and relay. A subclass has the fixture ``processes``."""

    @pytest.fixture
    def clock(self) -> MovableClock:
        """It stands at NOW, for all processes."""
        return MovableClock(NOW)

    @pytest.fixture
    async def process(self, processes: Processes) -> AsyncIterator[Running]:
        """One of them."""
        running = processes()
        yield running
        await running.vault.aclose()

    @pytest.mark.req("BBA-9")
    async def test_a_session_that_was_kept_is_found_by_every_process(self, processes: Processes) -> None:
        """Warm, cold, and by another process with the same keys."""
        ring, browser = KeyRing.generate(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        session = await here.keep(browser, tokens=tokens(refresh_token=words(2000)))
        for asked in (here, here, there, there):
            found = (await asked.present(browser)).require()
            assert same(found, session)
            assert found.claims == session.claims

    @pytest.mark.req("ATK-2", "CK-3", "ATK-12", "F21")
    @pytest.mark.parametrize("line", [b"", b"{n}=", b"{n}=known-id", b"{n}={v}; {n}={v}", b"{n}={v}; {n}.1=a; {n}.1=b"])
    async def test_what_is_no_session_is_refused_and_kept(self, process: Running, line: bytes) -> None:
        """Absent, offered, tossed or repeated: nobody is signed in, and no cookie is touched."""
        browser = Browser()
        await process.keep(browser)
        cookie = browser.kept[process.vault.policy.session]
        line = line.replace(b"{n}", cookie.name.encode()).replace(b"{v}", cookie.value)
        presented = await process.vault.find_session(Jar.read([(b"cookie", line)]))
        assert isinstance(presented.refusal, NoSession)
        assert process.vault.cookies_due(presented, slides=True) == []

    @pytest.mark.req("F20", "ATK-15")
    async def test_a_value_has_one_spelling(self, process: Running) -> None:
        """Whatever is put in, cut off or changed: it is no session."""
        browser = Browser()
        await process.keep(browser)
        name, value = process.vault.policy.session, browser.kept[process.vault.policy.session].value
        for spelt in (value + b"=", value + b"A", value[:-1], b"B" + value[1:], value[:9] + b"!" + value[9:]):
            presented = await process.vault.find_session(Jar({name: spelt}))
            assert isinstance(presented.refusal, NoSession), spelt

    @pytest.mark.req("F22", "ATK-15")
    async def test_another_application_cannot_open_it(self, processes: Processes) -> None:
        """Client and origin belong to the key, though ring and store be shared."""
        ring, browser = KeyRing.generate(), Browser()
        await processes(ring=ring).keep(browser)
        for stranger in (processes(ring=ring, client_id="other"), processes(ring=KeyRing.generate())):
            presented = await stranger.present(browser)
            assert isinstance(presented.refusal, NoSession)
        assert browser.kept

    # Lifetimes.

    @pytest.mark.req("B8")
    async def test_an_idle_session_ends_and_an_active_one_does_not(self, process: Running) -> None:
        """Half an hour without any activity is the end, and not before."""
        browser = Browser()
        await process.keep(browser)
        for _ in range(5):
            process.clock.advance(1700)
            assert (await process.present(browser)).refusal is None
            assert process.vault.idle_end(await process.present(browser)) == process.clock.now() + 1800
        process.clock.advance(1801)
        assert await process.reason(browser) == "idle"

    @pytest.mark.req("B8", "F19")
    async def test_activity_in_one_process_counts_in_another(self, processes: Processes) -> None:
        """A process that last saw the session an hour ago asks before it calls it idle."""
        ring, browser = KeyRing.generate(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        await here.keep(browser)
        await there.present(browser)
        for _ in range(4):
            here.clock.advance(1000)
            await here.present(browser)
            await here.vault.aclose()
        assert (await there.present(browser)).refusal is None

    @pytest.mark.req("F19", "B8")
    async def test_a_request_that_does_not_slide_keeps_nobody_alive(self, process: Running) -> None:
        """A poll sees the session and leaves it as idle as it was."""
        browser = Browser()
        await process.keep(browser)
        for _ in range(3):
            process.clock.advance(590)
            assert (await process.present(browser, slides=False)).refusal is None
        process.clock.advance(40)
        assert await process.reason(browser) == "idle"

    @pytest.mark.req("B8", "B9")
    @pytest.mark.parametrize(
        ("claims", "reason"), [({}, "absolute"), ({"session_expiry": int(NOW + 1200)}, "session_expiry")]
    )
    async def test_no_activity_outlives_the_absolute_end(
        self, process: Running, claims: dict[str, object], reason: str
    ) -> None:
        """Ours, or the authorization server's ceiling, which has a reason of its own."""
        browser = Browser()
        await process.keep(browser, claims={"sub": "alice", **claims}, absolute_end=NOW + 1200)
        process.clock.advance(1000)
        presented = await process.present(browser)
        assert process.vault.idle_end(presented) == NOW + 1200
        process.clock.advance(200)
        assert await process.reason(browser) == reason

    @pytest.mark.req("F17")
    @pytest.mark.parametrize("skew", [-120.0, 120.0])
    async def test_replicas_whose_clocks_differ_log_nobody_out(self, processes: Processes, skew: float) -> None:
        """What one keeps the other takes, in both directions, for as long as the person is active."""
        ring, browser = KeyRing.generate(), Browser()
        here, there = processes(ring=ring), processes(ring=ring, clock=MovableClock(NOW + skew))
        await here.keep(browser)
        for _ in range(10):
            for asked in (here, there):
                for one in (here, there):
                    one.clock.advance(400)
                assert (await asked.present(browser)).refusal is None
                await asked.vault.aclose()

    # What comes late.

    @pytest.mark.req("F5")
    async def test_an_upload_that_comes_late_with_an_old_cookie_ends_nobody(self, processes: Processes) -> None:
        """Long after a refresh, again and again, in either process: no cookie is touched, and the session lives on."""
        ring, browser, held_back = KeyRing.generate(), Browser(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        await here.keep(browser)
        session = (await here.present(browser)).require()
        held_back.kept = dict(browser.kept)
        stands = await here.vault.keep_generation(session, renewed(session))
        await here.present(browser)  # is given the newest
        await here.present(browser)  # and presents it
        await here.vault.aclose()
        for _ in range(3):
            here.clock.advance(61)
            for asked in (here, there):
                late = await asked.vault.find_session(held_back.jar(), bodiless=False)
                assert late.refusal is None or isinstance(late.refusal, SessionSuperseded)
                assert asked.vault.cookies_due(late, slides=False) == []
        for asked in (here, there):
            assert same((await asked.present(browser)).require(), stands)

    @pytest.mark.req("F5", "F19")
    async def test_an_upload_that_comes_late_is_no_evidence_of_idleness(self, processes: Processes) -> None:
        """It is refused, and touches neither cookie nor session: whoever comes without a body has the last word."""
        ring, browser = KeyRing.generate(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        session = await here.keep(browser)
        here.clock.advance(1801)
        for asked in (here, there, here):
            late = await asked.vault.find_session(browser.jar(), bodiless=False)
            assert isinstance(late.refusal, SessionEnded)
            assert (late.refusal.reason, late.evident) == ("idle", False)
            assert asked.vault.cookies_due(late, slides=True) == []
            await asked.vault.aclose()
        await there.ledger.catch_up(at_once=True)
        final = await there.vault.find_session(browser.jar(), bodiless=True)
        assert final.presented is not None, "what the store holds has not been shredded"
        assert (final.presented.tokens, final.evident) == (session.tokens, True)
        assert {cookie.max_age for cookie in there.vault.cookies_due(final, slides=True)} == {0}

    # Endings.

    @pytest.mark.req("F9", "F11")
    async def test_what_a_fact_covers_is_cleared_away_and_whoever_lives_is_not(self, processes: Processes) -> None:
        """By the authority's sid, by its absence, by the subject and for everybody: only what is over is touched."""
        ring, later = KeyRing.generate(), NOW + 43_200
        here, there = processes(ring=ring), processes(ring=ring)
        sessions = {"as-1": "bob", "as-2": "bob", None: "bob", "as-3": "carol"}
        browsers = {sid: Browser() for sid in sessions}
        for sid, subject in sessions.items():
            await here.keep(browsers[sid], authority_sid=sid, subject=subject)
        alive = set(sessions)

        async def over(fact: Ending, *sids: str | None) -> None:
            await there.ledger.end(fact)
            await there.vault.shred_covered(fact.mark)
            there.clock.advance(1)
            for sid in sessions:
                presented = await here.present(browsers[sid])
                assert (presented.refusal is None) == (sid in alive - {*sids}), sid
            alive.difference_update(sids)

        options: dict[str, Any] = {"at": NOW, "until": later}
        reason = Reason.BACKCHANNEL
        await there.vault.shred_covered(mark_of_subject(ISSUER, "bob"))
        await over(Ending.of_authority_sid(ISSUER, "as-1", reason, **options), "as-1")
        await over(Ending.of_unnamed(ISSUER, "bob", reason, before=NOW, **options), None)
        await over(Ending.of_subject(ISSUER, "bob", reason, before=NOW - 1, **options))
        await over(Ending.of_subject(ISSUER, "bob", reason, before=NOW, **options), "as-2")
        await over(Ending.of_everybody(before=NOW - 1, **options))
        await over(Ending.of_everybody(before=NOW, **options), "as-3")

    @pytest.mark.req("F2", "ATK-19")
    async def test_a_session_that_ended_is_dead_for_every_copy_in_every_process(self, processes: Processes) -> None:
        """A copy made before is refused with the reason, told to go, and stays dead for a process that starts later."""
        ring, browser, copy = KeyRing.generate(), Browser(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        session = await here.keep(browser)
        copy.kept = dict(browser.kept)
        await there.present(copy)
        found = (await here.present(browser)).require()
        browser.take(await here.vault.end_session(found, Reason.SIGNED_OUT, browser.jar()))
        assert here.vault.policy.session not in browser.kept
        assert here.vault.ended(session) is Reason.SIGNED_OUT
        there.clock.advance(0.3)
        kept = dict(copy.kept)
        for asked in (here, there, processes(ring=ring)):
            copy.kept = dict(kept)
            assert await asked.reason(copy) == "signed_out"
            assert asked.vault.policy.session not in copy.kept

    @pytest.mark.req("F11")
    async def test_a_session_that_was_ended_before_it_was_kept_is_never_kept(self, process: Running) -> None:
        """Back-channel logout may overtake the callback: by sid, or by subject up to an instant."""
        later = NOW + 43_200
        by_sid = Ending.of_authority_sid(ISSUER, "as-1", Reason.BACKCHANNEL, at=NOW, until=later)
        by_subject = Ending.of_subject(ISSUER, "bob", Reason.BACKCHANNEL, before=NOW, at=NOW, until=later)
        for ending in (by_sid, by_subject):
            await process.ledger.end(ending)
        for dead in ({"authority_sid": "as-1"}, {"subject": "bob"}):
            with pytest.raises(SessionEnded, match="backchannel"):
                await process.keep(Browser(), **dead)
        later_sign_in = Browser()
        await process.keep(later_sign_in, subject="bob", id_token_issued_at=NOW + 1)
        assert (await process.present(later_sign_in)).refusal is None

    @pytest.mark.req("F11", "BCL-3")
    async def test_a_fact_ends_what_it_covers_wherever_it_is_remembered(self, processes: Processes) -> None:
        """By the authorization server's sid, in a process that had opened the session before."""
        ring, browser = KeyRing.generate(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        await here.keep(browser, authority_sid="as-7")
        await there.present(browser)
        ending = Ending.of_authority_sid(ISSUER, "as-7", Reason.BACKCHANNEL, at=NOW, until=NOW + 43_200)
        await here.ledger.end(ending)
        there.clock.advance(0.3)
        assert await there.reason(browser) == "backchannel"

    @pytest.mark.req("F23", "ATK-2")
    async def test_a_sign_in_ends_the_session_it_replaces(self, process: Running) -> None:
        """Also when the callback cannot see it; the new one's cookies stay, and the old one's tokens can be revoked."""
        browser, copy = Browser(), Browser()
        first = await process.keep(browser)
        copy.kept = dict(browser.kept)
        transaction = a_transaction(replaces=first.sid)
        await process.vault.keep_login(transaction, browser.jar())
        replaced = await process.vault.end_replaced(transaction)
        assert replaced is not None
        assert replaced.tokens == first.tokens
        assert await process.vault.end_replaced(a_transaction()) is None
        second = await process.keep(browser)
        assert same((await process.present(browser)).require(), second)
        refused = await process.vault.find_session(copy.jar())
        assert isinstance(refused.refusal, SessionEnded | NoSession)
        assert process.vault.cookies_due(refused, slides=True) == []

    # Generations.

    @pytest.mark.req("F4", "F6")
    async def test_a_generation_is_kept_once_and_found_by_whoever_comes_with_what_it_has(
        self, processes: Processes
    ) -> None:
        """Two processes bring two: one stands, both know which, and the browser reaches it in either."""
        ring, browser = KeyRing.generate(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        await here.keep(browser)
        mine = (await here.present(browser)).require()
        theirs = (await there.present(browser)).require()
        stands = renewed(mine)
        assert same(await here.vault.keep_generation(mine, stands), stands)
        assert same(await there.vault.keep_generation(theirs, renewed(theirs)), stands)
        assert same(await there.vault.newest(theirs), stands)
        there.clock.advance(0.3)
        for asked in (there, here):
            assert same((await asked.present(browser)).require(), stands)

    @pytest.mark.req("F4", "F7", "F10")
    async def test_a_process_that_remembers_an_older_generation_finds_the_newest(self, processes: Processes) -> None:
        """Another one refreshed: what is remembered here is not served once the news has come."""
        ring, browser = KeyRing.generate(), Browser()
        here, there = processes(ring=ring), processes(ring=ring)
        await here.keep(browser)
        old = (await there.present(browser)).require()
        mine = (await here.present(browser)).require()
        await here.vault.keep_generation(mine, renewed(mine))
        there.clock.advance(0.3)
        await there.ledger.catch_up(at_once=True)
        assert (await there.vault.find_session(browser.jar())).require().generation == old.generation + 1

    @pytest.mark.req("F2", "ATK-16")
    async def test_a_generation_of_an_ended_session_brings_nothing_back(self, process: Running) -> None:
        """The refresh was under way when the person signed out: its result may be written, and nobody is signed in."""
        browser = Browser()
        await process.keep(browser)
        session = (await process.present(browser)).require()
        copy = dict(browser.kept)
        browser.take(await process.vault.end_session(session, Reason.SIGNED_OUT, browser.jar()))
        await process.vault.aclose()
        await process.vault.keep_generation(session, renewed(session))
        browser.kept = copy
        assert await process.reason(browser) == "signed_out"

    @pytest.mark.req("F3", "OA-5", "BBA-17")
    async def test_two_processes_make_one_token_call(self, processes: Processes, clock: MovableClock) -> None:
        """Each had a call under way when the token ended; a strictly rotating server hears one of them."""
        ring, browser, server = KeyRing.generate(), Browser(), TokenServer(clock)
        pair = processes(ring=ring), processes(ring=ring)
        await pair[0].keep(browser)
        clock.advance(3700)
        both = [AccessTokens(server, one.vault, one.ledger, clock) for one in pair]
        presented = [await one.vault.find_session(browser.jar()) for one in pair]
        for shown in presented:
            shown.refusal, shown.session = None, shown.presented
        flights = [asyncio.create_task(mine.fresh(shown)) for mine, shown in zip(both, presented, strict=True)]
        await until(lambda: all(flight.done() for flight in flights))
        got = [flight.result() for flight in flights]
        assert same(got[0], got[1])
        assert len(server.calls) == 1
        assert not server.reused
        for one in both:
            await one.aclose()

    @pytest.mark.req("F2", "F9", "F10")
    async def test_an_end_revokes_what_another_process_has_refreshed(
        self, processes: Processes, clock: MovableClock
    ) -> None:
        """Whoever ends it asks after its end is written, however young the view was."""
        ring, browser, server = KeyRing.generate(), Browser(), TokenServer(clock)
        here, there = processes(ring=ring), processes(ring=ring)
        here.vault.grants = there.vault.grants = EndedGrants(server)
        await there.keep(browser)
        session, mine = (await here.present(browser)).require(), (await there.present(browser)).require()
        newest = await there.vault.keep_generation(mine, renewed(mine, refresh_token=words(40)))
        await here.vault.end_session(session, Reason.SIGNED_OUT, browser.jar())
        await here.vault.aclose()
        assert server.revoked == [(newest.tokens.refresh_token, "refresh_token")]

    # Keys.

    @pytest.mark.req("F20", "F22", "B10")
    async def test_a_changed_ring_empties_the_memory(self, processes: Processes, clock: MovableClock) -> None:
        """A key that was taken away opens nothing from that moment, remembered or not."""
        keys = tuple(Key(id=f"0000000{n}", secret=bytes([n]) * 32, use_from=NOW) for n in (1, 2))
        ring, browser = KeyRing(keys[:1], clock), Browser()
        process = processes(ring=ring)
        await process.keep(browser)
        before = ring.opens["00000001"]
        assert (await process.present(browser)).refusal is None
        assert ring.opens["00000001"] > before
        ring.replace(keys)
        assert (await process.present(browser)).refusal is None
        ring.replace(keys[1:])
        assert isinstance((await process.present(browser)).refusal, NoSession)
        assert browser.kept

    def test_lifetimes_are_the_settings(self, processes: Processes) -> None:
        """What the page is told follows them."""
        assert processes(lifetimes=Lifetimes(idle=60, absolute=600)).vault.lifetimes == Lifetimes(idle=60, absolute=600)
