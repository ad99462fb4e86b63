"""Every way a session ends is one kind of event; the local view of them is asked on every call (rules F2, F10, F11)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bff.session.marks import Marks, mark_of_authority_sid, mark_of_sid, mark_of_subject
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
    ADMIN = "admin"
    EPOCH = "epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A fact, not a deletion: whatever has this mark is over, also if it is kept only later (rule F11).

    ``at`` and ``until`` are instants; after ``until`` no session with this mark can be alive any more. With ``before``,
    only sessions whose ID token was issued at or before that instant are over.
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


class EndingsView:
    """All live endings and the newest generation of each session, in memory: three look-ups answer a call."""

    def __init__(self) -> None:
        self._ended: dict[bytes, Ending] = {}
        self._ended_before: dict[bytes, Ending] = {}
        self._generations: dict[bytes, tuple[int, float]] = {}

    def learn(self, ending: Ending) -> None:
        """Take an ending in; the first reason stands, the latest ``before`` wins."""
        if ending.before is None:
            self._ended.setdefault(ending.mark, ending)
            return
        known = self._ended_before.get(ending.mark)
        if known is None or known.before is None or known.before < ending.before:
            self._ended_before[ending.mark] = ending

    def learn_generation(self, sid: bytes, generation: int, until: float) -> None:
        """Take in that a session has this generation; an older one never replaces a newer one."""
        if generation > self.newest_generation(sid):
            self._generations[sid] = (generation, until)

    def ended(self, marks: Marks, id_token_issued_at: float) -> Ending | None:
        """The ending that covers a session, or None while it is alive."""
        found = self._ended.get(marks.sid)
        if found is None and marks.authority_sid is not None:
            found = self._ended.get(marks.authority_sid)
        if found is None and self._ended_before:
            before = self._ended_before.get(marks.subject)
            if before is not None and before.before is not None and id_token_issued_at <= before.before:
                found = before
        return found

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

    def __len__(self) -> int:
        return len(self._ended) + len(self._ended_before) + len(self._generations)
