"""Whoever keeps an answer open for a session hears of its end within a second, in whichever worker it ended (F28)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable, TooManyRequests
from bff.session.endings import Reason
from bff.session.ledger import Ledger
from bff.session.marks import Marks

LOOK_SECONDS = 0.25
MOST_OF_ONE_SESSION = 64  # browsers open one each; what opens more is no browser


class EndingWatch:
    """One task a process looks at the ledger four times a second, for as long as anybody waits."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._waiting: dict[asyncio.Future[Reason | None], tuple[Marks, float, float]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def admit(self, marks: Marks) -> None:
        """Raise TooManyRequests where as many wait for this session's end as ever may."""
        if sum(waiting.sid == marks.sid for waiting, _, _ in self._waiting.values()) >= MOST_OF_ONE_SESSION:
            raise TooManyRequests("too many streams of one session")

    async def end_of(self, marks: Marks, *, id_token_issued_at: float, until: float) -> Reason | None:
        """Why the session ended; None at the instant ``until``, at a shutdown, and where the ledger cannot be read.

        None says nothing about the session: whoever waited asks again, presenting its cookie (F10).
        """
        if self._closed:
            return None
        answer: asyncio.Future[Reason | None] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = (marks, id_token_issued_at, until)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            return await answer
        finally:
            del self._waiting[answer]

    async def aclose(self) -> None:
        """Let everybody go."""
        self._closed = True
        for answer in self._waiting:
            if not answer.done():
                answer.set_result(None)
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        while self._waiting:
            readable = True
            try:
                await self._ledger.catch_up(at_once=True)
            except SessionStoreUnavailable:
                readable = False
            now = self._clock.now()
            for answer, (marks, issued_at, until) in self._waiting.items():
                ending = self._ledger.view.ended(marks, issued_at)
                if not answer.done() and (ending is not None or now >= until or not readable):
                    answer.set_result(None if ending is None else ending.reason)
            await asyncio.sleep(LOOK_SECONDS)
