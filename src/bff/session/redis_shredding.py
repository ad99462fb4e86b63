"""The secrets of sessions that ended without their cookie are deleted at once, on whichever replica (rule F9).

The facts say who is over (rule F11); this clears away behind them, and may fail without bringing anybody back.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bff.session.redis_index import RedisIndex, places_of
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_records import RedisRecords

_AT_A_TIME: Final = 32
_FOR_EVER: Final = float("inf")


class RedisShredding:
    """Looks where a fact's sessions are noted, and shreds those of which this process knows that they are over."""

    def __init__(self, ledger: RedisLedger, records: RedisRecords, index: RedisIndex) -> None:
        self._ledger = ledger
        self._records = records
        self._index = index

    async def covered(self, mark: bytes) -> None:
        """Shred what a fact about this mark has ended; told again where the store was away (rule F12)."""
        with self._ledger.own_writes.noted(lambda: self._shred_all(mark), until=_FOR_EVER):
            await self._shred_all(mark)

    async def _shred_all(self, mark: bytes) -> None:
        for place in places_of(mark):
            noted = await self._index.under(place)
            for start in range(0, len(noted), _AT_A_TIME):
                some = noted[start : start + _AT_A_TIME]
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
