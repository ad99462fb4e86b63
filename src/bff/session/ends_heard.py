"""Ends from outside, of an operator's command or of a setting, are counted by the processes that serve: once in all."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable
from bff.session import audit
from bff.session.background import Background
from bff.session.endings import Ending
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_heard
from bff.telemetry.logs import get_logger

_DRAIN = 5.0

_log = get_logger(__name__)


class EndsHeard:
    """Counts what the ledger's view learns from when it listens; what was over before that belongs to who served then.

    ``before`` is an instant of the settings (``session.begun_after``) until which all sessions are over, and
    ``absolute`` how many seconds a session may live.
    """

    def __init__(self, ledger: Ledger, clock: Clock, *, before: float | None, absolute: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._before = before
        self._absolute = absolute
        self._background = Background()

    async def listen(self) -> None:
        """Catch up, listen, and make an event of the settings' instant; an outage keeps nobody from serving."""
        try:
            await self._ledger.catch_up(at_once=True)
        except SessionStoreUnavailable as error:  # then this process is not ready yet, and says so
            _log.warning("ledger_not_read", detail=error.detail)
        self._ledger.view.on_news = self._hear
        if self._before is not None:
            await self._begin_after(self._before)

    async def aclose(self) -> None:
        """Finish counting."""
        self._ledger.view.on_news = None
        await self._background.finish(seconds=_DRAIN)

    async def _begin_after(self, before: float) -> None:
        """A fact like an operator's, written and told by the first who starts with it while it can matter.

        Here it holds for as long as it is set, also for a session of longer ``absolute`` days.
        """
        ending = Ending.of_everybody(before=before, at=self._clock.now(), until=before + self._absolute)
        if ending.until > self._clock.now() and not self._ledger.view.knows(ending):
            audit.fact_written(ending, "everybody")
            try:
                await self._ledger.end(ending)
            except SessionStoreUnavailable as error:
                _log.warning("end_not_written", detail=error.detail)
        self._ledger.view.learn(replace(ending, until=inf))

    def _hear(self, ending: Ending) -> None:
        if ending.reason in audit.FROM_OUTSIDE:
            self._background.run(self._count(ending))

    async def _count(self, ending: Ending) -> None:
        """The first of all processes counts; where none can say who is, twice is better than never."""
        try:
            first = await self._ledger.spend_login(mark_of_heard(ending.mark, ending.before), ending.until)
        except SessionStoreUnavailable:
            first = True
        if first:
            audit.heard(ending)
