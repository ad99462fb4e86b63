"""What the authorization server says about its sessions' ends becomes a fact of ours, kept as long as it can matter."""

from __future__ import annotations

from collections.abc import Iterator

from bff.clock import Clock
from bff.errors import InvalidLogoutToken
from bff.oidc.logout_token import MAX_AGE_SECONDS
from bff.oidc.messages import LogoutNotice
from bff.session import audit
from bff.session.endings import Ending, Reason
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_logout_token
from bff.session.vault import SessionVault

_REMEMBERED = 2 * MAX_AGE_SECONDS + 300.0  # longer than any of its tokens is young, whatever leeway and clocks say


class AuthorityLogouts:
    """Writes facts: a session kept later, or refreshed meanwhile, is over as well (rule F11).

    What is stored of the sessions that they end goes behind their backs (rule F9). ``absolute`` is how many seconds a
    session may live: for so long a fact is kept.
    """

    def __init__(self, ledger: Ledger, vault: SessionVault, clock: Clock, *, absolute: float) -> None:
        self._ledger = ledger
        self._vault = vault
        self._clock = clock
        self._absolute = absolute

    async def hear_back_channel(self, notice: LogoutNotice) -> None:
        """End what a verified logout token names; raises InvalidLogoutToken where it has been heard before.

        The fact comes first: a hearing that breaks off can be repeated, and a repeated fact says nothing new. Raises
        ``SessionStoreUnavailable``.
        """
        await self._end(notice, Reason.BACKCHANNEL)
        mark = mark_of_logout_token(notice.issuer, notice.jti or "")
        if not await self._ledger.spend_login(mark, self._clock.now() + _REMEMBERED):
            raise InvalidLogoutToken("8", "it was heard before")

    async def hear_front_channel(self, notice: LogoutNotice) -> None:
        """End the session that a frame's address names; raises ``SessionStoreUnavailable``."""
        await self._end(notice, Reason.FRONTCHANNEL)

    async def _end(self, notice: LogoutNotice, reason: Reason) -> None:
        """One event, whose facts are one or two: ``sid`` and ``sub`` together also mean what never had a ``sid``."""
        facts = list(self._facts(notice, reason))
        if not all(self._ledger.view.knows(fact) for fact in facts):
            audit.fact_written(facts[0], "subject" if notice.authority_sid is None else "authority_session")
        try:
            for fact in facts:
                await self._ledger.end(fact)
        finally:  # where the store is away, both are done when it is back
            for fact in facts:
                self._vault.shred_covered_later(fact.mark)

    def _facts(self, notice: LogoutNotice, reason: Reason) -> Iterator[Ending]:
        now, issuer, before = self._clock.now(), notice.issuer, notice.issued_at
        until = now + self._absolute
        if notice.authority_sid is None:
            subject = notice.subject or ""
            yield Ending.of_subject(issuer, subject, reason, before=before, at=now, until=until)
            return
        yield Ending.of_authority_sid(issuer, notice.authority_sid, reason, at=now, until=until)
        if notice.subject is not None:
            yield Ending.of_unnamed(issuer, notice.subject, reason, before=before, at=now, until=until)
