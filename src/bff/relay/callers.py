"""Whose token goes along with a call: the person's, the application's own, or nobody's (C6, rule F16)."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import partial
from math import inf
from typing import Any, Final, Protocol

from msgspec import Struct

from bff.errors import NoSession, SessionChanged
from bff.oidc.messages import Narrow, TokenSet
from bff.relay.client_tokens import ClientTokens
from bff.relay.headers import Crossing
from bff.relay.route import Route
from bff.relay.second_chance import SecondChances, speaks_of_the_token
from bff.session.cookies import Jar, Jars, SetCookie
from bff.session.model import Session
from bff.session.vault import Presented

PRESENTED: Final = "bff.presented"
_OURS: Final = b"client"


class RelayVault(Protocol):
    """What the relay asks of a session vault."""

    async def find_session(self, jar: Jar, *, bodiless: bool = False) -> Presented:
        """What this jar presents; refusals lie in it. Only a request without a body is evidence of misuse (F5)."""
        ...

    async def newest(self, session: Session) -> Session:
        """The newest generation of a session that can be reached from this one."""
        ...

    def cookies_due(self, presented: Presented, *, slides: bool) -> list[SetCookie]:
        """The session cookies of a response, decided in the instant it starts."""
        ...

    def idle_end(self, presented: Presented) -> float:
        """The instant at which a presented session is over if nothing happens any more."""
        ...

    def tag_matches(self, session: Session, claimed: str) -> bool:
        """Say, in constant time, whether a page's tag is this session's."""
        ...


class RelayTokens(Protocol):
    """What the relay asks of the keeper of access tokens."""

    async def fresh(self, presented: Presented) -> Session:
        """The session with an access token that works now."""
        ...

    async def instead_of(self, presented: Presented, distrusted: str) -> Session:
        """The session with another access token than the one an API refused, if one can be had."""
        ...

    async def fresh_for(self, presented: Presented, narrow: Narrow) -> TokenSet:
        """One API's own access token of this session, that works now."""
        ...

    async def instead_for(
        self, presented: Presented, narrow: Narrow, distrusted: str, *, permitted: Callable[[], bool]
    ) -> TokenSet | None:
        """Another of them than the one that API refused: one that is known, or a new one where ``permitted``."""
        ...


class Caller(Struct, frozen=True):
    """Who calls, and with which token. ``mark`` names a session, where there is one; ``ours``: the token is our own.

    ``expires_at`` is the instant at which the token ends.
    """

    presented: Presented | None = None
    token: str | None = None
    mark: bytes | None = None
    expires_at: float = inf
    ours: bool = False

    def __repr__(self) -> str:
        """Tell no token."""
        return f"Caller(ours={self.ours})"


_NOBODY: Final = Caller()


class Callers:
    """Judges a call by its route's token policy. ``client`` needs a living session too, unless ``anonymous``."""

    def __init__(
        self, vault: RelayVault, tokens: RelayTokens, client_tokens: ClientTokens, chances: SecondChances
    ) -> None:
        self._vault, self._tokens, self._client_tokens, self._chances = vault, tokens, client_tokens, chances
        self._jars = Jars()

    async def of(self, scope: MutableMapping[str, Any], route: Route, crossed: Crossing) -> Caller:
        """The caller; raises a SessionError, or Unavailable where no token can be had."""
        if route.token == "none":  # noqa: S105 — the name of a policy
            return _NOBODY
        presented = await self._vault.find_session(self._jars.read(scope["headers"]), bodiless=not crossed.has_body)
        scope.setdefault("state", {})[PRESENTED] = presented
        try:
            session = presented.require()
        except NoSession:
            if crossed.session_tag is not None:
                raise
            return await self._stranger(route, presented)
        if crossed.session_tag is not None and not self._vault.tag_matches(
            session, crossed.session_tag.decode("latin-1")
        ):
            raise SessionChanged
        mark = presented.marks.sid if presented.marks is not None else None
        if route.token == "client":  # noqa: S105 — the name of a policy
            return _carrying(await self._client_tokens.token(route), presented, mark, ours=True)
        if route.narrow is not None:
            return _carrying(await self._tokens.fresh_for(presented, route.narrow), presented, mark)
        return _carrying((await self._tokens.fresh(presented)).tokens, presented, mark)

    async def again(self, route: Route, caller: Caller, challenge: str) -> Caller | None:
        """The same caller with another token than the one that an API refused; None where none may or can be had."""
        if caller.token is None or not speaks_of_the_token(challenge):
            return None
        tokens = await (self._our_other(route, caller.token) if caller.ours else self._other(route, caller))
        if tokens is None or tokens.access_token == caller.token:
            return None
        return _carrying(tokens, caller.presented, caller.mark, ours=caller.ours)

    async def _stranger(self, route: Route, presented: Presented) -> Caller:
        if route.anonymous:
            return _carrying(await self._client_tokens.token(route), presented, None, ours=True)
        if route.token == "user_or_none":  # noqa: S105 — the name of a policy
            return Caller(presented)
        raise NoSession

    async def _other(self, route: Route, caller: Caller) -> TokenSet | None:
        """What the session holds by now, or else a forced refresh, where rule F15 permits one."""
        presented, distrusted = caller.presented, caller.token
        if presented is None or caller.mark is None or distrusted is None:
            return None
        permitted = partial(self._chances.permitted, caller.mark, route.path, distrusted)
        if route.narrow is not None:
            return await self._tokens.instead_for(presented, route.narrow, distrusted, permitted=permitted)
        newest = await self._vault.newest(presented.require())
        if newest.tokens.access_token != distrusted:
            return newest.tokens
        if not permitted():
            return None
        return (await self._tokens.instead_of(presented, distrusted)).tokens

    async def _our_other(self, route: Route, distrusted: str) -> TokenSet | None:
        if not self._chances.permitted(_OURS, route.path, distrusted):
            return None
        self._client_tokens.distrust(route, distrusted)
        return await self._client_tokens.token(route)


def _carrying(tokens: TokenSet, presented: Presented | None, mark: bytes | None, *, ours: bool = False) -> Caller:
    return Caller(presented, tokens.access_token, mark, tokens.expires_at, ours)
