"""Whether a session still lives: what the view and the clock say, the same wherever sessions lie (rules F2, F11)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from bff.clock import Clock
from bff.errors import SessionEnded
from bff.session import audit
from bff.session.audit import EndsByTime
from bff.session.cookies import Jar, SetCookie
from bff.session.ended_grants import EndedGrants
from bff.session.endings import BY_TIME, Ending, Reason
from bff.session.ledger import Ledger
from bff.session.marks import Marks, mark_of_sid, tag
from bff.session.model import Lifetimes, Session
from bff.session.replaced import Replaced
from bff.session.vault import LATE_SECONDS, Presented

_SLIDE_EVERY = 60.0


class SessionLife(ABC):
    """The half of a vault that judges a session's life and writes its end; what it keeps of it is each vault's own.

    Whoever takes the cookies of an ended session back does so here, and hands over what that session leaves behind.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, lifetimes: Lifetimes | None, grants: EndedGrants | None = None
    ) -> None:
        self.lifetimes = lifetimes or Lifetimes()
        self.grants = grants or EndedGrants()
        # Under an idle time of a minute, a stamp a minute would let a session end that is used all the while.
        self._slide_every = min(_SLIDE_EVERY, self.lifetimes.idle / 4)
        self._ledger = ledger
        self._clock = clock
        self._view = ledger.view
        self._by_time = EndsByTime()
        self._replaced = Replaced(ledger, clock)

    def ended(self, session: Session) -> Reason | None:
        """Why this session is over, or None; time is not asked."""
        ending = self._view.ended(Marks.of(session), session.id_token_issued_at)
        return None if ending is None else ending.reason

    def idle_end(self, presented: Presented) -> float:
        """The last activity that is known and the idle lifetime, never behind the absolute end."""
        session = presented.require()
        return min(presented.last_activity + self.lifetimes.idle, session.absolute_end)

    @abstractmethod
    def deletions(self, jar: Jar, *, ended: Session | None = None) -> list[SetCookie]:
        """Take every session cookie back; a session named here is remembered in this browser as ended (rule F2)."""

    @abstractmethod
    async def _last(self, session: Session) -> Session:
        """The newest generation that can be read of an ended session, or this one; it raises nothing."""

    def clear(self, presented: Presented) -> list[SetCookie]:
        """Take back whatever session cookies this jar holds, of an ended session or of none that opens."""
        if isinstance(presented.refusal, SessionEnded):
            self.grants.came_again(presented.presented, presented.refusal.reason, self._last)
        return self.deletions(presented.jar)

    def _due_to_ended(self, presented: Presented, ending: Ending) -> list[SetCookie]:
        """It was found alive, and has ended before its response: deletions, unless the jar may be another's by now."""
        self.grants.came_again(presented.session, ending.reason, self._last)
        return [] if self._comes_late(ending) else self.deletions(presented.jar)

    def _due_to_refused(self, presented: Presented) -> list[SetCookie]:
        """Only an ended session's cookies are taken back; what does not open may be another replica's to open (F21)."""
        refusal = presented.refusal
        if not isinstance(refusal, SessionEnded) or refusal.reason == Reason.REPLACED or not presented.evident:
            return []
        return self.clear(presented)

    async def _refuse_ended(self, session: Session) -> None:
        """Raise ``SessionEnded`` where its end became known while its sign-in was under way (rule F11)."""
        await self._ledger.catch_up(at_once=True)
        reason = self.ended(session)
        if reason is not None:
            raise SessionEnded(reason)

    def _over(self, marks: Marks, session: Session, now: float, last_activity: float) -> Reason | None:
        ending = self._view.ended(marks, session.id_token_issued_at)
        if ending is not None:
            return ending.reason
        if now >= session.absolute_end:
            ceiling = session.claims.get("session_expiry")
            return Reason.SESSION_EXPIRY if session.absolute_end == ceiling else Reason.ABSOLUTE
        return Reason.IDLE if now - last_activity > self.lifetimes.idle else None

    def _note_its_time(self, presented: Presented, session: Session, *, bodiless: bool) -> Reason | None:
        """Tell an end by time once; answers it where that was now.

        An upload may be late by as long as it is: of idleness it is no evidence (rule F5).
        """
        refusal = presented.refusal
        if not isinstance(refusal, SessionEnded) or refusal.reason not in BY_TIME:
            return None
        reason = Reason(refusal.reason)
        presented.evident = bodiless or reason is not Reason.IDLE
        return reason if presented.evident and self._by_time.found(session, reason) else None

    def _comes_late(self, ending: Ending) -> bool:
        """Whether a response starts so long after this end that the jar may be somebody else's by now (rule F2)."""
        return ending.reason is Reason.REPLACED or self._clock.now() - ending.at > LATE_SECONDS

    async def _end(self, session: Session, reason: Reason) -> None:
        """Dead in this process before anything is awaited, dead everywhere when the ledger has it; told once."""
        if self.ended(session) is None:
            audit.session_ended(session, reason)
        await self._ledger.end(Ending.of_session(session, reason, at=self._clock.now()))

    async def _end_sid(self, sid: str) -> bytes:
        """A sign-in replaces what has this sid, in whatever generation; answers its mark (rule F23)."""
        now, mark = self._clock.now(), mark_of_sid(sid)
        if not self._view.has_ended(mark):
            audit.one_ended(tag(sid, audit.PAGE_TAG), Reason.REPLACED)
        await self._ledger.end(Ending(mark=mark, reason=Reason.REPLACED, at=now, until=now + self.lifetimes.absolute))
        return mark
