"""The secrets of sessions that ended without their cookie are deleted at once, on whichever replica (rule F9).

The facts say who is over (rule F11); this clears away behind them, and may fail without bringing anybody back.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bff.errors import SessionStoreUnavailable
from bff.session.redis_index import RedisIndex, places_of
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_records import RedisRecords
from bff.telemetry.logs import get_logger

_PLACES, _SESSIONS = 8, 4  # looked at at a time: 32 questions, so that none waits long for its turn
_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0)

_log = get_logger(__name__)


class RedisShredding:
    """Looks where a fact's sessions are noted, and shreds those of which this process knows that they are over."""

    def __init__(self, ledger: RedisLedger, records: RedisRecords, index: RedisIndex) -> None:
        self._ledger = ledger
        self._records = records
        self._index = index

    async def covered(self, mark: bytes) -> None:
        """Shred what a fact about this mark has ended; raises ``SessionStoreUnavailable``, and goes on where it was."""
        places = places_of(mark)
        for start in range(0, len(places), _PLACES):
            await asyncio.gather(*(self._shred_at(place) for place in places[start : start + _PLACES]))

    async def covered_at_last(self, mark: bytes) -> None:
        """The same, tried for some minutes while the store is away.

        Not with the process's own writes: those are told before anybody is served again, and nobody waits for this.
        """
        for pause in _PAUSES:
            try:
                await self.covered(mark)
            except SessionStoreUnavailable:
                await asyncio.sleep(pause)
            else:
                return
        _log.warning("sessions_not_shredded", cure="they are at their absolute end, or when their cookies come again")

    async def _shred_at(self, place: bytes) -> None:
        noted = await self._index.under(place)
        for start in range(0, len(noted), _SESSIONS):
            some = noted[start : start + _SESSIONS]
            over = await asyncio.gather(*(self._shredded(sid) for sid in some))
            await self._index.drop(place, [sid for sid, is_over in zip(some, over, strict=True) if is_over])

    async def _shredded(self, sid: bytes) -> bool:
        """Whether this one is over, and so is gone, with its line on its person's list.

        One without a record may be about to be kept, and one that does not open may live: both are left alone.
        """
        told = await self._records.told(sid)
        if told is None or self._ledger.view.ended(told.marks, told.about.id_token_issued_at) is None:
            return False
        await self._records.shred(sid)
        await self._ledger.unlist_session(sid, told.marks.person)
        return True
