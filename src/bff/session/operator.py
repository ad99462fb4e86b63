"""What an operator asks of the ledger and tells it, from outside of the processes that serve."""

from __future__ import annotations

from bff.clock import Clock
from bff.session import audit
from bff.session.endings import Ending, Reason
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_person, mark_of_subject
from bff.session.own_sessions import OwnSession, OwnSessions
from bff.session.vault import SessionVault


class Operator:
    """Writes facts that every process hears of; ``absolute`` is how many seconds a session may live.

    Each method raises ``SessionStoreUnavailable`` where the ledger cannot be read or written.
    """

    def __init__(
        self, ledger: Ledger, vault: SessionVault, sessions: OwnSessions, clock: Clock, *, absolute: float
    ) -> None:
        self._ledger = ledger
        self._vault = vault
        self._sessions = sessions
        self._clock = clock
        self._absolute = absolute

    async def sessions_of(self, issuer: str, subject: str) -> list[OwnSession]:
        """Where a person is signed in, as far as the key ring at hand opens the list."""
        return await self._sessions.of(mark_of_person(issuer, subject))

    async def end_person(self, issuer: str, subject: str) -> int:
        """End all that a person has begun by now; answers how many sessions were on their list."""
        person, now = mark_of_person(issuer, subject), self._clock.now()
        listed = await self._ledger.listed(person)
        ending = Ending.of_person(issuer, subject, at=now, until=now + self._absolute)
        await self._ledger.end(ending)
        audit.fact_written(ending, "person")
        await self._vault.shred_covered(mark_of_subject(issuer, subject))
        await self._sessions.sweep(person)
        return len(listed)

    async def end_one(self, issuer: str, subject: str, page_tag: str) -> None:
        """End one session by the tag that its account page shows; raises ``UnknownSession``."""
        await self._sessions.end(mark_of_person(issuer, subject), page_tag, Reason.ADMIN)

    async def end_everybody(self) -> None:
        """End all that anybody has begun by now."""
        now = self._clock.now()
        ending = Ending.of_everybody(before=now, at=now, until=now + self._absolute)
        await self._ledger.end(ending)
        audit.fact_written(ending, "everybody")
        await self._vault.shred_covered(ending.mark)
