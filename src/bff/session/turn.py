"""Whose turn it is to refresh a generation: one among all processes, by a lease that its owner renews (rule F3)."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from types import TracebackType
from typing import Self

from bff.errors import SessionStoreUnavailable
from bff.session.flights import RENEW_SECONDS
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_sid
from bff.session.model import Session


class TurnLost(Exception):
    """The lease lapsed and another process took the flight over: nothing may be sent any more, and nothing ended."""


class Turn:
    """One attempt to be the owner of one generation's flight; as a context manager it holds what it has taken."""

    def __init__(self, ledger: Ledger, session: Session) -> None:
        self._ledger = ledger
        self._key = (mark_of_sid(session.sid), session.generation)
        self._until = session.absolute_end
        self._owner = secrets.token_bytes(16)
        self._renewing: asyncio.Task[None] | None = None

    async def take(self) -> bool:
        """Whether it is ours now; raises ``SessionStoreUnavailable``."""
        return await self._ledger.enter_flight(*self._key, self._owner, self._until)

    async def sending(self) -> None:
        """To be called just before a refresh token is sent; raises ``TurnLost``, and then it must not be."""
        if not await self._ledger.flight_sent(*self._key, self._owner):
            raise TurnLost

    async def keeping(self) -> None:
        """To be called before its outcome ends a session; raises ``TurnLost``, and then it must not (rule F8)."""
        if not await self._ledger.renew_flight(*self._key, self._owner):
            raise TurnLost

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        with suppress(SessionStoreUnavailable):  # then it lapses by itself, and leaves a doubt where it was sent
            await self._ledger.leave_flight(*self._key, self._owner)

    async def _renew(self) -> None:
        """Until it is lost; a ledger that cannot be written now may be in half a second."""
        ours = True
        while ours:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(SessionStoreUnavailable):
                ours = await self._ledger.renew_flight(*self._key, self._owner)
