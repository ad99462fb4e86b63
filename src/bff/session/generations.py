"""The way from each generation of a session to the newest one, for whoever still holds an older cookie (rule F4)."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable, SessionSuperseded
from bff.session.background import Background
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_sid
from bff.session.model import Session
from bff.session.opened import OpenedSession
from bff.session.session_cookies import SessionCookies
from bff.session.successor import Successor
from bff.telemetry.logs import get_logger

_ACKNOWLEDGED = 60.0  # seconds that an older generation is still followed after a newer one was presented
_CLOSING = 5.0

_log = get_logger(__name__)


class Generations:
    """Successors in the ledger, values in ``sessions``. Each leads to a newer generation, so no way goes round."""

    def __init__(self, ledger: Ledger, sessions: SessionCookies, clock: Clock) -> None:
        self._ledger = ledger
        self._view = ledger.view
        self._sessions = sessions
        self._clock = clock
        self._background = Background()

    def newest_number(self, opened: OpenedSession) -> int:
        """The newest generation that is known to this process."""
        return self._view.newest_generation(opened.marks.sid)

    async def follow(self, opened: OpenedSession) -> OpenedSession | None:
        """From an older generation to the newest; None once that way has lapsed.

        Before it is called lapsed the ledger is asked at once, which first writes what this process owes it: a step
        that is missing because it could not be written is an outage, and no evidence of a copy (rules F4, F5, F10).
        """
        found = await self._followed(opened)
        if found is None:
            await self._ledger.catch_up(at_once=True)
            found = await self._followed(opened)
        if found is not None and found is not opened:
            self._sessions.newest_of(found)
        return found

    async def newest(self, session: Session) -> Session:
        """The newest generation, asked of the ledger; raises ``SessionSuperseded`` where the way there has lapsed."""
        await self._ledger.catch_up(at_once=True)
        while session.generation < self._view.newest_generation(mark_of_sid(session.sid)):
            found = await self._next(session)
            if found is None:
                raise SessionSuperseded
            self._sessions.newest_of(found)
            session = found.session
        return session

    async def keep(self, before: Session, after: Session, presented: Session | None) -> Session:
        """Make ``after`` what follows ``before``; the generation that was presented then leads straight to it."""
        opened = self._sessions.seal(after)
        if not await self._keep_successor(before, opened):
            return await self.newest(before)
        self._sessions.newest_of(opened)
        if presented is not None and presented.generation < before.generation:
            with suppress(SessionStoreUnavailable):  # the long way is still there
                await self._ledger.shorten_path(opened.marks.sid, _successor(presented, opened))
        return after

    def acknowledge(self, opened: OpenedSession) -> None:
        """The browser holds this generation, so that the way from older ones may lapse; nobody waits for that.

        That it exists is known from now on, whether or not whoever made it could tell the ledger.
        """
        if not opened.acknowledged:
            opened.acknowledged = True
            self._view.learn_generation(opened.marks.sid, opened.session.generation, opened.session.absolute_end)
            until = self._clock.now() + _ACKNOWLEDGED
            work = self._ledger.acknowledge(opened.marks.sid, opened.session.generation, until)
            self._background.run(_quietly(work))

    async def aclose(self) -> None:
        """Finish what runs in the background."""
        await self._background.finish(seconds=_CLOSING)

    async def _followed(self, opened: OpenedSession) -> OpenedSession | None:
        current: OpenedSession | None = opened
        while current is not None and current.session.generation < self.newest_number(opened):
            current = await self._next(current.session)
        return current

    async def _next(self, session: Session) -> OpenedSession | None:
        successor = await self._ledger.successor(mark_of_sid(session.sid), session.generation)
        value = None if successor is None else successor.value_for(session)
        found = None if value is None else self._sessions.open(value)
        if found is None or found.session.sid != session.sid or found.session.generation <= session.generation:
            return None
        return found

    async def _keep_successor(self, before: Session, opened: OpenedSession) -> bool:
        """Whether this generation is the one that stands.

        The old refresh token is spent by now. Where the ledger fails it is told as soon as it can be, the flight stays
        until then, so that nobody else sends that token, and the answer under way carries the new one all the same.
        """
        mark, until = opened.marks.sid, opened.session.absolute_end
        try:
            return await self._ledger.keep_successor(mark, _successor(before, opened), until)
        except SessionStoreUnavailable as error:
            _log.error("successor_not_kept", detail=error.detail)
            self._view.learn_generation(mark, opened.session.generation, until)
            return True


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    with suppress(SessionStoreUnavailable):  # an entry that lives longer than it must harms nobody
        await work


def _successor(before: Session, newest: OpenedSession) -> Successor:
    return Successor.of(before, newest=newest.session.generation, value=newest.value)
