"""What the authorization server says about its sessions' ends becomes a fact of ours, kept as long as it can matter."""

from __future__ import annotations

from bff.clock import Clock
from bff.errors import InvalidLogoutToken
from bff.oidc.logout_token import MAX_AGE_SECONDS
from bff.oidc.messages import LogoutNotice
from bff.session.endings import Ending, Reason
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_logout_token
from bff.telemetry import metrics

_REMEMBERED = 2 * MAX_AGE_SECONDS + 300.0  # longer than any of its tokens is young, whatever leeway and clocks say


class AuthorityLogouts:
    """Writes facts, deletes nothing: a session kept later, or refreshed meanwhile, is over as well (rule F11).

    ``absolute`` is how many seconds a session may live: for so long a fact is kept.
    """

    def __init__(self, ledger: Ledger, clock: Clock, *, absolute: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._absolute = absolute

    async def hear_back_channel(self, notice: LogoutNotice) -> None:
        """End what a verified logout token names; raises InvalidLogoutToken where it has been heard before.

        The fact comes first: a hearing that breaks off can be repeated, and a repeated fact says nothing new. Raises
        ``SessionStoreUnavailable``.
        """
        await self._end(self._ending(notice, Reason.BACKCHANNEL))
        mark = mark_of_logout_token(notice.issuer, notice.jti or "")
        if not await self._ledger.spend_login(mark, self._clock.now() + _REMEMBERED):
            raise InvalidLogoutToken("8", "it was heard before")

    async def hear_front_channel(self, notice: LogoutNotice) -> None:
        """End the session that a frame's address names; raises ``SessionStoreUnavailable``."""
        await self._end(self._ending(notice, Reason.FRONTCHANNEL))

    async def _end(self, ending: Ending) -> None:
        if not self._ledger.view.knows(ending):
            metrics.sessions_ended.labels(reason=ending.reason.value).inc()
        await self._ledger.end(ending)

    def _ending(self, notice: LogoutNotice, reason: Reason) -> Ending:
        now = self._clock.now()
        until = now + self._absolute
        if notice.authority_sid is not None:
            return Ending.of_authority_sid(notice.issuer, notice.authority_sid, reason, at=now, until=until)
        subject, before = notice.subject or "", notice.issued_at
        return Ending.of_subject(notice.issuer, subject, reason, before=before, at=now, until=until)
