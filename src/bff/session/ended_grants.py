"""What an ended session leaves at the authorization server: a refresh token, revoked where it can be read (F2, F9)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, Literal, Protocol

from bff.session.background import Background
from bff.session.endings import Reason
from bff.session.marks import mark_of_sid
from bff.session.model import Session

_DRAIN: Final = 20.0
_REMEMBERED: Final = 4096
# A refresh token that is spent, dropped or revoked already; and one whose revocation could reach the session in its
# place: where both sign-ins are of one person, the callback alone knows both (``login.py``).
_NOTHING_TO_REVOKE: Final = frozenset({Reason.REFRESH_REFUSED, Reason.REFRESH_LOST, Reason.TOO_LARGE, Reason.REPLACED})

Last = Callable[[Session], Awaitable[Session]]
"""The last generation that can be read of an ended session, or the one given; it raises nothing."""


class Revoker(Protocol):
    """What the relying party offers to an ended session."""

    async def revoke(self, token: str, hint: Literal["refresh_token", "access_token"]) -> bool:
        """Whether the token is provably dead (RFC 7009 2.2); it never raises for the server's sake."""
        ...


class EndedGrants:
    """Vaults hand over here whatever they end, and whatever is presented after its end; no answer waits for it.

    Each generation is looked after once, and each token revoked once; what could not be revoked is tried again when
    its cookie comes again. Without a ``source`` nothing is revoked: where nobody serves, and where a test asks a vault.
    """

    def __init__(self, source: Revoker | None = None) -> None:
        self._source = source
        self._background = Background()
        self._seen_to: OrderedDict[bytes, None] = OrderedDict()

    def left(self, session: Session, reason: str, last: Last) -> None:
        """This session ended here: ``last`` is read after its end, so that no refresh elsewhere slips through (F2)."""
        self._remember(_generation(session))
        self._background.run(self._see_to(session, reason, last))

    def came_again(self, session: Session | None, reason: str, last: Last) -> None:
        """The cookie of a session that ended while nobody could read it is here now (F9)."""
        if session is None or self._source is None or reason in _NOTHING_TO_REVOKE:
            return
        if _generation(session) not in self._seen_to:
            self.left(session, reason, last)

    def revoke_later(self, session: Session) -> None:
        """Revoke the refresh token of this very generation (RFC 7009 2.1)."""
        self._background.run(self._revoke(session.tokens.refresh_token))

    async def aclose(self) -> None:
        """Finish the revocations under way."""
        await self._background.finish(seconds=_DRAIN)

    async def _see_to(self, session: Session, reason: str, last: Last) -> None:
        newest = await last(session)
        if reason not in _NOTHING_TO_REVOKE and not await self._revoke(newest.tokens.refresh_token):
            self._seen_to.pop(_generation(session), None)

    async def _revoke(self, token: str | None) -> bool:
        """Whether nothing is left to revoke. A token that is being revoked counts as such."""
        if token is None or self._source is None:
            return True
        name = sha256(token.encode()).digest()
        if name in self._seen_to:
            return True
        self._remember(name)
        dead = await self._source.revoke(token, "refresh_token")
        if not dead:
            self._seen_to.pop(name, None)
        return dead

    def _remember(self, name: bytes) -> None:
        self._seen_to[name] = None
        if len(self._seen_to) > _REMEMBERED:
            self._seen_to.popitem(last=False)


def _generation(session: Session) -> bytes:
    return mark_of_sid(session.sid) + session.generation.to_bytes(8)
