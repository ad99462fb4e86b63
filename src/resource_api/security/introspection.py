"""Opaque tokens: what they mean is asked of the authorization server that issued them (RFC 7662).

Its answer is judged as a JWT's claims are, by profile ``jwt``: audience, times, kind, client, caller. Nobody's flood of
invented tokens becomes a flood of questions: each is asked once at a time, few at a time, and a refusal is remembered.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus

import httpx

from resource_api.clock import Clock
from resource_api.errors import IntrospectionUnavailable, InvalidToken
from resource_api.security.claims import text
from resource_api.security.fetching import read_object
from resource_api.security.principal import Principal
from resource_api.security.profiles import PROFILES, check_audience, check_times
from resource_api.security.rules import TokenRules

TAKEN_SECONDS: Final = 60.0
"""How long an active token is remembered at most: as long as its revocation may go unnoticed (RFC 7662 4)."""
REFUSED_SECONDS: Final = 10.0
MAX_REFUSED: Final = 4096
MAX_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """Where to ask, and as whom: a client of the authorization server's own (RFC 7662 2.1, ``client_secret_basic``)."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)


class Introspector:
    """Turns an opaque token into the Principal that its issuer says it stands for."""

    def __init__(
        self, settings: Introspection, *, issuer: str, rules: TokenRules, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._rules = rules
        self._client = client
        self._clock = clock
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._flights: dict[bytes, asyncio.Task[Principal]] = {}
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

    async def verify(self, token: bytes, digest: bytes) -> Principal:
        """The caller of this token. Raises InvalidToken, or IntrospectionUnavailable where nobody can tell."""
        if self._refused.get(digest, 0.0) > self._clock.monotonic():
            raise InvalidToken("7 introspection", "refused a moment ago")
        flight = self._flights.get(digest)
        if flight is None:
            flight = self._flights[digest] = asyncio.get_running_loop().create_task(self._asked(token, digest))
            flight.add_done_callback(lambda done: self._landed(digest, done))
        return await asyncio.shield(flight)  # whoever stops waiting does not stop the question for the others

    async def aclose(self) -> None:
        """Give up the questions under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights)

    def _landed(self, digest: bytes, flight: asyncio.Task[Principal]) -> None:
        del self._flights[digest]
        if not flight.cancelled():
            flight.exception()  # seen here, so that a question nobody waited for does not end as a warning

    async def _asked(self, token: bytes, digest: bytes) -> Principal:
        async with self._places:
            answer, _ = await read_object(self._client, self._request(token), IntrospectionUnavailable)
        try:
            return self._judged(answer)
        except InvalidToken:
            self._refused[digest] = self._clock.monotonic() + REFUSED_SECONDS
            if len(self._refused) > MAX_REFUSED:
                self._refused.popitem(last=False)
            raise

    def _request(self, token: bytes) -> httpx.Request:
        """RFC 7662 2.1; a client's id and secret are form-encoded before they become Basic (RFC 6749 2.3.1)."""
        pair = f"{quote_plus(self._settings.client_id)}:{quote_plus(self._settings.client_secret)}"
        return self._client.build_request(
            "POST",
            self._settings.url,
            data={"token": token.decode("ascii"), "token_type_hint": "access_token"},
            headers={"Authorization": f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"},
        )

    def _judged(self, answer: Mapping[str, Any]) -> Principal:
        """RFC 7662 2.2 and 4: active, for us, in time, and a bearer token; what it leaves out is filled narrowly."""
        active = answer.get("active")
        if not isinstance(active, bool):
            raise IntrospectionUnavailable(f"{self._settings.url} does not say whether the token is active")
        if not active:
            raise InvalidToken("7 introspection", "not active")
        now = self._clock.now()
        claims = {"iss": self._issuer, "iat": now, "exp": now + TAKEN_SECONDS, **answer}
        claims.setdefault("sub", claims.get("client_id"))  # a token without a person is its client's own
        kind = claims.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise InvalidToken("11 kind", "its token_type is not Bearer")
        if claims["iss"] != self._issuer:
            raise InvalidToken("5 issuer", f"iss is not {self._issuer}")
        check_audience(claims, self._rules)
        check_times(claims, self._rules, now)
        text(claims, "sub", "14 caller")
        return PROFILES["jwt"].principal(claims, self._rules)
