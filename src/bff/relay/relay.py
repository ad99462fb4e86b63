"""The path of one relayed call, readable from top to bottom: a sealed cookie comes in, a bearer token goes out.

A plain ASGI app. Whatever stops a call before its response has begun is raised as a BFFError, to be rendered where
this is called; what happens later can only close the connection. No upgrade is relayed, and no OPTIONS.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from bff.clock import Clock
from bff.errors import NoSession, SessionChanged, UpstreamUnauthorized
from bff.gate.antiforgery import Antiforgery
from bff.relay.headers import Crossing, bearer_challenge, crossing, outgoing, returned
from bff.relay.paths import canonical, canonical_query
from bff.relay.presence import BrowserGone, Presence, Receive
from bff.relay.request_body import RequestBody
from bff.relay.route import Route
from bff.relay.route_table import RouteTable
from bff.relay.upstream import Upstream, UpstreamRequest, UpstreamResponse
from bff.session.cookies import Jar, SetCookie
from bff.session.model import Session
from bff.session.vault import Presented
from bff.telemetry.logs import trace_id

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Observe = Callable[[str, int, float], None]

PRESENTED: Final = "bff.presented"
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class _Call:
    """One admitted call: ASGI's three, the route that permits it, what its head says, and the upstream's target."""

    scope: Scope
    receive: Receive
    send: Send
    route: Route
    crossed: Crossing
    target: bytes


class RelayVault(Protocol):
    """What the relay asks of a session vault."""

    async def find_session(self, jar: Jar) -> Presented:
        """What this jar presents; refusals lie in it."""
        ...

    def cookies_due(self, presented: Presented, *, slides: bool) -> list[SetCookie]:
        """The session cookies of a response, decided in the instant it starts."""
        ...

    def tag_matches(self, session: Session, claimed: str) -> bool:
        """Say, in constant time, whether a page's tag is this session's."""
        ...


class RelayTokens(Protocol):
    """What the relay asks of the keeper of access tokens."""

    async def fresh(self, presented: Presented) -> Session:
        """The session with an access token that works now."""
        ...


class Relay:
    """``/api/*``: path → route → anti-forgery → session → token → upstream → stream back.

    ``public_origin`` is ``public_url``'s (``https://app.example``). ``observe(route path, status, seconds)`` is called
    when a relayed response has ended; ``clock`` measures its seconds.
    """

    def __init__(
        self,
        routes: RouteTable,
        gate: Antiforgery,
        vault: RelayVault,
        tokens: RelayTokens,
        upstream: Upstream,
        *,
        public_origin: str,
        clock: Clock,
        observe: Observe | None = None,
    ) -> None:
        public = urlsplit(public_origin)
        self._routes, self._gate, self._vault, self._tokens, self._upstream = routes, gate, vault, tokens, upstream
        self._about_us = [
            (b"x-forwarded-proto", public.scheme.encode("ascii")),
            (b"x-forwarded-host", public.netloc.encode("ascii")),
        ]
        self._clock, self._observe = clock, observe

    def matches(self, scope: Scope) -> bool:
        """Say whether this request is the relay's to answer, well-formed or not."""
        return scope["type"] == "http" and self._routes.owns(scope["raw_path"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay one call; raise the BFFError that stopped it."""
        path, query = canonical(scope["raw_path"]), canonical_query(scope["query_string"])
        if scope["method"] == "OPTIONS":
            await self._name_methods(path, send)
            return
        route, target = self._routes.match(path, scope["method"])
        self._gate.check(route.antiforgery, scope["method"], scope["headers"])
        crossed = crossing(scope["headers"], route)
        session = await self._signed_in(scope, route, crossed)
        request_target = target + b"?" + query if query else target
        await self._exchange(_Call(scope, receive, send, route, crossed, request_target), session)

    async def _signed_in(self, scope: Scope, route: Route, crossed: Crossing) -> Session | None:
        """The session whose token goes along; None where the route wants none, or can do without one."""
        if route.token == "none":  # noqa: S105 — the name of a policy
            return None
        presented = await self._vault.find_session(Jar.read(scope["headers"]))
        scope.setdefault("state", {})[PRESENTED] = presented
        try:
            session = presented.require()
        except NoSession:
            if route.token == "user" or crossed.session_tag is not None:  # noqa: S105 — the name of a policy
                raise
            return None
        if crossed.session_tag is not None and not self._vault.tag_matches(
            session, crossed.session_tag.decode("latin-1")
        ):
            raise SessionChanged
        return await self._tokens.fresh(presented)

    async def _exchange(self, call: _Call, session: Session | None) -> None:
        """One request up, one response down, for as long as the browser waits for it."""
        began = self._clock.monotonic()
        try:
            async with Presence(call.receive) as presence:
                status = await self._stream(call, self._request(call, session, presence), presence)
        except BrowserGone:
            return
        if self._observe is not None:
            self._observe(call.route.path, status, self._clock.monotonic() - began)

    async def _stream(self, call: _Call, request: UpstreamRequest, presence: Presence) -> int:
        """Pass the response on, block by block; the upstream is done with before the last byte is handed over."""
        async with self._upstream.exchange(call.route, request) as response:
            start, last = self._start(call, response), response.whole
            if last is None:
                if not response.request_under_way:
                    presence.watch()
                await call.send(start)
                async for block in response.body:
                    await call.send({"type": "http.response.body", "body": block, "more_body": True})
            presence.unwatch()
        if last is not None:
            await call.send(start)
        await call.send({"type": "http.response.body", "body": last or b"", "more_body": False})
        return response.status

    def _request(self, call: _Call, session: Session | None, presence: Presence) -> UpstreamRequest:
        route, crossed, client = call.route, call.crossed, call.scope.get("client")
        body = None
        if crossed.has_body:
            body = RequestBody(
                call.receive,
                length=crossed.length,
                cap=route.max_body,
                idle_seconds=route.timeout,
                whole=presence.watch,
            )
        else:
            presence.watch()
        headers = outgoing(
            crossed,
            route,
            [*self._about_us, (b"traceparent", crossed.traceparent or _new_traceparent())],
            client=client[0] if client else None,
            token=session.tokens.access_token if session else None,
        )
        return UpstreamRequest(method=call.scope["method"], target=call.target, headers=headers, body=body)

    def _start(self, call: _Call, response: UpstreamResponse) -> MutableMapping[str, Any]:
        """The response's head. The session's cookies are decided here, in the instant it is sent, and nowhere else."""
        if response.status == _UNAUTHORIZED:
            raise UpstreamUnauthorized(bearer_challenge(response.headers))
        headers = returned(response.headers, response.status, call.route, call.target)
        presented = call.scope.get("state", {}).get(PRESENTED)
        if presented is not None:
            due = self._vault.cookies_due(presented, slides=call.crossed.slides)
            headers += [cookie.header() for cookie in due]
        return {"type": "http.response.start", "status": response.status, "headers": headers}

    async def _name_methods(self, path: bytes, send: Send) -> None:
        """Answer OPTIONS ourselves: the methods, and no CORS field, so that every preflight fails (ATK-25, ATK-65)."""
        allowed = ", ".join(sorted(self._routes.methods_of(path) | {"OPTIONS"})).encode("ascii")
        headers = [(b"allow", allowed), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _new_traceparent() -> bytes:
    """Continue this request's own trace id where one was set, else begin one (W3C Trace Context 3.2)."""
    known = trace_id.get()
    trace = known if _TRACE_ID.fullmatch(known) else secrets.token_hex(16)
    return f"00-{trace}-{secrets.token_hex(8)}-01".encode("ascii")
