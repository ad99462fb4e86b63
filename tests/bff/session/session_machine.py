"""A session's life as a state machine: whatever happens in whatever order, a session lives exactly as long as it may.

The model knows two browsers with two tabs each, two accounts, one authorization server that rotates strictly, and two
workers whose store may fail, in every kind of write and read, for as long as it takes. After every step: a session that
is over answers nobody, and no session is over for whom nothing ended it; whoever cannot know says so, as an outage.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bff.errors import (
    AuthorizationServerUnavailable,
    NoSession,
    RefreshRefused,
    SessionEnded,
    SessionError,
    SessionStoreUnavailable,
    SessionSuperseded,
)
from bff.oidc.messages import Claims, Narrow, Refreshed, TokenSet
from bff.session.access_tokens import AccessTokens
from bff.session.cookies import Jar, SetCookie
from bff.session.endings import Ending, Reason
from bff.session.flights import SENT_SECONDS
from bff.session.key_ring import KeyRing
from bff.session.ledger import FileLedger, Ledger
from bff.session.marks import mark_of_sid
from bff.session.model import Lifetimes, Session
from bff.session.redis_ledger import RedisLedger
from bff.session.vault import Presented, SessionVault
from tests.bff.session.session_world import ISSUER, NOW, Browser, TokenServer, a_session, tokens, until
from tests.world.clock import MovableClock

READ = Narrow(scope="todo.read")
OUTAGE = AuthorizationServerUnavailable("timeout")
IDLE, ABSOLUTE = 4000.0, 20_000.0
NOBODYS = -1
STUCK_TENTHS = 100
ANY_WRITE = "any write"
TRUSTED = 1.0  # seconds that a view may be old (rule F10)
SLACK = 2.0  # of instants that are kept in whole seconds

BROWSERS, WORKERS = st.sampled_from([0, 0, 0, 1]), st.integers(0, 1)
ENDS = [Reason.SIGNED_OUT, Reason.BACKCHANNEL, Reason.ADMIN, Reason.ENDED_BY_OWNER]

Fault = Callable[[Ledger], AbstractContextManager[None]]


@dataclass
class StrictServer(TokenServer):
    """Reuse of a refresh token kills its whole family, and ``lost`` answers are acted upon and never arrive."""

    lost: int = 0
    families: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    flying: set[asyncio.Task[Any]] = field(default_factory=set)
    """Whose refresh token was sent, and who is not done with what came of it."""

    async def refresh(
        self,
        tokens: TokenSet,
        claims: Claims,
        *,
        narrow: Narrow | None = None,
        sending: Callable[[], Any] | None = None,
    ) -> Refreshed:
        """As a strictly rotating server does it."""
        if (flight := asyncio.current_task()) is not None:
            self.flying.add(flight)
            flight.add_done_callback(self.flying.discard)
        token = tokens.refresh_token or ""
        family = self.families.setdefault(token, token)
        if self.down is None and (token in self.spent or family in self.dead):
            if sending is not None:
                await sending()
            self.dead.add(family)
            self.reused |= token in self.spent
            raise RefreshRefused("invalid_grant")
        await asyncio.sleep(0)  # others act in between
        answer = await super().refresh(tokens, claims, narrow=narrow, sending=sending)
        await asyncio.sleep(0)
        assert answer.tokens.refresh_token is not None
        self.families[answer.tokens.refresh_token] = family
        if self.lost:
            self.lost -= 1
            raise OUTAGE
        return answer


@dataclass(eq=False)
class Worker:
    """One process, and what is broken about its store at present."""

    vault: SessionVault
    ledger: Ledger
    access: AccessTokens
    broken: ExitStack = field(default_factory=ExitStack)
    fault: str = ""
    owed_since: float | None = None

    @property
    def owes(self) -> bool:
        """Whether something that it wrote was not taken, and is still to be told."""
        if isinstance(self.ledger, FileLedger):
            return self.ledger._owed.any
        return isinstance(self.ledger, RedisLedger) and self.ledger.own_writes.unconfirmed


@dataclass(eq=False)
class Life:
    """What the model knows of one session: whose, since when over, and what may have ended it."""

    session: Session
    browser: int
    active_at: float
    over: bool = False
    ended_at: float = 0.0
    owed_by: set[Worker] = field(default_factory=set)
    """Who ended it without their store's taking it: over there, elsewhere as soon as it is told."""
    may_have_ended: bool = False
    """A worker was killed that owed its end: nobody knows whether a last attempt to write it came through."""
    may_be_lost: bool = False
    served_until: float = 0.0
    """When the access token of the generation that was found last ends."""

    def ends(self, now: float) -> None:
        """It is over, for everybody."""
        if not self.over:
            self.over, self.ended_at = True, now
        self.owed_by.clear()


class Sessions(RuleBasedStateMachine):
    """One machine: two workers on one ledger, and all that can happen to the sessions of two browsers."""

    faults: Mapping[str, Fault] = MappingProxyType({})
    lifetimes = Lifetimes(idle=IDLE, absolute=ABSOLUTE)
    heals_at_once = True
    """Whether the first call after a fault is served, or an outage may last a moment longer."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = MovableClock(NOW)
        self.ring = KeyRing.generate()
        self.server = StrictServer(self.clock, lifetime=600)
        self.prepare()
        self.workers = [self.worker() for _ in range(2)]
        self.browsers = [Browser(), Browser()]
        self.lives: list[Life] = []
        self.late: list[tuple[int, Worker, Presented]] = []
        self.old: list[tuple[Life, Jar]] = []

    # What a subclass decides.

    def prepare(self) -> None:
        """Make what the workers share."""

    def worker(self) -> Worker:
        """One more process."""
        raise NotImplementedError

    def kill(self, worker: Worker) -> None:
        """It is gone, with all that it had in memory."""

    # How a step is run.

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run one step to its end, with all that it leaves behind; whoever waits for a lease sees time go by."""

        async def whole() -> Any:
            passing = asyncio.create_task(self._time_goes_by())
            try:
                return await work
            finally:
                await asyncio.sleep(0)
                for worker in self.workers:
                    await worker.access.aclose()
                    await worker.vault.aclose()
                passing.cancel()

        self._watch_debts()
        try:
            return self.loop.run_until_complete(whole())
        finally:
            self._settle_accounts()

    async def _time_goes_by(self) -> None:
        """A second for each tenth in which nothing happens: a busy machine's disk makes nobody's flight lapse."""
        for tenth in count(1):
            await asyncio.sleep(0.1)
            if not self.server.flying or tenth > STUCK_TENTHS:
                self.clock.advance(1.0)
                self._watch_debts()

    def _settle_accounts(self) -> None:
        """An ending that its worker has told by now is one for everybody."""
        self._watch_debts()
        for life in self.lives:
            if any(not worker.owes for worker in life.owed_by):
                life.ends(self.clock.now())

    def _watch_debts(self) -> None:
        """An answer that its worker cannot write for longer than a flight lasts is lost, if the other one can (F1, F3).

        A disk that is full is full for both.
        """
        for worker, other in (self.workers, self.workers[::-1]):
            worker.owed_since = (worker.owed_since or self.clock.now()) if worker.owes else None
            too_long = worker.owed_since is not None and self.clock.now() - worker.owed_since > SENT_SECONDS - SLACK
            if too_long and other.fault != ANY_WRITE:
                for life in self.lives:
                    life.may_be_lost = True

    def living(self, browser: int) -> Life | None:
        """The session that this browser has, as far as it may still be alive."""
        return next((life for life in self.lives if life.browser == browser and not life.over), None)

    def timed_out(self, life: Life) -> bool | None:
        """Whether its time is over; None where that is a matter of a second."""
        idle = self.clock.now() - life.active_at - self.lifetimes.idle
        absolute = self.clock.now() - life.session.absolute_end
        return None if abs(idle) < SLACK or abs(absolute) < SLACK else idle > 0 or absolute > 0

    def take(self, browser: int, cookies: list[SetCookie]) -> None:
        """A response reaches the browser."""
        self.browsers[browser].take(cookies)
        life, policy = self.living(browser), self.workers[0].vault.policy
        if life is None:
            return
        if any(cookie.name == policy.idle and cookie.max_age != 0 for cookie in cookies):
            life.active_at = self.clock.now()
        if any(cookie.name == policy.session and cookie.max_age == 0 for cookie in cookies):
            ending = life.owed_by or life.may_have_ended
            assert ending or self.timed_out(life) is not False, "a living session's cookie was taken back"
            life.browser = NOBODYS

    # What can happen.

    @initialize()
    def somebody_is_signed_in(self) -> None:
        """Nothing can happen before."""
        self.sign_in(0, 0, "alice", brief=False)

    @rule(browser=BROWSERS, worker=WORKERS, account=st.sampled_from(["alice", "bob"]), brief=st.booleans())
    def sign_in(self, browser: int, worker: int, account: str, brief: bool) -> None:
        """As the first, or in place of the one that is there; an outage leaves things as they are."""
        self.clock.advance(1.0)  # three round trips at least
        life, chosen, now = self.living(browser), self.workers[worker], self.clock.now()
        if life is not None:
            self.old.append((life, self.browsers[browser].jar()))
            if not self.run(self.ended(chosen, life, life.session, Reason.REPLACED))[0]:
                return
        session = a_session(
            sid=urlsafe_b64encode(len(self.lives).to_bytes(16)).rstrip(b"=").decode(),
            subject=account,
            tokens=tokens(expires_at=now + 600, refresh_token=f"rt-{len(self.lives)}"),
            began_at=now,
            active_at=now,
            id_token_issued_at=now,
            absolute_end=now + (1300 if brief else ABSOLUTE),
            authority_sid=f"as-{len(self.lives)}",
        )
        with suppress(SessionStoreUnavailable):
            kept = self.run(chosen.vault.keep_session(session, self.browsers[browser].jar()))
            self.lives.append(Life(session, browser, active_at=now))
            self.take(browser, kept)

    def whoever_is_out_signs_in(self, browser: int) -> None:
        """Most of what can happen needs somebody to whom it happens."""
        life = self.living(browser)
        if life is None or self.timed_out(life):
            self.sign_in(browser, 0, "alice", brief=False)

    @rule(
        browser=BROWSERS,
        worker=WORKERS,
        arrives=st.booleans(),
        narrow=st.booleans(),
        fault=st.sampled_from(["none"] * 5 + ["unreachable", "lost answer"]),
    )
    def call(self, browser: int, worker: int, arrives: bool, narrow: bool, fault: str) -> None:
        """One call of a tab: a response or an answer (F1) gets lost, the server is down."""
        self.whoever_is_out_signs_in(browser)
        self.server.lost = int(fault == "lost answer")
        self.server.down = AuthorizationServerUnavailable("refused", sent=False) if fault == "unreachable" else None
        life = self.living(browser)
        cookies = self.run(self.answered(self.workers[worker], self.browsers[browser].jar(), narrow=narrow))
        if life is not None and life.over and not narrow:
            assert life.served_until <= self.clock.now(), "it should have been served to its access token's end"
        self.server.lost, self.server.down = 0, None
        self.take(browser, cookies if arrives else [])

    @rule(browser=BROWSERS, order=st.permutations([0, 1, 2, 3]))
    def tabs_call_at_once(self, browser: int, order: list[int]) -> None:
        """Two tabs, two workers, two APIs, four calls at once; the responses arrive in any order."""
        self.whoever_is_out_signs_in(browser)
        jar = self.browsers[browser].jar()

        async def at_once() -> list[list[SetCookie]]:
            calls = (self.answered(self.workers[number % 2], jar, narrow=number > 1) for number in range(4))
            return await asyncio.gather(*calls)

        answers = self.run(at_once())
        for number in order:
            self.take(browser, answers[number])

    @rule(browser=BROWSERS, worker=WORKERS)
    def call_that_is_answered_late(self, browser: int, worker: int) -> None:
        """It was let in, and its response starts only later; what is refused is answered at once."""
        presented = self.run(self.found(self.workers[worker], self.browsers[browser].jar()))
        if presented is not None and presented.session is not None:
            self.late.append((browser, self.workers[worker], presented))

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def late_answer(self, data: st.DataObject) -> None:
        """Whatever happened meanwhile, it restores nothing: the invariants look at the browser that took it."""
        browser, worker, presented = self.late.pop(data.draw(st.integers(0, len(self.late) - 1)))
        self.take(browser, self.run(due(worker, presented)))

    @precondition(lambda self: self.old)
    @rule(data=st.data(), worker=WORKERS)
    def a_copy_of_an_older_jar_is_used(self, data: st.DataObject, worker: int) -> None:
        """What is over stays over for it; what lives may call two strikes on itself, and only so."""
        life, jar = data.draw(st.sampled_from(self.old))
        self.run(self.served(self.workers[worker], jar, bodiless=True, copied=True))
        assert life in self.lives

    @rule(browser=BROWSERS)
    def the_jar_is_copied(self, browser: int) -> None:
        """By a backup, or by a thief."""
        life = self.living(browser)
        if life is not None:
            self.old.append((life, self.browsers[browser].jar()))

    @precondition(lambda self: self.old)
    @rule(data=st.data(), worker=WORKERS)
    def somebody_signs_out_with_an_older_jar(self, data: st.DataObject, worker: int) -> None:
        """Whatever generation it shows, expired or not: the session that it names is over."""
        life, jar = data.draw(st.sampled_from(self.old))
        presented = self.run(self.found(self.workers[worker], jar))
        if presented is not None and presented.presented is not None and not life.over:
            self.run(self.ended(self.workers[worker], life, presented.presented, Reason.SIGNED_OUT))

    @rule(browser=BROWSERS, worker=WORKERS, reason=st.sampled_from(ENDS))
    def it_ends_while_a_refresh_may_be_under_way(self, browser: int, worker: int, reason: Reason) -> None:
        """By the person, the authorization server or an operator; a call is under way at the other worker."""
        self.whoever_is_out_signs_in(browser)
        life, chosen, other = self.living(browser), self.workers[worker], self.workers[1 - worker]
        if life is None:
            return
        jar = self.browsers[browser].jar()
        self.old.append((life, jar))
        issued, calls = len(self.server.issued), len(self.server.calls)
        held = self.server.held = asyncio.Event()

        async def both() -> tuple[tuple[bool, list[SetCookie]], list[SetCookie]]:
            calling = asyncio.create_task(self.answered(other, jar))
            try:
                await until(lambda: calling.done() or len(self.server.calls) > calls)
                leaving = await self.ended(chosen, life, life.session, reason, jar)
            finally:
                held.set()
            return leaving, await calling

        (taken, leaving), late = self.run(both())
        self.server.held = None
        if taken and not other.fault and not other.owes:
            for token in self.server.issued[issued:]:
                assert (token, "refresh_token") in self.server.revoked, "what was fetched for a dead session lives on"
        self.take(browser, leaving if reason is Reason.SIGNED_OUT else [])
        self.take(browser, late)

    @rule(browser=BROWSERS, worker=WORKERS, whole_subject=st.booleans())
    def the_authorization_server_ends_it(self, browser: int, worker: int, whole_subject: bool) -> None:
        """By its own name for the session, or by the person's, whose sessions so far all end."""
        self.whoever_is_out_signs_in(browser)
        life, chosen, now = self.living(browser), self.workers[worker], self.clock.now()
        if life is None:
            return
        session, until_ = life.session, now + ABSOLUTE
        if whole_subject:
            fact = Ending.of_subject(ISSUER, session.subject, Reason.BACKCHANNEL, before=now, at=now, until=until_)
            hit = [one for one in self.lives if one.session.subject == session.subject]
        else:
            sid = session.authority_sid or ""
            fact = Ending.of_authority_sid(ISSUER, sid, Reason.BACKCHANNEL, at=now, until=until_)
            hit = [life]
        self.run(self.noted_end(chosen, [one for one in hit if not one.over], chosen.ledger.end(fact)))

    @rule(seconds=st.sampled_from([1.0, 7.0, 61.0, 595.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        """Leases lapse, ways close, tokens end."""
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([IDLE + 10, ABSOLUTE + 10]))
    def nobody_comes_for_long(self, seconds: float) -> None:
        """Sessions that nobody uses are over, and so is every session one day."""
        self.clock.advance(seconds)

    @rule(browser=BROWSERS, order=st.permutations([0, 1, 2, 3]))
    def tokens_end_and_both_tabs_come_back(self, browser: int, order: list[int]) -> None:
        """The moment at which sessions get lost elsewhere."""
        self.whoever_is_out_signs_in(browser)
        self.clock.advance(595)
        self.tabs_call_at_once(browser, order)

    @rule(worker=WORKERS)
    def a_worker_is_restarted(self, worker: int) -> None:
        """All that it had in memory is gone: what its store had not taken may be lost with it (F1)."""
        gone = self.workers[worker]
        self.late = [one for one in self.late if one[1] is not gone]
        for life in self.lives:
            life.may_be_lost |= gone.owes
            life.may_have_ended |= gone in life.owed_by
            life.owed_by.discard(gone)
        gone.broken.close()
        self.kill(gone)
        self.workers[worker] = self.worker()

    @precondition(lambda self: self.faults)
    @rule(
        data=st.data(),
        browser=BROWSERS,
        worker=WORKERS,
        both=st.booleans(),
        meanwhile=st.sampled_from(["refresh", "refresh", "lost answer", "unreachable", "end", "fact", "copy"]),
    )
    def the_store_fails(self, data: st.DataObject, browser: int, worker: int, both: bool, meanwhile: str) -> None:
        """In one kind of its writes or reads, or in all of them; for one worker, or for both; just when it matters."""
        self.whoever_is_out_signs_in(browser)
        name = data.draw(st.sampled_from(sorted(self.faults)))
        for number in (0, 1) if both else (worker,):
            chosen = self.workers[number]
            chosen.broken.close()
            chosen.broken.enter_context(self.faults[name](chosen.ledger))
            chosen.fault = name
        if meanwhile == "end":
            self.it_ends_while_a_refresh_may_be_under_way(browser, worker, Reason.SIGNED_OUT)
        elif meanwhile == "fact":
            self.the_authorization_server_ends_it(browser, worker, whole_subject=data.draw(st.booleans()))
        elif meanwhile == "copy":
            self.the_jar_is_copied(browser)
        else:
            self.clock.advance(595)
            arrives, narrow = data.draw(st.booleans()), data.draw(st.booleans())
            self.call(browser, worker, arrives=arrives, narrow=narrow, fault=meanwhile)

    @precondition(lambda self: any(worker.fault for worker in self.workers))
    @rule(browser=BROWSERS, worker=WORKERS)
    def the_store_is_back(self, browser: int, worker: int) -> None:
        """And both tabs come at once, before anybody who owes it something was asked for it."""
        for chosen in self.workers:
            chosen.broken.close()
            chosen.fault = ""
        jar = self.browsers[browser].jar()

        async def at_once() -> list[list[SetCookie]]:
            first, second = self.workers[worker], self.workers[1 - worker]
            calls = [self.answered(first, jar), self.answered(second, jar, narrow=True)]
            return await asyncio.gather(*calls)

        for cookies in self.run(at_once()):
            self.take(browser, cookies)

    # How a call goes.

    async def found(self, worker: Worker, jar: Jar, *, bodiless: bool = False) -> Presented | None:
        """What a jar presents; None is an outage, which only a store that fails, or has failed, is a reason for."""
        try:
            presented = await worker.vault.find_session(jar, bodiless=bodiless)
        except SessionStoreUnavailable:
            assert worker.fault or worker.owes or not self.heals_at_once, "an outage, and nothing is broken"
            return None
        return presented

    async def answered(self, worker: Worker, jar: Jar, *, narrow: bool = False) -> list[SetCookie]:
        """The cookies of a response in the instant it starts."""
        presented = await self.served(worker, jar, narrow=narrow)
        return [] if presented is None else worker.vault.cookies_due(presented, slides=True)

    async def served(
        self, worker: Worker, jar: Jar, *, narrow: bool = False, bodiless: bool = False, copied: bool = False
    ) -> Presented | None:
        """What the relay does with a call; a refusal lies in what comes back."""
        presented = await self.found(worker, jar, bodiless=bodiless)
        if presented is None or presented.marks is None:
            return presented
        life, lost, through = self.life_of(presented), self.server.lost, True
        if presented.session is not None:
            life.served_until = presented.session.tokens.expires_at
        try:
            if narrow:
                await worker.access.fresh_for(presented, READ)
            else:
                await worker.access.fresh(presented)
        except (NoSession, SessionEnded, SessionSuperseded) as refusal:
            presented.refusal = refusal
        except (AuthorizationServerUnavailable, SessionStoreUnavailable):
            through = False
        life.may_be_lost |= self.server.lost < lost
        reason = None if through or presented.presented is None else worker.vault.ended(presented.presented)
        if reason is not None:  # it ended on the way, and the store did not take that
            self.judge(worker, life, SessionEnded(reason), copied=copied)
        self.explain(worker, life, presented, through=through, copied=copied)
        return presented

    def explain(self, worker: Worker, life: Life, presented: Presented, *, through: bool, copied: bool) -> None:
        """A session that ends while it is called has a reason that the model knows, and none is let through after it.

        What another worker ended is known as soon as the view is read again, and a second later in any case (F10).
        """
        refusal, now = presented.refusal, self.clock.now()
        if refusal is None:
            unseen = now - life.ended_at <= (TRUSTED if worker.fault else 0.25)
            assert not life.over or not through or unseen, "a call was let through after the end"
            assert not through or copied or self.timed_out(life) is not True, "a call was let through after its time"
            return
        self.judge(worker, life, refusal, copied=copied)

    def judge(self, worker: Worker, life: Life, refusal: SessionError, *, copied: bool) -> None:
        """Whether this session may be refused so; what ends it is taken into the model."""
        if life.over or life.owed_by:
            return
        if isinstance(refusal, SessionSuperseded):
            assert copied or life.may_be_lost, "a browser's own cookie was superseded"
            return
        assert isinstance(refusal, SessionEnded), repr(refusal)
        reason = Reason(refusal.reason)
        if reason in {Reason.IDLE, Reason.ABSOLUTE, Reason.SESSION_EXPIRY}:
            assert copied or self.timed_out(life) is not False, "it should live"
            return
        if life.may_have_ended:
            life.ends(self.clock.now())
            return
        if reason is Reason.STALE_GENERATION:
            assert copied or life.may_be_lost, "it should live"
        else:
            assert (reason, life.may_be_lost) == (Reason.REFRESH_LOST, True), f"it should live, and not be {reason}"
        if worker.owes:
            life.owed_by.add(worker)
        else:
            life.ends(self.clock.now())

    async def ended(
        self, worker: Worker, life: Life, session: Session, reason: Reason, jar: Jar | None = None
    ) -> tuple[bool, list[SetCookie]]:
        """End one session; whether the store took it, and the cookies that say so."""
        cookies: list[SetCookie] = []

        async def end() -> None:
            cookies.extend(await worker.vault.end_session(session, reason, jar))

        return await self.noted_end(worker, [life], end()), cookies

    async def noted_end(self, worker: Worker, lives: list[Life], work: Coroutine[Any, Any, None]) -> bool:
        """What was taken is over for everybody, what was not is over here, and elsewhere as soon as it is told."""
        try:
            await work
        except SessionStoreUnavailable:
            assert worker.fault or worker.owes, "an outage, and nothing is broken"
            for life in lives:
                life.owed_by.add(worker)
            return False
        for life in lives:
            life.ends(self.clock.now())
        return True

    def life_of(self, presented: Presented) -> Life:
        """The model of a session, whatever its generation."""
        marks = presented.marks
        assert marks is not None
        return next(life for life in self.lives if mark_of_sid(life.session.sid) == marks.sid)

    # What always holds.

    @invariant()
    def no_session_lives_after_its_end_and_none_is_dead_before_it(self) -> None:
        """In either worker, as soon as it has looked; one whose store fails may say that it cannot know."""
        for number, browser in enumerate(self.browsers):
            for worker in self.workers:
                self.clock.advance(0.26)  # what the other one wrote is read after a quarter of a second
                presented = self.run(self.found(worker, browser.jar()))
                if presented is not None:
                    self.check(worker, self.living(number), presented)

    def check(self, worker: Worker, life: Life | None, presented: Presented) -> None:
        """A browser's own session is alive where it may be, and only there, and is its own."""
        if presented.session is None:
            if life is not None and presented.refusal is not None:
                self.judge(worker, life, presented.refusal, copied=False)
            return
        own = self.life_of(presented)
        assert not own.over or (worker.fault and self.clock.now() - own.ended_at <= TRUSTED), "it lives after its end"
        assert own.over or own is life, "it is another browser's, or an older one"
        assert self.timed_out(own) is not True, "it lives after its time"

    @invariant()
    def no_refresh_token_was_used_twice_but_where_an_answer_was_lost(self) -> None:
        """Among all workers, in whatever order."""
        if self.server.reused:
            assert any(life.may_be_lost for life in self.lives)

    def teardown(self) -> None:
        """Close what is open."""
        for worker in self.workers:
            worker.broken.close()
        self.run(asyncio.sleep(0))
        for worker in self.workers:
            self.loop.run_until_complete(worker.ledger.aclose())
        self.loop.close()


async def due(worker: Worker, presented: Presented) -> list[SetCookie]:
    """What a response that starts now sets."""
    return worker.vault.cookies_due(presented, slides=False)
