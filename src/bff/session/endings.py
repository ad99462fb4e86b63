"""Every way a session ends is one kind of event; the local view of them is asked on every call (rules F2, F10, F11)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bff.session.marks import (
    EVERYBODY,
    Marks,
    mark_of_authority_sid,
    mark_of_person,
    mark_of_sid,
    mark_of_subject,
    mark_without_authority_sid,
)
from bff.session.model import Session


class Reason(StrEnum):
    """Why a session is over. The words travel in problems and metrics."""

    SIGNED_OUT = "signed_out"
    REPLACED = "replaced"
    REFRESH_REFUSED = "refresh_refused"
    IDLE = "idle"
    ABSOLUTE = "absolute"
    SESSION_EXPIRY = "session_expiry"
    BACKCHANNEL = "backchannel"
    FRONTCHANNEL = "frontchannel"
    STALE_GENERATION = "stale_generation"
    REFRESH_LOST = "refresh_lost"
    TOO_LARGE = "too_large"
    ENDED_BY_OWNER = "ended_by_owner"
    ADMIN = "admin"
    EPOCH = "epoch"


BY_TIME: Final = frozenset({Reason.IDLE, Reason.ABSOLUTE, Reason.SESSION_EXPIRY})
"""The ends that nobody announces: whoever presents the session finds them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A fact, not a deletion: whatever has this mark is over, also if it is kept only later (rule F11).

    ``at`` and ``until`` are instants; after ``until`` no session with this mark can be alive any more. With ``before``,
    only older sessions are over: by the instant of their ID token where the authorization server says so, by that of
    their beginning here where an operator does.
    """

    mark: bytes
    reason: Reason
    at: float
    until: float
    before: float | None = None

    @classmethod
    def of_session(cls, session: Session, reason: Reason, *, at: float) -> Ending:
        """The end of one session of ours."""
        return cls(mark=mark_of_sid(session.sid), reason=reason, at=at, until=session.absolute_end)

    @classmethod
    def of_authority_sid(cls, issuer: str, authority_sid: str, reason: Reason, *, at: float, until: float) -> Ending:
        """The end of what began in one session of the authorization server (OIDC Back-Channel Logout 2.4, ``sid``)."""
        return cls(mark=mark_of_authority_sid(issuer, authority_sid), reason=reason, at=at, until=until)

    @classmethod
    def of_subject(cls, issuer: str, subject: str, reason: Reason, *, before: float, at: float, until: float) -> Ending:
        """The end of all that one person began until ``before`` (OIDC Back-Channel Logout 2.4, ``sub`` alone)."""
        return cls(mark=mark_of_subject(issuer, subject), reason=reason, at=at, until=until, before=before)

    @classmethod
    def of_unnamed(cls, issuer: str, subject: str, reason: Reason, *, before: float, at: float, until: float) -> Ending:
        """The same, but only of sessions whose ID token named no session of the authorization server."""
        mark = mark_without_authority_sid(issuer, subject)
        return cls(mark=mark, reason=reason, at=at, until=until, before=before)

    @classmethod
    def of_person(cls, issuer: str, subject: str, *, at: float, until: float) -> Ending:
        """An operator ends all that one person has begun here by now."""
        return cls(mark=mark_of_person(issuer, subject), reason=Reason.ADMIN, at=at, until=until, before=at)

    @classmethod
    def of_everybody(cls, *, before: float, at: float, until: float) -> Ending:
        """An operator ends all that anybody began here until ``before``."""
        return cls(mark=EVERYBODY, reason=Reason.EPOCH, at=at, until=until, before=before)


class EndingsView:
    """All live endings and the newest generation of each session, in memory: a few look-ups answer a call."""

    def __init__(self) -> None:
        self._ended: dict[bytes, Ending] = {}
        self._ended_before: dict[bytes, Ending] = {}
        self._generations: dict[bytes, tuple[int, float]] = {}
        self.on_news: Callable[[Ending], None] | None = None
        """Told of each ending that says something new."""
        self._waiting: defaultdict[bytes, set[asyncio.Event]] = defaultdict(set)

    def learn(self, ending: Ending) -> None:
        """Take an ending in; the first reason stands, the latest ``before`` wins."""
        if self.on_news is not None and not self.knows(ending):
            self.on_news(ending)
        if ending.before is None:
            self._ended.setdefault(ending.mark, ending)
            self._wake(ending.mark)
            return
        known = self._ended_before.get(ending.mark)
        if known is None or known.before is None or (known.before, known.until) < (ending.before, ending.until):
            self._ended_before[ending.mark] = ending

    def learn_generation(self, sid: bytes, generation: int, until: float) -> None:
        """Take in that a session has this generation; an older one never replaces a newer one."""
        if generation > self.newest_generation(sid):
            self._generations[sid] = (generation, until)
            self._wake(sid)

    async def news_of(self, sid: bytes, *, seconds: float) -> None:
        """Return when a session's newer generation or its own end is learned, or after so many seconds."""
        news, waiting = asyncio.Event(), self._waiting[sid]
        waiting.add(news)
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            pass
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(sid, None)

    def ended(self, marks: Marks, id_token_issued_at: float) -> Ending | None:
        """The ending that covers a session, or None while it is alive."""
        found = self._ended.get(marks.sid) or self._ended.get(marks.authority_sid)
        return self._too_old(marks, id_token_issued_at) if found is None and self._ended_before else found

    def knows(self, ending: Ending) -> bool:
        """Whether this ending, or one that says as much, is known already."""
        if ending.before is None:
            return self.has_ended(ending.mark)
        known = self._ended_before.get(ending.mark)
        return known is not None and known.before is not None and known.before >= ending.before

    def has_ended(self, mark: bytes) -> bool:
        """Whether one sid, ours or the authorization server's, is known to be over."""
        return mark in self._ended

    def newest_generation(self, sid: bytes) -> int:
        """The newest generation that is known, 0 where none is."""
        known = self._generations.get(sid)
        return 0 if known is None else known[0]

    def trim(self, now: float) -> None:
        """Forget what no living session can need."""
        self._ended = {mark: ending for mark, ending in self._ended.items() if ending.until > now}
        self._ended_before = {mark: ending for mark, ending in self._ended_before.items() if ending.until > now}
        self._generations = {sid: known for sid, known in self._generations.items() if known[1] > now}

    def _wake(self, sid: bytes) -> None:
        for news in self._waiting.get(sid, ()):
            news.set()

    def _too_old(self, marks: Marks, id_token_issued_at: float) -> Ending | None:
        """Two clocks never mix: what the authorization server says is held against its ID token's instant."""
        for mark, instant in (
            (marks.subject, id_token_issued_at),
            (marks.authority_sid, id_token_issued_at),
            (marks.person, marks.began_at),
            (EVERYBODY, marks.began_at),
        ):
            found = self._ended_before.get(mark)
            if found is not None and found.before is not None and instant <= found.before:
                return found
        return None

    def __len__(self) -> int:
        return len(self._ended) + len(self._ended_before) + len(self._generations)
