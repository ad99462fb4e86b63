"""One flight, from entering it to a generation that is durable: one token call among all processes (F1…F4, F8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from bff.clock import Clock
from bff.errors import (
    AuthorizationServerUnavailable,
    InvalidIDToken,
    LoginNotPermitted,
    RefreshRefused,
    SessionEnded,
    SessionStoreUnavailable,
    SessionTooLarge,
)
from bff.oidc.messages import Claims, Narrow, Refreshed, TokenSet
from bff.session.background import Background
from bff.session.endings import Reason
from bff.session.flights import GRACE_SECONDS, POLL_SECONDS
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_sid
from bff.session.model import Session
from bff.session.turn import Turn, TurnLost
from bff.session.vault import Presented, SessionVault
from bff.telemetry import metrics
from bff.telemetry.logs import get_logger

Rotation = Literal["strict", "overlap", "none"]

_QUEUE = 12.0  # seconds that others' flights of one generation are waited for: a sent one that was lost, and one more
_BUDGET, _TRIES, _FIRST_WAIT = 5.0, 4, 0.1  # for what could not be sent: seconds, requests, seconds before the second

_log = get_logger(__name__)


class TokenSource(Protocol):
    """What the relying party offers to a session."""

    async def refresh(
        self,
        tokens: TokenSet,
        claims: Claims,
        *,
        narrow: Narrow | None = None,
        sending: Callable[[], Awaitable[None]] | None = None,
    ) -> Refreshed:
        """New tokens; ``RefreshRefused``, ``InvalidIDToken`` and ``LoginNotPermitted`` say that the grant is over.

        ``sending`` is awaited just before the refresh token is sent; what it raises stops that.
        """
        ...

    async def revoke(self, token: str, hint: Literal["refresh_token", "access_token"]) -> bool:
        """Whether the token is provably dead (RFC 7009 2.2); it never raises for the server's sake."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Flown:
    """What a flight came to: the newest session, and the narrow token that it was entered for, if it was."""

    session: Session
    narrow: Narrow | None = None
    tokens: TokenSet | None = field(default=None, repr=False)


class Refresher:
    """Refreshes one generation at a time; ``rotation`` is what the server does with a used refresh token (rule F14)."""

    def __init__(
        self, source: TokenSource, vault: SessionVault, ledger: Ledger, clock: Clock, *, rotation: Rotation
    ) -> None:
        self._source = source
        self._vault = vault
        self._ledger = ledger
        self._clock = clock
        self._rotation = rotation
        self.background = Background()

    async def fly(
        self, session: Session, presented: Presented, narrow: Narrow | None = None, *, served_until: float
    ) -> Flown:
        """What follows this generation: another's answer, or ours, entered among all processes and re-read (F3, F7).

        ``served_until`` is how long whoever asks has a token that works: so long nothing is risked for a new one (F8).
        Raises ``SessionEnded`` where the grant is over, and ``Unavailable`` where nothing could be had.
        """
        turn, patience = Turn(self._ledger, session), self._clock.monotonic() + _QUEUE
        while self._clock.monotonic() < patience:
            if await turn.take():
                try:
                    async with turn:
                        return await self._lead(turn, session, presented, narrow, served_until)
                except TurnLost:
                    _log.warning("flight_lost", generation=session.generation)
            newest = await self._newest(session)
            if newest.generation > session.generation:
                return Flown(session=newest)
            await self._ledger.view.news_of(mark_of_sid(session.sid), seconds=POLL_SECONDS)
        raise AuthorizationServerUnavailable("the refresh that another process began does not end", sent=False)

    async def _newest(self, session: Session) -> Session:
        newest = await self._vault.newest(session)
        self.refuse_ended(newest)
        return newest

    async def _lead(
        self, turn: Turn, session: Session, presented: Presented, narrow: Narrow | None, served_until: float
    ) -> Flown:
        """Re-read after entering, then the one token call, then the generation that it makes."""
        newest = await self._newest(session)
        if newest.generation > session.generation:
            return Flown(session=newest)
        if self._rotation == "strict":
            newest = await self._out_of_doubt(session, served_until)
            if newest.generation > session.generation:
                return Flown(session=newest)
        try:
            refreshed = await self._asked(turn, session, narrow, served_until)
        except (RefreshRefused, InvalidIDToken, LoginNotPermitted) as refusal:
            return await self._refused(turn, session, refusal)
        if narrow is None:
            after = _following(session, refreshed, presented)
            return Flown(session=await self._kept(session, after, refreshed, presented))
        return await self._narrowed(session, refreshed, presented, narrow)

    async def _out_of_doubt(self, session: Session, served_until: float) -> Session:
        """Rest while something serves; else give an owner, whose answer could not be written, time to tell it (F4).

        Its ledger may be back just now, for us as for it: whoever sends that token first ends the session.
        """
        if not await self._ledger.is_uncertain(mark_of_sid(session.sid), session.generation):
            return session
        if self.rests(served_until):
            raise AuthorizationServerUnavailable("its refresh token may be spent: not sent while an access token lives")
        await self._ledger.view.news_of(mark_of_sid(session.sid), seconds=GRACE_SECONDS)
        return await self._newest(session)

    def rests(self, served_until: float) -> bool:
        """Whether a refresh token that may be spent is left alone: strict rotation, and something serves meanwhile."""
        return self._rotation == "strict" and served_until > self._clock.now()

    async def _asked(self, turn: Turn, session: Session, narrow: Narrow | None, served_until: float) -> Refreshed:
        """The token call, repeated where that can do no harm; whatever may have been heard leaves a doubt (rule F8).

        Each request carries a client assertion of its own.
        """
        deadline, tries, unanswered = self._clock.monotonic() + _BUDGET, 0, 0
        while True:
            try:
                return await self._source.refresh(session.tokens, session.claims, narrow=narrow, sending=turn.sending)
            except AuthorizationServerUnavailable as outage:
                tries, unanswered = tries + 1, unanswered + outage.sent
                if outage.sent:
                    await self._doubt(session)
                wait = self._wait(outage, served_until, tries, unanswered)
                if wait is None or (wait > 0 and self._clock.monotonic() + wait >= deadline):
                    raise
            await asyncio.sleep(wait)

    def _wait(
        self, outage: AuthorizationServerUnavailable, served_until: float, tries: int, unanswered: int
    ) -> float | None:
        """Seconds until the request is repeated: not sent, soon; sent and unanswered, at once and once; else None."""
        if outage.answered:
            return None
        if outage.sent:
            return None if unanswered > 1 or self.rests(served_until) else 0.0
        return None if tries == _TRIES else _FIRST_WAIT * 2 ** (tries - 1)

    async def _doubt(self, session: Session) -> None:
        try:
            await self._ledger.note_uncertain(mark_of_sid(session.sid), session.generation, session.absolute_end)
        except SessionStoreUnavailable as error:  # the ledger lets nobody leave the flight before it is told the doubt
            _log.warning("doubt_not_kept", detail=error.detail)

    async def _refused(self, turn: Turn, session: Session, refusal: Exception) -> Flown:
        """The grant is over, unless another was faster with the same token: then its answer stands, or is waited for.

        ``invalid_grant`` for a token that an unanswered request carried says that its answer got lost (F1, F8).
        """
        newest = await self._vault.newest(session)
        if newest.generation > session.generation:
            return Flown(session=newest)
        await turn.keeping()
        in_doubt = await self._ledger.is_uncertain(mark_of_sid(session.sid), session.generation)
        is_lost = isinstance(refusal, RefreshRefused) and in_doubt
        reason = Reason.REFRESH_LOST if is_lost else Reason.REFRESH_REFUSED
        metrics.refreshes.labels(outcome="lost" if is_lost else "refused").inc()
        if is_lost:
            metrics.refreshes_lost.inc()
        await self._vault.end_session(session, reason)
        raise SessionEnded(reason, type(refusal).__name__) from refusal

    async def _narrowed(self, session: Session, refreshed: Refreshed, presented: Presented, narrow: Narrow) -> Flown:
        """A token for one API: the session keeps its own, and makes a generation only where the refresh token moved."""
        brought = refreshed.tokens
        moved = brought.refresh_token is not None and brought.refresh_token != session.tokens.refresh_token
        stands = session
        if moved:
            tokens = replace(session.tokens, refresh_token=brought.refresh_token)
            after = session.renewed(Refreshed(tokens=tokens), active_at=presented.last_activity)
            stands = await self._kept(session, after, refreshed, presented)
            if stands is not after:
                return Flown(session=stands)
        return Flown(session=stands, narrow=narrow, tokens=replace(brought, refresh_token=None, id_token=None))

    async def _kept(self, before: Session, after: Session, refreshed: Refreshed, presented: Presented) -> Session:
        """The new generation, durable and asked again whether it may live; what may not is revoked (rule F2)."""
        brought = replace(refreshed.tokens, refresh_token=after.tokens.refresh_token)
        try:
            stands = await self._vault.keep_generation(before, after, presented=presented.presented)
        except SessionTooLarge:
            self._drop(brought)
            await self._vault.end_session(before, Reason.TOO_LARGE)
            raise
        if stands is not after:
            self._drop(brought, but=(before, stands))
            return stands
        try:
            try:
                await self._ledger.catch_up(at_once=True)
            finally:  # where the ledger cannot be asked, what is known here counts all the same
                self.refuse_ended(after)
        except SessionEnded:
            self._drop(brought)
            raise
        metrics.refreshes.labels(outcome="renewed").inc()
        return after

    def refuse_ended(self, session: Session) -> None:
        """Raise ``SessionEnded`` where it is known to be over."""
        reason = self._vault.ended(session)
        if reason is not None:
            raise SessionEnded(reason)

    def _drop(self, tokens: TokenSet, *, but: tuple[Session, ...] = ()) -> None:
        """Revoke what a dropped generation brought, but never a refresh token that a living one holds too."""
        living = {other.tokens.refresh_token for other in but}
        if tokens.refresh_token is not None and tokens.refresh_token not in living:
            self.background.run(self._source.revoke(tokens.refresh_token, "refresh_token"))
        if not but:
            self.background.run(self._source.revoke(tokens.access_token, "access_token"))


def _following(session: Session, refreshed: Refreshed, presented: Presented) -> Session:
    """The next generation. What the answer left out stays as it was (RFC 6749 6, OIDC Core 12.2)."""
    tokens = replace(
        refreshed.tokens,
        refresh_token=refreshed.tokens.refresh_token or session.tokens.refresh_token,
        id_token=refreshed.tokens.id_token or session.tokens.id_token,
    )
    return session.renewed(replace(refreshed, tokens=tokens), active_at=presented.last_activity)
