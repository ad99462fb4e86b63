"""A session's life as a state machine: whatever happens in whatever order, a session lives exactly as long as it may.

The model knows two browsers with two tabs each, two accounts, one authorization server that rotates strictly, and two
workers. After every step: a session that is over answers nobody, and no session is over for whom nothing ended it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bff.errors import (
    AuthorizationServerUnavailable,
    NoSession,
    RefreshRefused,
    SessionEnded,
    SessionStoreUnavailable,
    SessionSuperseded,
)
from bff.oidc.messages import Claims, Narrow, Refreshed, TokenSet
from bff.session import refresher
from bff.session.cookies import Jar, SetCookie
from bff.session.endings import Reason
from bff.session.key_ring import KeyRing
from bff.session.ledger import FileLedger, Ledger, MemoryLedger
from bff.session.model import Lifetimes, Session
from bff.session.vault import Presented
from tests.bff.session.session_world import NOW, Browser, Process, TokenServer, a_process, a_session, tokens, until
from tests.world.clock import MovableClock

pytestmark = pytest.mark.req("F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "ATK-19")

READ = Narrow(scope="todo.read")
OUTAGE = AuthorizationServerUnavailable("timeout")
BROWSERS, WORKERS = st.sampled_from([0, 0, 0, 1]), st.integers(0, 1)
FAULTS = st.sampled_from(["none"] * 5 + ["unreachable", "lost answer", "enter_flight", "flight_sent"])


async def _failing(*_: object) -> bool:
    """A ledger that cannot be written in this moment."""
    raise SessionStoreUnavailable("disk full")


@dataclass
class StrictServer(TokenServer):
    """Reuse of a refresh token kills its whole family, and ``lost`` answers are acted upon and never arrive."""

    lost: int = 0
    families: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)

    async def refresh(
        self,
        tokens: TokenSet,
        claims: Claims,
        *,
        narrow: Narrow | None = None,
        sending: Callable[[], Any] | None = None,
    ) -> Refreshed:
        """As a strictly rotating server does it."""
        token = tokens.refresh_token or ""
        family = self.families.setdefault(token, token)
        if self.down is None and (token in self.spent or family in self.dead):
            self.dead.add(family)
            self.reused |= token in self.spent
            if sending is not None:
                await sending()
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


@dataclass
class Life:
    """What the model knows of one session: who, until when, and what may have ended it."""

    session: Session
    browser: int
    over: bool = False
    may_be_lost: bool = False


class Sessions(RuleBasedStateMachine):
    """One machine: two workers on one ledger, and all that can happen to the sessions of two browsers."""

    make_ledger: Callable[[Path, MovableClock], Callable[[], Ledger]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        self.clock = MovableClock(NOW)
        self.ring = KeyRing.generate()
        self.ledger_of = type(self).make_ledger(Path(self.folder.name), self.clock)
        self.workers = [self._worker() for _ in range(2)]
        self.server = StrictServer(self.clock, lifetime=600)
        self.access = [worker.tokens_from(self.server) for worker in self.workers]
        self.browsers = [Browser(), Browser()]
        self.lives: list[Life] = []
        self.late: list[tuple[int, int, Presented]] = []
        self.old: list[tuple[Life, Jar]] = []

    def _worker(self) -> Process:
        return a_process(
            clock=self.clock, ring=self.ring, ledger=self.ledger_of(), lifetimes=Lifetimes(idle=1e6, absolute=1e6)
        )

    def run(self, work: Any) -> Any:
        """Run one step to its end, with all that it leaves behind."""

        async def whole() -> Any:
            try:
                return await work
            finally:
                await asyncio.sleep(0)
                for one in self.access:
                    await one.aclose()
                for worker in self.workers:
                    await worker.vault.aclose()

        return self.loop.run_until_complete(whole())

    def living(self, browser: int) -> Life | None:
        """The session that this browser has."""
        return next((life for life in self.lives if life.browser == browser and not life.over), None)

    def take(self, browser: int, cookies: list[SetCookie]) -> None:
        """A response reaches the browser."""
        self.browsers[browser].take(cookies)

    # What can happen.

    @initialize()
    def somebody_is_signed_in(self) -> None:
        """Nothing can happen before."""
        self.sign_in(0, 0, "alice")

    @rule(browser=BROWSERS, worker=WORKERS, account=st.sampled_from(["alice", "bob"]))
    def sign_in(self, browser: int, worker: int, account: str) -> None:
        """As the first, or in place of the one that is there."""
        self.clock.advance(1.0)  # three round trips at least
        life = self.living(browser)
        vault = self.workers[worker].vault
        if life is not None:
            self.old.append((life, self.browsers[browser].jar()))
            self.run(vault.end_session(life.session, Reason.REPLACED))
            life.over = True
        began = tokens(expires_at=self.clock.now() + 600, refresh_token=f"rt-{len(self.lives)}")
        session = a_session(
            subject=account, tokens=began, absolute_end=NOW + 1e6, authority_sid=f"as-{len(self.lives)}"
        )
        self.take(browser, self.run(vault.keep_session(session, self.browsers[browser].jar())))
        self.lives.append(Life(session, browser))

    @rule(browser=BROWSERS, worker=WORKERS, arrives=st.booleans(), narrow=st.booleans(), fault=FAULTS)
    def call(self, browser: int, worker: int, arrives: bool, narrow: bool, fault: str) -> None:
        """One call of a tab: a response or an answer (F1) gets lost, the server is down, the ledger fails."""
        self.server.lost = int(fault == "lost answer")
        self.server.down = AuthorizationServerUnavailable("refused", sent=False) if fault == "unreachable" else None
        ledger = self.workers[worker].ledger
        if fault in {"enter_flight", "flight_sent"}:
            vars(ledger)[fault] = _failing
        cookies = self.run(self.answered(worker, self.browsers[browser].jar(), narrow=narrow))
        self.server.lost, self.server.down = 0, None
        vars(ledger).pop(fault, None)
        self.take(browser, cookies if arrives else [])

    @rule(browser=BROWSERS, order=st.permutations([0, 1, 2, 3]))
    def tabs_call_at_once(self, browser: int, order: list[int]) -> None:
        """Two tabs, two workers, two APIs, four calls at once; the responses arrive in any order."""
        jar = self.browsers[browser].jar()

        async def at_once() -> list[list[SetCookie]]:
            return await asyncio.gather(*(self.answered(number % 2, jar, narrow=number > 1) for number in range(4)))

        answers = self.run(at_once())
        for number in order:
            self.take(browser, answers[number])

    @rule(browser=BROWSERS, worker=WORKERS)
    def call_that_is_answered_late(self, browser: int, worker: int) -> None:
        """It was let in, and its response starts only later; what is refused is answered at once."""
        presented = self.run(self.workers[worker].vault.find_session(self.browsers[browser].jar()))
        if presented.session is not None:
            self.late.append((browser, worker, presented))

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def late_answer(self, data: st.DataObject) -> None:
        """Whatever happened meanwhile, it restores nothing: the invariants look at the browser that took it."""
        browser, worker, presented = self.late.pop(data.draw(st.integers(0, len(self.late) - 1)))
        self.take(browser, self.workers[worker].vault.cookies_due(presented, slides=False))

    @precondition(lambda self: self.old)
    @rule(data=st.data(), worker=WORKERS)
    def a_copy_of_an_older_jar_is_used(self, data: st.DataObject, worker: int) -> None:
        """What is over stays over for it; what lives may call two strikes on itself, and only so."""
        life, jar = data.draw(st.sampled_from(self.old))
        presented = self.run(self.served(worker, jar, bodiless=True))
        if life.over:
            assert isinstance(presented.refusal, SessionEnded)
        elif isinstance(presented.refusal, SessionEnded):
            assert presented.refusal.reason == Reason.STALE_GENERATION
            life.over = True

    @rule(browser=BROWSERS)
    def the_jar_is_copied(self, browser: int) -> None:
        """By a backup, or by a thief."""
        life = self.living(browser)
        if life is not None:
            self.old.append((life, self.browsers[browser].jar()))

    @precondition(lambda self: self.living(0) or self.living(1))
    @rule(
        browser=BROWSERS, worker=WORKERS, reason=st.sampled_from([Reason.SIGNED_OUT, Reason.BACKCHANNEL, Reason.ADMIN])
    )
    def it_ends_while_a_refresh_may_be_under_way(self, browser: int, worker: int, reason: Reason) -> None:
        """By the person, the authorization server or an operator; a call is under way at the other worker."""
        life = self.living(browser)
        if life is None:
            return
        jar, vault = self.browsers[browser].jar(), self.workers[worker].vault
        self.old.append((life, jar))

        issued, calls, held = len(self.server.issued), len(self.server.calls), asyncio.Event()
        self.server.held = held

        async def both() -> tuple[list[SetCookie], list[SetCookie]]:
            calling = asyncio.create_task(self.answered(1 - worker, jar))
            await until(lambda: calling.done() or len(self.server.calls) > calls)
            leaving = await vault.end_session(life.session, reason, jar)
            life.over = True
            held.set()
            return leaving, await calling

        leaving, late = self.run(both())
        self.server.held = None
        for token in self.server.issued[issued:]:
            assert (token, "refresh_token") in self.server.revoked, "what was fetched for a dead session lives on"
        self.take(browser, leaving if reason is Reason.SIGNED_OUT else [])
        self.take(browser, late)

    @rule(seconds=st.sampled_from([1.0, 7.0, 61.0, 595.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        """Leases lapse, ways close, tokens end."""
        self.clock.advance(seconds)

    @rule(browser=BROWSERS, order=st.permutations([0, 1, 2, 3]))
    def tokens_end_and_both_tabs_come_back(self, browser: int, order: list[int]) -> None:
        """The moment at which sessions get lost elsewhere."""
        self.clock.advance(595)
        self.tabs_call_at_once(browser, order)

    @rule(worker=WORKERS)
    def a_worker_is_restarted(self, worker: int) -> None:
        """All that it had in memory is gone."""
        self.late = [one for one in self.late if one[1] != worker]
        self.workers[worker] = self._worker()
        self.access[worker] = self.workers[worker].tokens_from(self.server)

    # How a call goes.

    async def answered(self, worker: int, jar: Jar, *, narrow: bool = False) -> list[SetCookie]:
        """The cookies of a response in the instant it starts."""
        presented = await self.served(worker, jar, narrow=narrow)
        return self.workers[worker].vault.cookies_due(presented, slides=False)

    async def served(self, worker: int, jar: Jar, *, narrow: bool = False, bodiless: bool = False) -> Presented:
        """What the relay does with a call; a refusal lies in what comes back."""
        presented = await self.workers[worker].vault.find_session(jar, bodiless=bodiless)
        lost = self.server.lost
        try:
            if narrow:
                await self.access[worker].fresh_for(presented, READ)
            else:
                await self.access[worker].fresh(presented)
        except (NoSession, SessionEnded, SessionSuperseded) as refusal:
            presented.refusal = refusal
        except (AuthorizationServerUnavailable, SessionStoreUnavailable):
            pass
        if presented.presented is not None:
            life = self.life_of(presented.presented)
            life.may_be_lost |= self.server.lost < lost
            self.explain(life, presented)
        return presented

    def explain(self, life: Life, presented: Presented) -> None:
        """A session that ends while it is called has a reason that the model knows."""
        refusal, session = presented.refusal, presented.session
        assert not life.over or refusal is not None, "a call was let through after the end"
        if not isinstance(refusal, SessionEnded) or life.over or refusal.reason == Reason.STALE_GENERATION:
            return
        assert session is not None
        assert session.tokens.expires_at <= self.clock.now(), "it should be served to its access token's end"
        assert (refusal.reason, life.may_be_lost) == (Reason.REFRESH_LOST, True), "it should live"
        life.over = True

    def life_of(self, session: Session) -> Life:
        """The model of a session, whatever its generation."""
        return next(life for life in self.lives if life.session.sid == session.sid)

    # What always holds.

    @invariant()
    def no_session_lives_after_its_end_and_none_is_dead_before_it(self) -> None:
        """In either worker, as soon as it has looked."""
        for number, browser in enumerate(self.browsers):
            life = self.living(number)
            for worker in self.workers:
                self.clock.advance(0.26)  # what the other one wrote is read after a quarter of a second
                presented: Presented = self.run(worker.vault.find_session(browser.jar()))
                if life is None:
                    assert presented.session is None
                else:
                    assert presented.session is not None, repr(presented.refusal)
                    assert (presented.session.sid, presented.session.subject) == (
                        life.session.sid,
                        life.session.subject,
                    )

    @invariant()
    def no_refresh_token_was_used_twice_but_where_an_answer_was_lost(self) -> None:
        """Among all workers, in whatever order."""
        if self.server.reused:
            assert any(life.may_be_lost for life in self.lives)

    def teardown(self) -> None:
        """Close what is open."""
        self.run(asyncio.sleep(0))
        for worker in self.workers:
            self.loop.run_until_complete(worker.ledger.aclose())
        self.loop.close()
        self.folder.cleanup()


def _memory(_: Path, clock: MovableClock) -> Callable[[], Ledger]:
    ledger = MemoryLedger(clock)  # one memory stands for one file
    return lambda: ledger


def _file(folder: Path, clock: MovableClock) -> Callable[[], Ledger]:
    return lambda: FileLedger(folder / "ledger.sqlite", clock)


class SessionsInMemory(Sessions):
    """The machine on the ledger in memory."""

    make_ledger = staticmethod(_memory)


class SessionsOnAFile(Sessions):
    """The machine on the ledger in a file, each worker with a view of its own."""

    make_ledger = staticmethod(_file)


QUICK = settings(stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for another's flight takes no time of a test's."""
    monkeypatch.setattr(refresher, "POLL_SECONDS", 0.002)
    monkeypatch.setattr(refresher, "_FIRST_WAIT", 0.001)


@pytest.mark.parametrize(("machine", "examples"), [(SessionsInMemory, 40), (SessionsOnAFile, 12)])
def test_a_session_lives_exactly_as_long_as_it_may(machine: type[Sessions], examples: int) -> None:
    """No path leads to a live session after its end, or to a dead one before it."""
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=examples))
