"""The session in Redis or Valkey; the browser holds a ticket, set at sign-in only (rule F9)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from bff.clock import Clock
from bff.errors import NoSession, SessionEnded, SessionError, SessionStoreUnavailable
from bff.oidc.messages import LoginTransaction
from bff.session import audit
from bff.session.background import Background
from bff.session.chunks import MOST
from bff.session.cipher import Cipher, KeyRing
from bff.session.cookies import CookiePolicy, Jar, SetCookie
from bff.session.endings import Reason
from bff.session.login_cookies import LoginCookies
from bff.session.marks import Marks, mark_of_sid
from bff.session.model import Lifetimes, Session
from bff.session.opened import OpenedSession
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_opened import TicketMemory
from bff.session.redis_records import Record, RedisRecords
from bff.session.session_life import BY_TIME, SessionLife
from bff.session.sign_out_cookies import SignOutCookies
from bff.session.ticket import Ticket, TicketedSession, Tickets
from bff.session.vault import CookieBudget, Presented
from bff.telemetry.logs import get_logger

_MEMORY = 64 * 1024 * 1024
_DRAIN = 5.0

_log = get_logger(__name__)


class RedisVault(LoginCookies, SignOutCookies, SessionLife):
    """A ``SessionVault`` whose cookie never changes: no response can lose a generation, and none carries a token.

    What was opened is remembered; a warm call asks the local view only, and the store where the view knows of a newer
    generation or the session looks idle. A store that is away is never a sign-out.
    """

    foreign_seals = 0

    def __init__(  # noqa: PLR0913 — what a deployment decides, each by its name
        self,
        ring: KeyRing,
        policy: CookiePolicy,
        ledger: RedisLedger,
        clock: Clock,
        lifetimes: Lifetimes | None = None,
        *,
        client_id: str,
        budget: CookieBudget | None = None,
        form_post: bool = False,
        keep_id_token: bool = False,
        memory_bytes: int = _MEMORY,
    ) -> None:
        cipher = Cipher(ring, clock, client_id=client_id, origin=policy.origin, instance=ledger.instance)
        LoginCookies.__init__(self, policy, cipher, ledger, budget or CookieBudget(), form_post=form_post)
        SignOutCookies.__init__(self, policy, cipher)
        SessionLife.__init__(self, ledger, clock, lifetimes)
        self._news = ledger
        self._records = RedisRecords(ledger, cipher, clock, keep_id_token=keep_id_token)
        self._tickets = Tickets(cipher)
        self._memory = TicketMemory(ring, ledger.view, memory_bytes)
        self._names = [policy.chunk(index) for index in range(MOST)]
        self._fetching: dict[bytes, asyncio.Task[Record | None]] = {}
        self._background = Background()

    async def keep_session(self, session: Session, jar: Jar) -> list[SetCookie]:
        """Write a new session; refused where its end became known while its sign-in was under way (rule F11)."""
        await self._refuse_ended(session)
        ticket = self._tickets.issue(session.sid)
        kept = TicketedSession.of(session, ticket)
        if not await self._records.keep(kept):
            raise SessionStoreUnavailable("a session of this id is there already")
        self._sealed_now(kept)
        audit.session_began(session)
        surplus = [self.policy.deletion(name) for name in (*self._names[1:], self.policy.idle) if name in jar]
        return [self.policy.cookie(self.policy.session, ticket.value), *surplus]

    async def find_session(self, jar: Jar, *, bodiless: bool = False) -> Presented:  # noqa: ARG002 — no generation is ever stale
        """What this jar presents. Without a ticket of ours neither the ledger nor the store is asked."""
        ticket = None if jar.any_twice(self._names) else self._ticket(jar.get(self.policy.session))
        if ticket is None:
            return Presented(jar, refusal=NoSession())
        if not self._ledger.fresh:
            await self._ledger.catch_up()
        opened = self._memory.find(ticket)
        if opened is None or self._is_idle(opened):
            record = await self._fetch(ticket)
            if record is None:
                return Presented(jar, refusal=NoSession())
            if record.session is None:
                return self._shredded(jar, record)
            opened = self._learn(record, record.session)
        return self._judged(jar, opened)

    def cookies_due(self, presented: Presented, *, slides: bool) -> list[SetCookie]:
        """Ended → deletions; else nothing: the ticket stays as it is. An activity is noted in the store (rule F19).

        A response that starts long after its session's end leaves the jar alone: it may be somebody else's by now.
        """
        session, marks = presented.session, presented.marks
        if session is None or marks is None:
            refusal = presented.refusal
            due = isinstance(refusal, SessionEnded) and refusal.reason != Reason.REPLACED
            return self.deletions(presented.jar) if due else []
        ending = self._view.ended(marks, session.id_token_issued_at)
        if ending is not None:
            return [] if self._comes_late(ending) else self.deletions(presented.jar)
        if slides:
            self._slide(presented.jar, marks)
        return []

    async def keep_generation(self, before: Session, after: Session, *, presented: Session | None = None) -> Session:  # noqa: ARG002 — its path has one step
        """Make ``after`` what stands, if ``before`` still does; answers the one that stands.

        The old refresh token is spent by now: where the store fails, this process goes on with the new one, and tells
        the store as soon as it is back.
        """
        if not isinstance(after, TicketedSession):
            raise TypeError("a session of another vault")
        try:
            stands = await self._records.replace(before, after)
            if stands:
                await self._news.announce_generation(after.ticket.mark, after.generation, after.absolute_end)
        except SessionStoreUnavailable as error:
            _log.error("generation_not_kept", detail=error.detail)
            self._view.learn_generation(after.ticket.mark, after.generation, after.absolute_end)
            stands = True
        if not stands:
            record = await self._fetch(after.ticket)
            newer = None if record is None else record.session
            return newer if newer is not None and newer.generation > before.generation else before
        self._sealed_now(after)
        return after

    async def newest(self, session: Session) -> Session:
        """The generation that stands; raises ``SessionEnded``, or ``NoSession`` where the store has lost it."""
        await self._ledger.catch_up(at_once=True)
        if not isinstance(session, TicketedSession):
            raise TypeError("a session of another vault")
        record = await self._fetch(session.ticket)
        if record is None or record.session is None:
            reason = self.ended(session)
            raise NoSession if reason is None else SessionEnded(reason)
        return self._learn(record, record.session).session

    async def end_session(self, session: Session, reason: Reason, jar: Jar | None = None) -> list[SetCookie]:
        """Dead in this process before anything is awaited, dead everywhere when the store has it, then shredded."""
        if isinstance(session, TicketedSession):
            self._memory.forget(session.ticket)
        await self._end(session, reason)
        self._background.run(self._quietly(self._records.shred(mark_of_sid(session.sid))))
        return [] if jar is None else self.deletions(jar, ended=session)

    async def shred(self, mark: bytes) -> None:
        """Its secrets go, behind the back of whoever ended it from elsewhere."""
        await self._quietly(self._records.shred(mark))

    async def keep_login(self, transaction: LoginTransaction, jar: Jar) -> list[SetCookie]:
        """As ever; and what this sign-in replaces is remembered, since the callback cannot see its cookie (F23)."""
        ticket = None if transaction.replaces is None else self._tickets.read(jar.get(self.policy.session))
        if ticket is not None:
            await self._replaced.remember(transaction, ticket.sid, ticket.value)
        return await super().keep_login(transaction, jar)

    async def end_replaced(self, transaction: LoginTransaction) -> Session | None:
        """The session that was here when this sign-in began is over, whatever generation it has reached (rule F23)."""
        if transaction.replaces is None:
            return None
        mark = await self._end_sid(transaction.replaces)
        ticket = self._tickets.read(await self._replaced.value(transaction))
        record = None
        with suppress(SessionStoreUnavailable):
            record = None if ticket is None else await self._fetch(ticket)
        self._background.run(self._quietly(self._records.shred(mark)))
        return None if record is None else record.session

    def deletions(self, jar: Jar, *, ended: Session | None = None) -> list[SetCookie]:  # noqa: ARG002 — the store remembers it
        """Take the ticket back, and what an earlier store left in this browser."""
        others = [name for name in (*self._names[1:], self.policy.idle) if name in jar]
        return [self.policy.deletion(name) for name in (self.policy.session, *others)]

    async def aclose(self) -> None:
        """Finish what runs in the background; the ledger is closed by whoever opened it."""
        await self.close_logins()
        await self._background.finish(seconds=_DRAIN)

    def _ticket(self, value: bytes | None) -> Ticket | None:
        """Read anew only where it is not remembered; its key serves for as long as somebody comes with it (B10)."""
        ticket = self._memory.ticket(value) or self._tickets.read(value)
        if ticket is not None:
            self._cipher.ring.opens[ticket.key_id] += 1
        return ticket

    def _is_idle(self, opened: OpenedSession) -> bool:
        """As far as this process knows; another one may have seen an activity."""
        return self._clock.now() - opened.stamped_at > self.lifetimes.idle

    async def _fetch(self, ticket: Ticket) -> Record | None:
        """One question for all who ask for the same session at once."""
        asked = self._fetching.get(ticket.value)
        if asked is None:
            asked = self._fetching[ticket.value] = asyncio.create_task(self._records.find(ticket))
            asked.add_done_callback(lambda done: self._fetched(ticket, done))
        return await asyncio.shield(asked)

    def _fetched(self, ticket: Ticket, asked: asyncio.Task[Record | None]) -> None:
        del self._fetching[ticket.value]
        if not asked.cancelled():
            asked.exception()  # looked at, where whoever asked has gone

    def _learn(self, record: Record, session: TicketedSession) -> OpenedSession:
        active_at, sealed_at = record.active_at, record.sealed_at
        return self._memory.put(session, active_at=active_at, sealed_at=sealed_at, key_id=record.key_id)

    def _sealed_now(self, session: TicketedSession) -> None:
        key, now = self._cipher.ring.sealing_key, self._clock.now()
        self._memory.put(session, active_at=session.active_at, sealed_at=now, key_id=key.id)

    def _judged(self, jar: Jar, opened: OpenedSession) -> Presented:
        session, now = opened.session, self._clock.now()
        last = min(now, opened.stamped_at)
        reason = self._over(opened.marks, session, now, last)
        if reason in BY_TIME:
            self._by_time.found(session, reason)
        refusal: SessionError | None = None if reason is None else SessionEnded(reason)
        return Presented(
            jar,
            session=session if refusal is None else None,
            marks=opened.marks,
            presented=session,
            last_activity=last,
            sealed_at=opened.sealed_at,
            refusal=refusal,
        )

    def _shredded(self, jar: Jar, record: Record) -> Presented:
        """A record without secrets that this ticket opens: over, for the reason that the view knows, or nobody's."""
        ending = self._view.ended(record.marks, record.about.id_token_issued_at)
        refusal = NoSession() if ending is None else SessionEnded(ending.reason)
        return Presented(jar, marks=record.marks, refusal=refusal)

    def _slide(self, jar: Jar, marks: Marks) -> None:
        """At most once in a slide interval, in this process and behind the answer's back."""
        opened = self._memory.at(jar.get(self.policy.session) or b"")
        now = self._clock.now()
        if opened is not None and now - opened.stamped_at > self._slide_every:
            opened.stamped_at = now
            self._background.run(self._quietly(self._records.slide(marks.sid, now)))

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        with suppress(SessionStoreUnavailable):  # told again with the process's other writes, or by the next call
            await work
