"""The audit log: each end of a session is one event, counted by its reason and told to whoever must answer for it.

A line names a session by the tag that its own page shows, a person by a mark, and never holds a token, a name or a sid.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

from bff.session.endings import Ending, Reason
from bff.session.marks import mark_of_person, shown, tag
from bff.session.model import Session
from bff.telemetry import metrics
from bff.telemetry.logs import get_logger

Covers = Literal["authority_session", "subject", "person", "everybody"]
PAGE_TAG: Final = "page"

WHO: Final[dict[Reason, str]] = {
    Reason.SIGNED_OUT: "person",
    Reason.REPLACED: "person",
    Reason.ENDED_BY_OWNER: "person",
    Reason.REFRESH_REFUSED: "authorization_server",
    Reason.SESSION_EXPIRY: "authorization_server",
    Reason.BACKCHANNEL: "authorization_server",
    Reason.FRONTCHANNEL: "authorization_server",
    Reason.IDLE: "time",
    Reason.ABSOLUTE: "time",
    Reason.STALE_GENERATION: "bff",
    Reason.REFRESH_LOST: "bff",
    Reason.TOO_LARGE: "bff",
    Reason.ADMIN: "operator",
    Reason.EPOCH: "operator",
}
"""Who ends a session for this reason."""

FROM_OUTSIDE: Final = frozenset({Reason.ADMIN, Reason.EPOCH})
"""What is written by a command, or by whoever starts: counted by the processes that serve, when they hear of it."""

_REMEMBERED = 4096

_log = get_logger("bff.audit")


def session_began(session: Session) -> None:
    """Somebody signed in."""
    metrics.sessions_started.inc()
    _log.info("session_began", session=tag(session.sid, PAGE_TAG), person=_person(session))


def session_ended(session: Session, reason: Reason) -> None:
    """One session of ours is over."""
    one_ended(tag(session.sid, PAGE_TAG), reason, person=_person(session))


def one_ended(page_tag: str, reason: Reason, *, person: str = "-") -> None:
    """The same, where no more of the session is at hand than its tag."""
    _count(reason)
    _log.info("session_ended", session=page_tag, person=person, reason=reason.value, by=WHO[reason])


def fact_written(ending: Ending, covers: Covers) -> None:
    """What may cover no session of ours, one, or many, is over; each of them finds out when it is next presented."""
    _count(ending.reason)
    reason, mark = ending.reason, shown(ending.mark)
    _log.info("sessions_ended", covers=covers, mark=mark, reason=reason.value, by=WHO[reason], before=ending.before)


def heard(ending: Ending) -> None:
    """An end from outside has reached the processes that serve; its line was written where it came from."""
    metrics.sessions_ended.labels(reason=ending.reason.value).inc()


class EndsByTime:
    """Ends that nobody announces, found out when the cookie comes again: each told once by this process."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, None] = OrderedDict()

    def found(self, session: Session, reason: Reason) -> bool:
        """Tell it, unless it was told; answers whether it is news."""
        if session.sid in self._told:
            return False
        self._told[session.sid] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        session_ended(session, reason)
        return True


def _count(reason: Reason) -> None:
    if reason not in FROM_OUTSIDE:
        metrics.sessions_ended.labels(reason=reason.value).inc()


def _person(session: Session) -> str:
    return shown(mark_of_person(session.issuer, session.subject))
