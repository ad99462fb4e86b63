"""An access token that works now: refreshed before it is used, once per generation, whoever goes away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Literal, Protocol

from bff.clock import Clock
from bff.errors import (
    AuthorizationServerUnavailable,
    InvalidIDToken,
    LoginNotPermitted,
    RefreshRefused,
    SessionEnded,
    SessionTooLarge,
    Unavailable,
)
from bff.oidc.messages import Claims, Refreshed, TokenSet
from bff.session.endings import Reason
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_sid
from bff.session.model import Session
from bff.session.vault import Presented, SessionVault
from bff.telemetry import metrics
from bff.telemetry.logs import get_logger

_ROUNDS = 3
_MARGIN_SECONDS, _MARGIN_SHARE, _JITTER = 60.0, 0.1, 0.2
_PATIENCE = 2.0  # how long a call waits for a refresh while its present token still lives
_COOL_DOWN = 1.0  # after an outage, so that the calls of a page do not wait for a time-out each
_DRAIN = 20.0

_log = get_logger(__name__)


class TokenSource(Protocol):
    """What the relying party offers to a session."""

    async def refresh(self, tokens: TokenSet, claims: Claims) -> Refreshed:
        """New tokens; ``RefreshRefused``, ``InvalidIDToken`` and ``LoginNotPermitted`` say that the grant is over."""
        ...

    async def revoke(self, token: str, hint: Literal["refresh_token", "access_token"]) -> bool:
        """Whether the token is provably dead (RFC 7009 2.2); it never raises for the server's sake."""
        ...


class AccessTokens:
    """Refreshes sessions, one token call per generation in this process, in tasks that no client's departure stops.

    Only a refused grant ends a session; an outage never does. A session without a refresh token lives as long as its
    access token and then ends as ``refresh_refused``: nothing can be fetched for it any more.
    """

    def __init__(self, source: TokenSource, vault: SessionVault, ledger: Ledger, clock: Clock) -> None:
        self._source = source
        self._vault = vault
        self._ledger = ledger
        self._clock = clock
        self._flights: dict[tuple[bytes, int], asyncio.Task[Session]] = {}
        self._outages: dict[tuple[bytes, int], tuple[float, Unavailable]] = {}
        # Generations whose refresh token was sent and not answered, until their session's end: it may be spent (F8).
        self._uncertain: dict[tuple[bytes, int], float] = {}
        self._background: set[asyncio.Task[object]] = set()

    async def fresh(self, presented: Presented) -> Session:
        """The session with an access token that will not end while it is used.

        Raises what ``Presented.require`` raises, ``SessionEnded`` where the grant is over, and
        ``AuthorizationServerUnavailable`` or ``ClientRefused`` once the old token is dead and no new one can be had.
        """
        session, since = presented.require(), presented.sealed_at
        for _ in range(_ROUNDS):
            if not self._near_its_end(session, since):
                return session
            newer = await self._newer(session, presented)
            if newer is session or self._alive(newer):
                return newer
            session, since = newer, self._clock.now()  # another's answer, and it has aged: from the newest again (F7)
        return session

    async def instead_of(self, presented: Presented, distrusted: str) -> Session:
        """The session with another access token than the one that an API refused (rule F15).

        Only where the newest generation still holds the distrusted one is a new one asked for; where none can be had,
        the session comes back as it is. Raises what ``fresh`` raises.
        """
        newest = await self._vault.newest(presented.require())
        self._refuse_ended(newest)
        return newest if newest.tokens.access_token != distrusted else await self._newer(newest, presented)

    def revoke_later(self, session: Session) -> None:
        """Revoke an ended session's refresh token without anybody waiting for it (RFC 7009 2.1)."""
        token = session.tokens.refresh_token
        if token is not None:
            self._detach(self._source.revoke(token, "refresh_token"))

    async def aclose(self) -> None:
        """Let the token calls under way finish: each may hold the only refresh token that is left."""
        for running in (set(self._flights.values()), self._background):  # a flight may leave a revocation behind
            if running:
                await asyncio.wait(running, timeout=_DRAIN)

    def _near_its_end(self, session: Session, since: float) -> bool:
        """Whether less than 60 s or a tenth of its life is left, a little less for some sessions than for others."""
        lifetime = max(0.0, session.tokens.expires_at - since)
        margin = min(_MARGIN_SECONDS, _MARGIN_SHARE * lifetime)
        spread = ord(session.sid[0]) % 16 / 16  # the same for a session at every call, so that it does not flicker
        return session.tokens.expires_at - self._clock.now() <= margin * (1 - _JITTER * spread)

    def _alive(self, session: Session) -> bool:
        return session.tokens.expires_at > self._clock.now()

    async def _newer(self, session: Session, presented: Presented) -> Session:
        """What follows this generation, or the session itself while its token lives and nothing better can be had."""
        if session.tokens.refresh_token is None:
            if not self._alive(session):
                await self._vault.end_session(session, Reason.REFRESH_REFUSED)
                raise SessionEnded(Reason.REFRESH_REFUSED, "there is no refresh token")
            return session
        try:
            flight = self._enter(session, presented)
            if self._alive(session):
                await asyncio.wait({flight}, timeout=_PATIENCE)
            if not flight.done() and self._alive(session):
                return session
            return await asyncio.shield(flight)
        except Unavailable:
            if self._alive(session):
                return session
            raise

    def _enter(self, session: Session, presented: Presented) -> asyncio.Task[Session]:
        """The one flight of this generation; raises the last outage again while it is fresh."""
        key, now = (mark_of_sid(session.sid), session.generation), self._clock.monotonic()
        self._outages = {known: outage for known, outage in self._outages.items() if outage[0] > now}
        if key in self._outages:
            raise self._outages[key][1]
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._fly(key, session, presented))
            flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: tuple[bytes, int], flight: asyncio.Task[Session]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # looked at, so that a refresh nobody waits for is not reported as forgotten

    async def _fly(self, key: tuple[bytes, int], session: Session, presented: Presented) -> Session:
        newest = await self._vault.newest(session)
        self._refuse_ended(newest)
        if newest.generation > session.generation:
            return newest
        try:
            refreshed = await self._source.refresh(session.tokens, session.claims)
        except (RefreshRefused, InvalidIDToken, LoginNotPermitted) as refusal:
            return await self._refused(key, session, refusal)
        except Unavailable as outage:
            if isinstance(outage, AuthorizationServerUnavailable) and outage.sent:
                self._note_uncertain(key, session)
            metrics.refreshes.labels(outcome="outage").inc()
            _log.warning("refresh_failed", error=type(outage).__name__, detail=outage.detail)
            self._outages[key] = (self._clock.monotonic() + _COOL_DOWN, outage)
            raise
        return await self._kept(session, _following(session, refreshed, presented), presented)

    def _note_uncertain(self, key: tuple[bytes, int], session: Session) -> None:
        now = self._clock.now()
        self._uncertain = {known: until for known, until in self._uncertain.items() if until > now}
        self._uncertain[key] = session.absolute_end

    async def _refused(self, key: tuple[bytes, int], session: Session, refusal: Exception) -> Session:
        """The grant is over, unless another worker was faster with the same token: then its answer stands.

        ``invalid_grant`` for a token that an unanswered request carried says that its answer got lost (F1, F8).
        """
        newest = await self._vault.newest(session)
        if newest.generation > session.generation:
            return newest
        is_lost = isinstance(refusal, RefreshRefused) and key in self._uncertain
        reason = Reason.REFRESH_LOST if is_lost else Reason.REFRESH_REFUSED
        metrics.refreshes.labels(outcome="lost" if is_lost else "refused").inc()
        await self._vault.end_session(session, reason)
        raise SessionEnded(reason, type(refusal).__name__) from refusal

    async def _kept(self, before: Session, after: Session, presented: Presented) -> Session:
        """The new generation, durable and asked again whether it may live; what may not is revoked (rule F2)."""
        try:
            stands = await self._vault.keep_generation(before, after, presented=presented.presented)
        except SessionTooLarge:
            self._drop(after)
            await self._vault.end_session(before, Reason.REFRESH_LOST)
            raise
        if stands is not after:
            self._drop(after, but=(before, stands))
            return stands
        await self._ledger.catch_up(at_once=True)
        try:
            self._refuse_ended(after)
        except SessionEnded:
            self._drop(after)
            raise
        metrics.refreshes.labels(outcome="renewed").inc()
        return after

    def _refuse_ended(self, session: Session) -> None:
        reason = self._vault.ended(session)
        if reason is not None:
            raise SessionEnded(reason)

    def _drop(self, session: Session, *, but: tuple[Session, ...] = ()) -> None:
        """Revoke what a dropped generation holds, but never a refresh token that a living one holds too."""
        tokens = session.tokens
        living = {other.tokens.refresh_token for other in but}
        if tokens.refresh_token is not None and tokens.refresh_token not in living:
            self._detach(self._source.revoke(tokens.refresh_token, "refresh_token"))
        if not but:
            self._detach(self._source.revoke(tokens.access_token, "access_token"))

    def _detach(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _following(session: Session, refreshed: Refreshed, presented: Presented) -> Session:
    """The next generation. What the answer left out stays as it was (RFC 6749 6, OIDC Core 12.2)."""
    tokens = replace(
        refreshed.tokens,
        refresh_token=refreshed.tokens.refresh_token or session.tokens.refresh_token,
        id_token=refreshed.tokens.id_token or session.tokens.id_token,
    )
    return session.renewed(replace(refreshed, tokens=tokens), active_at=presented.last_activity)
