"""The session inside the cookie: sealed once per generation, found by its exact bytes, and asked on every call."""

from __future__ import annotations

from contextlib import suppress

from bff.clock import Clock
from bff.errors import NoSession, SessionEnded, SessionError, SessionStoreUnavailable, SessionSuperseded
from bff.oidc.messages import LoginTransaction
from bff.session import audit
from bff.session.cipher import Cipher, KeyRing
from bff.session.cookies import CookiePolicy, Jar, SetCookie
from bff.session.ended_grants import EndedGrants
from bff.session.endings import Reason
from bff.session.generations import Generations
from bff.session.ledger import Ledger
from bff.session.login_cookies import LoginCookies
from bff.session.marks import Marks
from bff.session.model import Lifetimes, Session
from bff.session.opened import MEMORY_BYTES, OpenedSession
from bff.session.session_cookies import SessionCookies
from bff.session.session_life import SessionLife
from bff.session.sign_out_cookies import SignOutCookies
from bff.session.vault import CookieBudget, Presented

_COINCIDENCE = 5.0  # seconds in which an expired generation may come again: the page repeats its call (rule F5)


class CookieVault(LoginCookies, SignOutCookies, SessionLife):
    """A ``SessionVault`` that keeps nothing but what it may forget: cookies hold sessions, the ledger holds facts.

    ``client_id`` and the policy's origin go into every key, so that no other application opens these cookies.
    ``keep_id_token`` is for authorization servers that want an ``id_token_hint`` at sign-out.
    """

    def __init__(  # noqa: PLR0913 — what a deployment decides, each by its name
        self,
        ring: KeyRing,
        policy: CookiePolicy,
        ledger: Ledger,
        clock: Clock,
        lifetimes: Lifetimes | None = None,
        *,
        client_id: str,
        budget: CookieBudget | None = None,
        form_post: bool = False,
        keep_id_token: bool = False,
        memory_bytes: int = MEMORY_BYTES,
        grants: EndedGrants | None = None,
    ) -> None:
        cipher = Cipher(ring, clock, client_id=client_id, origin=policy.origin, instance=ledger.instance)
        budget = budget or CookieBudget()
        LoginCookies.__init__(self, policy, cipher, ledger, budget, form_post=form_post)
        SignOutCookies.__init__(self, policy, cipher)
        SessionLife.__init__(self, ledger, clock, lifetimes, grants)
        self._sessions = SessionCookies(
            policy,
            cipher,
            lifetimes=self.lifetimes,
            budget=budget,
            keep_id_token=keep_id_token,
            memory_bytes=memory_bytes,
        )
        self._generations = Generations(ledger, self._sessions, clock)

    @property
    def foreign_seals(self) -> int:
        """Cookies of an instance that shares no ledger with this one, sealed while this one was running (rule F14)."""
        return self._sessions.foreign_seals

    async def keep_session(self, session: Session, jar: Jar) -> list[SetCookie]:
        """Seal a new session; refused where its end became known while its sign-in was under way (rule F11)."""
        await self._refuse_ended(session)
        opened = self._sessions.seal(session)
        audit.session_began(session)
        return [*self._sessions.cookies(opened, jar, jar_is_complete=False), self._sessions.stamp(session)]

    async def find_session(self, jar: Jar, *, bodiless: bool = False) -> Presented:
        """What this jar presents. Without a session cookie that opens, the ledger is not even asked.

        An expired generation is refused and touches no cookie. An upload may be late by as long as it is; whatever has
        no body and comes with one again, five seconds after the first time, is a copy at work (rule F5).
        """
        opened = self._sessions.opened(jar)
        if opened is None:
            return Presented(jar, refusal=NoSession())
        if not self._ledger.fresh:
            await self._ledger.catch_up()
        if not opened.acknowledged:
            self._generations.acknowledge(opened)
        newest: OpenedSession | None = opened
        if self._view.newest_generation(opened.marks.sid) > opened.session.generation:
            newest = await self._generations.follow(opened)
        presented = self._judged(jar, opened, newest)
        self._note_its_time(presented, (newest or opened).session, bodiless=bodiless)
        if newest is None and bodiless and isinstance(presented.refusal, SessionSuperseded):
            await self._weigh(presented, opened)
        return presented

    def cookies_due(self, presented: Presented, *, slides: bool) -> list[SetCookie]:
        """Ended → deletions; a newer generation → its bytes; a stamp of some age → a new one; else nothing.

        A response that starts long after its session's end leaves the jar alone: it may be somebody else's by now.
        """
        session, marks = presented.session, presented.marks
        if session is None or marks is None:
            return self._due_to_refused(presented)
        ending = self._view.ended(marks, session.id_token_issued_at)
        if ending is not None:
            return self._due_to_ended(presented, ending)
        due: list[SetCookie] = []
        newer = self._sessions.newer_than(marks, presented.presented_generation)
        # What another process has followed up since would set a jar back that may hold the newest by now (rule F6).
        if newer is not None and newer.session.generation >= self._view.newest_generation(marks.sid):
            due = self._sessions.cookies(newer, presented.jar)
        if slides and self._clock.now() - presented.last_activity > self._slide_every:
            due.append(self._sessions.stamp(session))
        return due

    async def keep_generation(self, before: Session, after: Session, *, presented: Session | None = None) -> Session:
        """Make ``after`` what follows ``before``, for every process and after a restart; answers the one that stands.

        ``presented`` is the older generation on whose behalf this happens: its path is shortened to the newest (F4).
        """
        return await self._generations.keep(before, after, presented)

    async def newest(self, session: Session) -> Session:
        """The newest generation reachable from this one; raises ``SessionSuperseded`` where the way there is closed."""
        return await self._generations.newest(session)

    async def end_session(self, session: Session, reason: Reason, jar: Jar | None = None) -> list[SetCookie]:
        """Dead in this process before anything is awaited, dead everywhere when the ledger has it; then revoked (F2).

        Answers the deletions for the browser whose jar this is, and its memory of the session's end.
        """
        newest = self._newest_known(session)
        self._sessions.forget(Marks.of(session))
        try:
            await self._end(session, reason)
        finally:
            self.grants.left(session, reason, lambda _: self._last(newest))
        return [] if jar is None else self.deletions(jar, ended=session)

    async def shred(self, mark: bytes) -> None:
        """Nothing is stored: what there is of a session is in its browser."""

    async def shred_covered(self, mark: bytes) -> None:
        """Nor of several."""

    def shred_covered_later(self, mark: bytes) -> None:
        """Nor of several."""

    async def keep_login(self, transaction: LoginTransaction, jar: Jar) -> list[SetCookie]:
        """As ever; and what this sign-in replaces is remembered, since the callback cannot see its cookie (F23)."""
        opened = None if transaction.replaces is None else self._sessions.opened(jar)
        if opened is not None:
            await self._replaced.remember(transaction, opened.session.sid, opened.value)
        return await super().keep_login(transaction, jar)

    async def end_replaced(self, transaction: LoginTransaction) -> Session | None:
        """The session that was here when this sign-in began is over, whatever generation it has reached (rule F23)."""
        if transaction.replaces is None:
            return None
        await self._end_sid(transaction.replaces)
        value = await self._replaced.value(transaction)
        found = None if value is None else self._sessions.open(value)
        return None if found is None else await self._last(self._newest_known(found.session))

    def deletions(self, jar: Jar, *, ended: Session | None = None) -> list[SetCookie]:
        """Take the session's cookies back; with ``ended``, remember in this browser that this session is over."""
        deleted = self._sessions.deletions(jar)
        return deleted if ended is None else [*deleted, self._sessions.out(jar, ended)]

    async def aclose(self) -> None:
        """Finish what runs in the background; the ledger is closed by whoever opened it."""
        await self.close_logins()
        await self.grants.aclose()
        await self._generations.aclose()

    def _newest_known(self, session: Session) -> Session:
        """The newest generation that this process has the bytes of, however closed the way to it is."""
        newer = self._sessions.newer_than(Marks.of(session), session.generation)
        return session if newer is None else newer.session

    async def _last(self, session: Session) -> Session:
        """The newest that the ledger leads to."""
        try:
            return await self.newest(session)
        except (SessionSuperseded, SessionStoreUnavailable):  # an older generation is still of the same grant
            return session

    def _judged(self, jar: Jar, opened: OpenedSession, newest: OpenedSession | None) -> Presented:
        current = newest or opened
        session, now = current.session, self._clock.now()
        last = min(now, max(self._sessions.last_activity(opened, jar), session.active_at))
        refusal: SessionError | None = None
        reason = self._over(opened.marks, session, now, last)
        if reason is None and self._sessions.named_out(opened, jar):
            reason = Reason.SIGNED_OUT
        if reason is not None:
            refusal = SessionEnded(reason)
        elif newest is None:
            refusal = SessionSuperseded()
        return Presented(
            jar,
            session=session if refusal is None else None,
            marks=opened.marks,
            presented=opened.session,
            last_activity=last,
            sealed_at=current.sealed_at,
            refusal=refusal,
        )

    async def _weigh(self, presented: Presented, opened: OpenedSession) -> None:
        """End the session of which an expired generation keeps coming; what cannot be noted is no evidence."""
        now, session = self._clock.now(), opened.session
        with suppress(SessionStoreUnavailable):
            first = await self._ledger.note_stale(opened.marks.sid, now, session.absolute_end)
            if now - first > _COINCIDENCE:
                await self.end_session(session, Reason.STALE_GENERATION)
                presented.refusal = SessionEnded(Reason.STALE_GENERATION)
