"""An access token that works now: refreshed before it is used, once per generation, whoever goes away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from bff.clock import Clock
from bff.errors import (
    AuthorizationServerUnavailable,
    ClientRefused,
    SessionEnded,
    SessionError,
    SessionStoreUnavailable,
    Unavailable,
)
from bff.oidc.messages import Narrow, TokenSet
from bff.session.endings import Reason
from bff.session.ledger import Ledger
from bff.session.marks import mark_of_sid
from bff.session.model import Session
from bff.session.narrow_tokens import NarrowTokens
from bff.session.refresher import Flown, Refresher, Rotation, TokenSource
from bff.session.vault import Presented, SessionVault
from bff.telemetry import metrics
from bff.telemetry.logs import get_logger

__all__ = ["AccessTokens", "TokenSource"]

_Result = TypeVar("_Result")
_Key = tuple[bytes, int | Narrow]

_ROUNDS = 3
_NARROW_ROUNDS = 16  # as many other routes' narrow tokens of one session may be fetched first
_MARGIN_SECONDS, _MARGIN_SHARE, _JITTER = 60.0, 0.1, 0.2
_PATIENCE = 2.0  # how long a call waits for a refresh while its present token still lives
_COOL_DOWN = 1.0  # after an outage, so that the calls of a page do not wait for a time-out each
_DRAIN = 20.0
_REMEMBERED = 4096
# A refresh token that is spent or revoked already; and one whose revocation could reach the session in its place.
_NOTHING_TO_REVOKE = frozenset({Reason.SIGNED_OUT, Reason.REFRESH_REFUSED, Reason.REFRESH_LOST, Reason.REPLACED})

_log = get_logger(__name__)


class AccessTokens:
    """Refreshes sessions, one token call per generation among all processes, in tasks that no client's departure stops.

    Only a refused grant ends a session; an outage never does. A session without a refresh token lives as long as its
    access token and then ends as ``refresh_refused``: nothing can be fetched for it any more.
    """

    def __init__(
        self, source: TokenSource, vault: SessionVault, ledger: Ledger, clock: Clock, *, rotation: Rotation = "strict"
    ) -> None:
        self._source = source
        self._vault = vault
        self._clock = clock
        self._refresher = Refresher(source, vault, ledger, clock, rotation=rotation)
        self._background = self._refresher.background
        self._narrow = NarrowTokens(ledger.view, clock)
        self._flights: dict[_Key, asyncio.Task[Any]] = {}
        self._outages: dict[_Key, tuple[float, Unavailable]] = {}
        self._revoked: set[bytes] = set()

    async def fresh(self, presented: Presented) -> Session:
        """The session with an access token that will not end while it is used.

        Raises what ``Presented.require`` raises, ``SessionEnded`` where the grant is over, and
        ``AuthorizationServerUnavailable`` or ``ClientRefused`` once the old token is dead and no new one can be had.
        """
        session, since = presented.require(), presented.sealed_at
        for _ in range(_ROUNDS):
            if not self._near_its_end(session.sid, session.tokens, since):
                return session
            newer = await self._newer(session, presented)
            if newer is session or self._alive(newer.tokens):
                return newer
            session, since = newer, self._clock.now()  # another's answer, and it has aged: from the newest again (F7)
        return session

    async def fresh_for(self, presented: Presented, narrow: Narrow) -> TokenSet:
        """One API's own access token of this session; its refresh is a flight on the newest generation (rule F7).

        Raises what ``fresh`` raises.
        """
        session = presented.require()
        sid = mark_of_sid(session.sid)
        known = self._narrow.find(sid, narrow)
        if known is not None and not self._near_its_end(session.sid, known.tokens, known.since):
            return known.tokens
        present, until = (None, 0.0) if known is None else (known.tokens, known.tokens.expires_at)
        return await self._soon((sid, narrow), lambda: self._fetch(session, presented, narrow, until), present, until)

    async def instead_of(self, presented: Presented, distrusted: str) -> Session:
        """The session with another access token than the one that an API refused (rule F15).

        Only where the newest generation still holds the distrusted one is a new one asked for; where none can be had,
        the session comes back as it is. Raises what ``fresh`` raises.
        """
        newest = await self._vault.newest(presented.require())
        self._refresher.refuse_ended(newest)
        return newest if newest.tokens.access_token != distrusted else await self._newer(newest, presented)

    async def instead_for(
        self, presented: Presented, narrow: Narrow, distrusted: str, *, permitted: Callable[[], bool]
    ) -> TokenSet | None:
        """Another narrow token than the one an API refused: one that is known, or a new one where ``permitted``."""
        sid = mark_of_sid(presented.require().sid)
        known = self._narrow.find(sid, narrow)
        if known is None or known.tokens.access_token == distrusted:
            if not permitted():
                return None
            self._narrow.distrust(sid, narrow, distrusted)
        return await self.fresh_for(presented, narrow)

    def revoke_later(self, session: Session) -> None:
        """Revoke an ended session's refresh token without anybody waiting for it (RFC 7009 2.1)."""
        self._narrow.forget(mark_of_sid(session.sid))
        token = session.tokens.refresh_token
        if token is not None:
            self._background.run(self._source.revoke(token, "refresh_token"))

    def revoke_presented(self, presented: Presented) -> None:
        """Revoke the refresh token of a session that ended while nobody could read it: its cookie is here now (F9)."""
        refusal, session = presented.refusal, presented.presented
        if session is None or not presented.evident:
            return
        if not isinstance(refusal, SessionEnded) or refusal.reason in _NOTHING_TO_REVOKE:
            return
        sid = mark_of_sid(session.sid)
        if sid not in self._revoked:
            if len(self._revoked) >= _REMEMBERED:
                self._revoked.clear()
            self._revoked.add(sid)
            self._background.run(self._revoke_newest(session))

    async def aclose(self) -> None:
        """Let the token calls under way finish: each may hold the only refresh token that is left."""
        if self._flights:
            await asyncio.wait(set(self._flights.values()), timeout=_DRAIN)
        await self._background.finish(seconds=_DRAIN)  # a flight may leave a revocation behind

    def _near_its_end(self, sid: str, tokens: TokenSet, since: float) -> bool:
        """Whether less than 60 s or a tenth of its life is left, a little less for some sessions than for others."""
        left = tokens.expires_at - self._clock.now()
        if left > _MARGIN_SECONDS:  # as with nearly every call
            return False
        margin = min(_MARGIN_SECONDS, _MARGIN_SHARE * max(0.0, tokens.expires_at - since))
        spread = ord(sid[0]) % 16 / 16  # the same for a session at every call, so that it does not flicker
        return left <= margin * (1 - _JITTER * spread)

    def _alive(self, tokens: TokenSet) -> bool:
        return tokens.expires_at > self._clock.now()

    async def _newer(self, session: Session, presented: Presented) -> Session:
        """What follows this generation, or the session itself while its token lives and nothing better can be had."""
        if session.tokens.refresh_token is None:
            if not self._alive(session.tokens):
                await self._vault.end_session(session, Reason.REFRESH_REFUSED)
                raise SessionEnded(Reason.REFRESH_REFUSED, "there is no refresh token")
            return session
        key = (mark_of_sid(session.sid), session.generation)
        present, until = Flown(session=session), session.tokens.expires_at
        begin = partial(self._refresher.fly, session, presented, served_until=until)
        flown = await self._soon(key, begin, present, until)
        return flown.session

    async def _fetch(self, session: Session, presented: Presented, narrow: Narrow, until: float) -> TokenSet:
        """A narrow token, remembered; whatever else is refreshed meanwhile, from the newest generation (rule F7)."""
        for _ in range(_NARROW_ROUNDS):
            if session.tokens.refresh_token is None:
                raise ClientRefused("there is no refresh token to ask for a narrow token with. Ask for offline_access")
            flown = await self._refresher.fly(session, presented, narrow, served_until=until)
            session = flown.session
            if flown.tokens is not None:
                self._narrow.keep(session, narrow, flown.tokens)
                return flown.tokens
        raise AuthorizationServerUnavailable("too many other refreshes of this session came first", sent=False)

    async def _soon(
        self,
        key: _Key,
        begin: Callable[[], Coroutine[Any, Any, _Result]],
        present: _Result | None,
        until: float,
    ) -> _Result:
        """What a flight brings; what there is at present, where it lives and nothing better can be had, or not soon."""
        try:
            flight = self._enter(key, begin, until)
            if present is not None and until > self._clock.now():
                await asyncio.wait({flight}, timeout=_PATIENCE)
            if not flight.done() and present is not None and until > self._clock.now():
                return present
            return await asyncio.shield(flight)
        except Unavailable:
            if present is not None and until > self._clock.now():
                return present
            raise

    def _enter(
        self, key: _Key, begin: Callable[[], Coroutine[Any, Any, _Result]], until: float
    ) -> asyncio.Task[_Result]:
        """The one flight of this key in this process; raises the last outage again while it is fresh."""
        now = self._clock.monotonic()
        self._outages = {known: outage for known, outage in self._outages.items() if outage[0] > now}
        if key in self._outages:
            raise self._outages[key][1]
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(begin())
            flight.add_done_callback(lambda done: self._landed(key, until, done))
        return flight

    def _landed(self, key: _Key, until: float, flight: asyncio.Task[Any]) -> None:
        del self._flights[key]
        failure = None if flight.cancelled() else flight.exception()  # also looked at where nobody waits any more
        if isinstance(failure, Unavailable):
            self._outages[key] = (self._clock.monotonic() + self._pause(failure, until), failure)
            _report(failure)

    def _pause(self, outage: Unavailable, until: float) -> float:
        """How long nobody asks again: a second, or to the access token's end where the refresh token may be spent."""
        in_doubt = isinstance(outage, AuthorizationServerUnavailable) and outage.sent
        if in_doubt and self._refresher.rests(until):
            return max(_COOL_DOWN, until - self._clock.now())
        return _COOL_DOWN

    async def _revoke_newest(self, session: Session) -> None:
        with suppress(SessionError, SessionStoreUnavailable):  # then what the cookie holds is the best there is
            session = await self._vault.newest(session)
        if session.tokens.refresh_token is not None:
            await self._source.revoke(session.tokens.refresh_token, "refresh_token")


def _report(outage: Unavailable) -> None:
    """An outage is a warning; that the server refuses our own credentials is an alarm, for no time will mend it."""
    if isinstance(outage, ClientRefused):
        metrics.refreshes.labels(outcome="client_refused").inc()
        _log.error("client_refused", detail=outage.detail, cure="correct the secret or the registration")
        return
    metrics.refreshes.labels(outcome="outage").inc()
    _log.warning("refresh_failed", error=type(outage).__name__, detail=outage.detail)
