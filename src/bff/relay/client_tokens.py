"""The application's own access tokens, one for each API: fetched once for all callers, and again before they end."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from bff.clock import Clock
from bff.errors import Unavailable
from bff.oidc.messages import TokenSet
from bff.relay.route import Route

_MARGIN_SECONDS: Final = 60.0
_MARGIN_SHARE: Final = 0.1
_COOL_DOWN_SECONDS: Final = 1.0

_Target = tuple[str, str, str]


class ClientTokenSource(Protocol):
    """What the relying party offers to the application itself."""

    async def client_token(self, *, scope: str = "", resource: str = "", audience: str = "") -> TokenSet:
        """An access token of the application's own (RFC 6749 4.4); raises ``Unavailable``."""
        ...


class ClientTokens:
    """One token, and one token call at a time, for each scope, resource and audience, whoever goes away meanwhile.

    ``distrust`` forgets a token that an API refused. A failure is told again for a second, so that the calls of a page
    do not each ask an authorization server that is down.
    """

    def __init__(self, source: ClientTokenSource, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._tokens: dict[_Target, tuple[TokenSet, float]] = {}
        self._flights: dict[_Target, asyncio.Task[TokenSet]] = {}
        self._outages: dict[_Target, tuple[float, Unavailable]] = {}

    async def token(self, route: Route) -> TokenSet:
        """An access token that works now; raises AuthorizationServerUnavailable and ClientRefused."""
        target = (route.scope, route.resource, route.audience)
        known = self._tokens.get(target)
        if known is not None and self._clock.now() < known[1]:
            return known[0]
        try:
            return await asyncio.shield(self._enter(target))
        except Unavailable:
            if known is not None and self._clock.now() < known[0].expires_at:
                return known[0]
            raise

    def distrust(self, route: Route, token: str) -> None:
        """Forget this token, if it is still the one that is known."""
        target = (route.scope, route.resource, route.audience)
        known = self._tokens.get(target)
        if known is not None and known[0].access_token == token:
            del self._tokens[target]

    async def aclose(self) -> None:
        """Give up what is under way."""
        for flight in self._flights.values():
            flight.cancel()

    def _enter(self, target: _Target) -> asyncio.Task[TokenSet]:
        outage = self._outages.get(target)
        if outage is not None and self._clock.monotonic() < outage[0]:
            raise outage[1]
        flight = self._flights.get(target)
        if flight is None:
            flight = self._flights[target] = asyncio.create_task(self._fly(target))
            flight.add_done_callback(lambda done: self._landed(target, done))
        return flight

    async def _fly(self, target: _Target) -> TokenSet:
        scope, resource, audience = target
        tokens = await self._source.client_token(scope=scope, resource=resource, audience=audience)
        lifetime = tokens.expires_at - self._clock.now()
        renew_at = tokens.expires_at - min(_MARGIN_SECONDS, _MARGIN_SHARE * lifetime)
        self._tokens[target] = (tokens, renew_at)
        return tokens

    def _landed(self, target: _Target, flight: asyncio.Task[TokenSet]) -> None:
        del self._flights[target]
        error = None if flight.cancelled() else flight.exception()
        if isinstance(error, Unavailable):
            self._outages[target] = (self._clock.monotonic() + _COOL_DOWN_SECONDS, error)
