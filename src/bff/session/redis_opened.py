"""Sessions opened with a ticket, remembered: a warm call asks memory and the local view, and nobody else (rule F20)."""

from __future__ import annotations

from bff.session.cipher import KeyRing
from bff.session.endings import EndingsView
from bff.session.marks import Marks
from bff.session.opened import OpenedSession, OpenedSessions
from bff.session.ticket import Ticket, TicketedSession


class TicketMemory:
    """May forget anything at any time; a changed ring empties it, and a newer generation elsewhere makes it ask."""

    def __init__(self, ring: KeyRing, view: EndingsView, memory_bytes: int) -> None:
        self._ring = ring
        self._view = view
        self._kept = OpenedSessions(memory_bytes)
        self._revision = ring.revision

    def ticket(self, value: bytes | None) -> Ticket | None:
        """The ticket in this cookie, where it is remembered: its signature was looked at, under the ring of today."""
        opened = None if value is None else self.at(value)
        return opened.session.ticket if opened is not None and isinstance(opened.session, TicketedSession) else None

    def find(self, ticket: Ticket) -> OpenedSession | None:
        """What is remembered, if nothing newer is known."""
        opened = self.at(ticket.value)
        if opened is None or self._view.newest_generation(opened.marks.sid) > opened.session.generation:
            return None
        self._ring.opens[opened.key_id] += 1
        return opened

    def put(self, session: TicketedSession, *, active_at: float, sealed_at: float, key_id: str) -> OpenedSession:
        """Remember a session; an older generation, whose answer came late, never takes a newer one's place."""
        value = session.ticket.value
        known = self._kept.get(value)
        if known is not None and known.session.generation > session.generation:
            return known
        opened = OpenedSession(
            value=value,
            chunks=1,
            session=session,
            marks=Marks.of(session),
            sealed_at=sealed_at,
            key_id=key_id,
            idle_tag="",
            acknowledged=True,
            stamped_at=max(active_at, session.active_at, 0.0 if known is None else known.stamped_at),
        )
        self._kept.put(value, opened)
        return opened

    def at(self, value: bytes) -> OpenedSession | None:
        """What is remembered of the ticket in this cookie, whatever has become of it."""
        if self._revision != self._ring.revision:
            self._kept.clear()
            self._revision = self._ring.revision
        return self._kept.get(value)

    def forget(self, ticket: Ticket) -> None:
        """It is over."""
        self._kept.forget(ticket.value)
