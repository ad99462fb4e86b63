"""Somebody's own sessions: on what kind of device, since when, last seen when; and the end of any of them (rule F9).

What is kept of a session lies sealed in the ledger, under the key ring and bound to its mark. It is a list, not a
store: no session comes out of it, and whether one on it lives is asked of the view.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import msgspec

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable, UnknownSession
from bff.session import audit
from bff.session.background import Background
from bff.session.endings import Ending, Reason
from bff.session.ledger import Ledger
from bff.session.marks import Marks, shown, tag
from bff.session.model import Session
from bff.session.signed import same
from bff.session.vault import Presented, SessionVault
from bff.telemetry.logs import get_logger

SEEN_EVERY: Final = 300.0
"""Seconds between two notes of one session's being used, at the least."""
_REMEMBERED: Final = 65_536
_DRAIN: Final = 5.0
_PURPOSE: Final = "listed"

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSession:
    """One line of the list; instants are in seconds. ``device`` is as coarse as ``devices.py`` makes it."""

    mark: bytes
    tag: str
    device: str
    began_at: float
    seen_at: float
    absolute_end: float


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    tag: str
    device: str
    began_at: float
    seen_at: float
    absolute_end: float
    id_token_issued_at: float
    authority_sid: bytes
    subject: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Kept)


class OwnSessions:
    """Keeps the list where the ledger is durable. It is written at sign-ins, renewals and changes, never for a reading.

    The vault's idle time bounds how long a session stays on the list that nobody was seen to use.
    """

    def __init__(self, ledger: Ledger, vault: SessionVault, clock: Clock) -> None:
        self._ledger = ledger
        self._vault = vault
        self._cipher = vault.cipher
        self._clock = clock
        self._idle = vault.lifetimes.idle
        self._noted: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._background = Background()

    async def begin(self, session: Session, device: str) -> None:
        """Put a new session on its person's list; a list that cannot be written keeps nobody out."""
        marks = Marks.of(session)
        kept = _Kept(
            tag=tag(session.sid, audit.PAGE_TAG),
            device=device,
            began_at=session.began_at,
            seen_at=self._clock.now(),
            absolute_end=session.absolute_end,
            id_token_issued_at=session.id_token_issued_at,
            authority_sid=marks.authority_sid,
            subject=marks.subject,
        )
        self._remember(marks.sid, session.generation)
        try:
            await self._put(marks, session, kept)
        except SessionStoreUnavailable as error:
            _log.warning("session_not_listed", detail=error.detail)

    def seen(self, presented: Presented, *, reads: bool) -> None:
        """Note that a session is used: when it was renewed, and every five minutes of changes; nobody waits for it."""
        session, marks = presented.session, presented.marks
        if session is None or marks is None:
            return
        known = self._noted.get(marks.sid)
        if known is None:
            self._remember(marks.sid, session.generation, long_ago=True)
            known = self._noted[marks.sid]
        generation, at = known
        renewed = session.generation > generation
        if renewed or (not reads and self._clock.monotonic() - at >= SEEN_EVERY):
            self._remember(marks.sid, session.generation)
            self._background.run(self._note(marks, session))

    async def of(self, person: bytes) -> list[OwnSession]:
        """The sessions of one person that may still live, the newest first."""
        await self._ledger.catch_up(at_once=True)
        found = [(mark, self._opened(mark, sealed)) for mark, sealed in await self._ledger.listed(person)]
        alive = [
            _line(mark, kept) for mark, kept in found if kept is not None and not self._is_over(mark, person, kept)
        ]
        return sorted(alive, key=lambda one: -one.began_at)

    async def end(self, person: bytes, page_tag: str, reason: Reason) -> None:
        """End one of a person's sessions by its tag; raises ``UnknownSession`` where none of theirs has it."""
        one = next((one for one in await self.of(person) if same(one.tag, page_tag)), None)
        if one is None:
            raise UnknownSession
        now = self._clock.now()
        await self._ledger.end(Ending(mark=one.mark, reason=reason, at=now, until=one.absolute_end))
        audit.one_ended(one.tag, reason, person=shown(person))
        await self._vault.shred(one.mark)
        await self._ledger.unlist_session(one.mark, person)

    async def sweep(self, person: bytes) -> None:
        """Take off a person's list what is over.

        A line that does not open is left alone: nobody can say that its session is over.
        """
        for mark, sealed in await self._ledger.listed(person):
            kept = self._opened(mark, sealed)
            if kept is not None and self._is_over(mark, person, kept):
                await self._ledger.unlist_session(mark, person)

    def sweep_later(self, person: bytes) -> None:
        """The same, and nobody waits for it."""
        self._background.run(self._swept(person))

    def forget_later(self, session: Session) -> None:
        """A session that ended here leaves the list, and its device with it."""
        marks = Marks.of(session)
        self._background.run(self._unlist(marks))

    async def aclose(self) -> None:
        """Finish the notes under way."""
        await self._background.finish(seconds=_DRAIN)

    async def _swept(self, person: bytes) -> None:
        try:
            await self.sweep(person)
        except SessionStoreUnavailable as error:  # what is over stays over
            _log.info("sessions_not_swept", detail=error.detail)

    async def _note(self, marks: Marks, session: Session) -> None:
        """The same line with a later instant; one that is not there any more is not put back."""
        try:
            for mark, sealed in await self._ledger.listed(marks.person):
                kept = self._opened(mark, sealed) if mark == marks.sid else None
                if kept is not None:
                    await self._put(marks, session, msgspec.structs.replace(kept, seen_at=self._clock.now()))
        except SessionStoreUnavailable as error:
            _log.info("session_not_noted", detail=error.detail)

    async def _unlist(self, marks: Marks) -> None:
        try:
            await self._ledger.unlist_session(marks.sid, marks.person)
        except SessionStoreUnavailable as error:  # it is over all the same, and lapses from the list by itself
            _log.info("session_not_unlisted", detail=error.detail)

    async def _put(self, marks: Marks, session: Session, kept: _Kept) -> None:
        """Until its absolute end, or its idle end if it was last used when its present access token ended.

        A use after that token's end would have renewed it, and would have been noted.
        """
        until = min(kept.absolute_end, max(kept.seen_at, session.tokens.expires_at) + self._idle)
        sealed = self._cipher.sealer(_PURPOSE, shown(marks.sid)).seal(_encode(kept))
        await self._ledger.list_session(marks.sid, marks.person, sealed, until)

    def _opened(self, mark: bytes, sealed: bytes) -> _Kept | None:
        opened = self._cipher.sealer(_PURPOSE, shown(mark)).open(sealed)
        try:
            return None if opened is None else _decoder.decode(opened.payload)
        except msgspec.MsgspecError:
            return None

    def _is_over(self, mark: bytes, person: bytes, kept: _Kept) -> bool:
        marks = Marks(mark, kept.authority_sid, kept.subject, person, kept.began_at)
        return self._ledger.view.ended(marks, kept.id_token_issued_at) is not None

    def _remember(self, sid: bytes, generation: int, *, long_ago: bool = False) -> None:
        self._noted[sid] = (generation, self._clock.monotonic() - (SEEN_EVERY if long_ago else 0.0))
        self._noted.move_to_end(sid)
        if len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)


def _line(mark: bytes, kept: _Kept) -> OwnSession:
    return OwnSession(
        mark=mark,
        tag=kept.tag,
        device=kept.device,
        began_at=kept.began_at,
        seen_at=kept.seen_at,
        absolute_end=kept.absolute_end,
    )
