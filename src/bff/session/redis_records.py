"""A session as it lies in Redis or Valkey: ``about``, which our keys open, and ``secrets``, which they do not alone.

A dump of the store opens nothing; with our keys it tells when sessions began and end, with the cookie too it is one
session. Whoever can write the store can put an older state back: that is out of scope, and swapping two records is not
(rule F9).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from bff.clock import Clock
from bff.session.cipher import Cipher, Sealer, SharedSealer
from bff.session.marks import Marks
from bff.session.model import Session
from bff.session.packing import pack, unpack
from bff.session.redis_keys import instant, key_of, text, ttl
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_scripts import KEEP, KEEP_AGAIN, REPLACE, SLIDE
from bff.session.signed import same
from bff.session.ticket import Ticket, TicketedSession

_FOR_EVER: Final = float("inf")
_FIELDS: Final = ("generation", "about", "secrets", "active")


class About(msgspec.Struct, frozen=True, array_like=True):
    """What may be known of a session without its browser: by which marks it ends, and when it must."""

    generation: int
    authority_sid: bytes
    subject: bytes
    person: bytes
    began_at: float
    absolute_end: float
    id_token_issued_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was found: the session, where its secrets are still there and this ticket opens them."""

    marks: Marks
    about: About
    session: TicketedSession | None = field(repr=False)
    active_at: float
    sealed_at: float
    key_id: str


_encode = msgspec.msgpack.Encoder().encode
_abouts = msgspec.msgpack.Decoder(About)


class RedisRecords:
    """Keeps, replaces and finds records. What was not taken, or may be lost again, is told again (rule F12)."""

    def __init__(self, ledger: RedisLedger, cipher: Cipher, clock: Clock, *, keep_id_token: bool) -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._clock = clock
        self._keep_id_token = keep_id_token
        self._cipher = cipher
        self._secrets = SharedSealer(cipher, "secrets")

    async def keep(self, session: TicketedSession) -> bool:
        """Write a new session's record; False where there is one of that id already."""
        parts, key = self._sealed(session), _key(session.ticket.mark)
        active, lives = text(session.active_at), ttl(session.absolute_end, self._clock)
        again = self._again(session, parts)
        with self._ledger.own_writes.noted(again, until=session.absolute_end):
            return bool(await self._store.run(KEEP, [key], 1, *parts, active, lives, lasting=True))

    async def replace(self, before: Session, after: TicketedSession) -> bool:
        """Write the next generation, if ``before`` is still the one that stands; never what is missing (rule F2)."""
        parts, key = self._sealed(after), _key(after.ticket.mark)
        with self._ledger.own_writes.noted(self._again(after, parts), until=after.absolute_end):
            values = (before.generation, after.generation, *parts)
            return bool(await self._store.run(REPLACE, [key], *values, lasting=True))

    async def find(self, ticket: Ticket) -> Record | None:
        """The record of this ticket: None where there is none of this version, or where it lies in another's place."""
        mark = ticket.mark
        generation, about, secrets, active = await self._store.ask("HMGET", _key(mark), *_FIELDS)
        opened = None if about is None else self._about(mark).open(about)
        active_at = instant(active or b"0")
        if opened is None or generation is None or active_at is None:
            return None
        try:
            told = _abouts.decode(opened.payload)
        except msgspec.MsgspecError:
            return None
        marks = Marks(mark, told.authority_sid, told.subject, told.person, told.began_at)
        session, sealed_at = self._opened(ticket, secrets)
        return Record(
            marks=marks,
            about=told,
            session=session,
            active_at=active_at,
            sealed_at=sealed_at,
            key_id=opened.key_id,
        )

    async def slide(self, mark: bytes, active_at: float) -> None:
        """Note an activity; a later one stands, and what is over stays over."""
        await self._store.run(SLIDE, [_key(mark)], text(active_at))

    async def shred(self, mark: bytes) -> None:
        """Delete the secrets for good; what remains says by which marks it ended, and opens nothing."""
        key = _key(mark)
        with self._ledger.own_writes.noted(lambda: self._store.ask("HDEL", key, "secrets"), until=_FOR_EVER):
            await self._store.ask("HDEL", key, "secrets")

    def _sealed(self, session: TicketedSession) -> tuple[bytes, bytes]:
        marks = Marks.of(session)
        about = About(
            session.generation,
            marks.authority_sid,
            marks.subject,
            marks.person,
            session.began_at,
            session.absolute_end,
            session.id_token_issued_at,
        )
        packed = pack(session, keep_id_token=self._keep_id_token)
        secrets = self._secrets.seal(packed, browser_key=session.ticket.key, bound_to=marks.sid)
        return self._about(marks.sid).seal(_encode(about)), secrets

    def _about(self, mark: bytes) -> Sealer:
        """Bound to its place, as the secrets are."""
        return self._cipher.sealer("about", mark.hex())

    def _opened(self, ticket: Ticket, secrets: bytes | None) -> tuple[TicketedSession | None, float]:
        opened = None if secrets is None else self._secrets.open(secrets, browser_key=ticket.key, bound_to=ticket.mark)
        session = None if opened is None else unpack(opened.payload)
        if opened is None or session is None or not same(session.sid, ticket.sid):
            return None, 0.0
        return TicketedSession.of(session, ticket), opened.sealed_at

    def _again(self, session: TicketedSession, parts: tuple[bytes, bytes]) -> Any:  # noqa: ANN401 — an ``Again``
        """What brings the record back where the store lost it, but for a session that has ended meanwhile."""
        view, marks = self._ledger.view, Marks.of(session)

        async def tell() -> None:
            if view.ended(marks, session.id_token_issued_at) is None:
                values = (session.generation, *parts, text(session.active_at), ttl(session.absolute_end, self._clock))
                await self._store.run(KEEP_AGAIN, [_key(marks.sid)], *values, lasting=True)

        return tell


def _key(mark: bytes) -> bytes:
    return key_of(mark, "session")
