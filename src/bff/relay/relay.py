"""The path of one relayed call, readable from top to bottom: a sealed cookie comes in, a bearer token goes out.

A plain ASGI app. Whatever stops a call before its response has begun is raised as a BFFError, to be rendered where
this is called; what happens later can only close the connection. No OPTIONS is relayed, and no upgrade but to a
WebSocket on a route that takes one.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from bff.clock import Clock
from bff.errors import BFFError, MalformedRequest, UpgradeRefused, UpstreamUnauthorized
from bff.gate.antiforgery import Antiforgery
from bff.relay.call import Call, Scope, Send
from bff.relay.callers import PRESENTED, Callers, RelayVault
from bff.relay.event_stream import EventStream, is_encoded, is_event_stream
from bff.relay.fair_use import FairUse
from bff.relay.headers import Crossing, bearer_challenge, crossing, returned
from bff.relay.lasting import Endings, Lasting, let_go_of_cookies
from bff.relay.paths import canonical, canonical_query
from bff.relay.presence import BrowserGone, Presence, Receive, Watch
from bff.relay.request_body import RequestBody
from bff.relay.route import Route
from bff.relay.route_table import RouteTable
from bff.relay.upstream import Upstream, UpstreamRequest, UpstreamResponse, with_token
from bff.relay.websocket_calls import WebSocketCalls
from bff.relay.websocket_upstream import WebSocketUpstream

__all__ = ["PRESENTED", "WHOLE", "Relay"]

Observe = Callable[[str, int, float], None]
StatusOf = Callable[[BFFError], int]

WHOLE: Final = "bff.response.whole"
"""Our own server's extension to ASGI: ``await whole(status, headers, body)`` answers completely. Others get two."""
_UNAUTHORIZED: Final = 401


class Relay:
    """``/api/*``: path → route → anti-forgery → session → token → upstream → stream back.

    ``public_origin`` is ``public_url``'s (``https://app.example``). ``observe(route path, status, seconds)`` is called
    when an admitted call has ended, with its answer or with the error that ``status_of`` knows the status of; ``clock``
    measures its seconds.
    """

    def __init__(  # noqa: PLR0913 — what the composition root wires, each by its name
        self,
        routes: RouteTable,
        gate: Antiforgery,
        vault: RelayVault,
        callers: Callers,
        upstream: Upstream,
        endings: Endings,
        *,
        public_origin: str,
        clock: Clock,
        status_of: StatusOf,
        fair_use: FairUse | None = None,
        observe: Observe | None = None,
        websockets: WebSocketUpstream | None = None,
    ) -> None:
        public = urlsplit(public_origin)
        self._routes, self._gate, self._vault, self._callers, self._upstream = routes, gate, vault, callers, upstream
        self._about_us = [
            (b"x-forwarded-proto", public.scheme.encode("ascii")),
            (b"x-forwarded-host", public.netloc.encode("ascii")),
        ]
        self._clock, self._observe, self._fair_use = clock, observe, fair_use or FairUse()
        self._status_of = status_of
        self._watch, self._lasting = Watch(), Lasting(endings, vault, clock)
        self._sockets = WebSocketCalls(
            websockets or WebSocketUpstream(clock),
            callers=callers,
            vault=vault,
            lasting=self._lasting,
            about_us=self._about_us,
            clock=clock,
        )

    def matches(self, scope: Scope) -> bool:
        """Say whether this request is the relay's to answer, well-formed or not."""
        return scope["type"] == "websocket" or self._routes.owns(scope["raw_path"])

    def upgrades(self, raw_path: bytes) -> bool:
        """Say whether the server may admit a WebSocket at this path."""
        return self._routes.takes_websockets(raw_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay one call; raise the BFFError that stopped it."""
        try:
            path = canonical(scope["raw_path"])
        except MalformedRequest:
            path = self._routes.path_of(scope["raw_path"], scope.get("method", "GET"))
        query = canonical_query(scope["query_string"])
        if scope["type"] == "websocket":
            route, target, crossed = self._upgrade(scope, path)
        elif scope["method"] == "OPTIONS":
            await self._name_methods(path, send)
            return
        else:
            route, target = self._routes.match(path, scope["method"])
            self._gate.check(route.antiforgery, scope["method"], scope["headers"])
            crossed = crossing(scope["headers"], route)
        if scope.get("client"):
            self._fair_use.admit_address(scope["client"][0])
        caller = await self._callers.of(scope, route, crossed)
        request_target = target + b"?" + query if query else target
        call = Call(scope, receive, send, route, crossed, request_target, caller)
        if caller.mark is None:
            await self._relay(call)
            return
        self._fair_use.enter(caller.mark)
        try:
            await self._relay(call)
        finally:
            self._fair_use.leave(caller.mark)

    def _upgrade(self, scope: Scope, path: bytes) -> tuple[Route, bytes, Crossing]:
        """The route of a WebSocket's handshake; what it says about its own connection concerns us alone."""
        route, target = self._routes.match(path, "GET")
        if not route.websocket:
            raise UpgradeRefused
        self._gate.check("websocket", "GET", scope["headers"])
        return route, target, crossing([field for field in scope["headers"] if field[0] != b"upgrade"], route)

    async def _relay(self, call: Call) -> int | None:
        """One request up, one response down, for as long as the browser waits for it; or a WebSocket, to its end.

        Answers with which status; None where the browser left first.
        """
        began = self._clock.monotonic()
        try:
            if call.scope["type"] == "websocket":
                status = await self._sockets.relay(call)
            else:
                with Presence(call.receive, self._watch) as presence:
                    status = await self._exchange(call, presence)
        except BrowserGone:
            return None
        except BFFError as error:
            if self._observe is not None:
                self._observe(call.route.path, self._status_of(error), self._clock.monotonic() - began)
            raise
        if self._observe is not None:
            self._observe(call.route.path, status, self._clock.monotonic() - began)
        return status

    async def _exchange(self, call: Call, presence: Presence) -> int:
        """Ask, and ask once more with another token where the API refuses this one and nothing is lost by it."""
        request = self._request(call, presence)
        try:
            return await self._stream(call, request, presence)
        except UpstreamUnauthorized as refusal:
            if request.body is not None and not request.body.repeatable:
                raise
            caller = await self._callers.again(call.route, call.caller, refusal.challenge)
            if caller is None or caller.token is None:
                raise
            return await self._stream(replace(call, caller=caller), with_token(request, caller.token), presence)

    async def _stream(self, call: Call, request: UpstreamRequest, presence: Presence) -> int:
        """Pass the response on, block by block; the upstream is done with before the last byte is handed over."""
        async with self._upstream.exchange(call.route, request) as response:
            start, last = self._start(call, response), response.whole
            if last is None:
                if not response.request_under_way:
                    presence.watch()
                if is_event_stream(response.headers):
                    await self._stream_events(call, start, response)
                else:
                    await call.send(start)
                    async for block in response.body:
                        await call.send({"type": "http.response.body", "body": block, "more_body": True})
        presence.unwatch()
        await self._finish(call, start, last)
        return response.status

    async def _stream_events(self, call: Call, start: MutableMapping[str, Any], response: UpstreamResponse) -> None:
        """Pass an event stream on for as long as its session and its token permit; only then is its length known."""
        with self._lasting.end_of(call.scope, call.route, call.caller) as over:
            start["headers"] = [field for field in start["headers"] if field[0] != b"content-length"]
            await call.send(start)
            let_go_of_cookies(call.scope, call.caller)
            stream = EventStream(call.send, readable=not is_encoded(start["headers"]))
            await stream.relay(response.body, over)

    async def _finish(self, call: Call, start: MutableMapping[str, Any], last: bytes | None) -> None:
        """Send the end of a response that has begun, or all of one that came in one piece, in one piece."""
        whole = call.scope.get("extensions", {}).get(WHOLE) if last is not None else None
        if whole is not None:
            await whole(start["status"], start["headers"], last)
            return
        if last is not None:
            await call.send(start)
        await call.send({"type": "http.response.body", "body": last or b"", "more_body": False})

    def _request(self, call: Call, presence: Presence) -> UpstreamRequest:
        route, crossed = call.route, call.crossed
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
        return UpstreamRequest(
            method=call.scope["method"], target=call.target, headers=call.headers(self._about_us), body=body
        )

    def _start(self, call: Call, response: UpstreamResponse) -> MutableMapping[str, Any]:
        """The response's head. The session's cookies are decided here, in the instant it is sent, and nowhere else."""
        if response.status == _UNAUTHORIZED:
            raise UpstreamUnauthorized(bearer_challenge(response.headers))
        headers = returned(response.headers, response.status, call.route, call.target)
        presented = call.caller.presented
        if presented is not None:
            due = self._vault.cookies_due(presented, slides=call.crossed.slides)
            if due:
                headers += [cookie.header() for cookie in due]
        return {"type": "http.response.start", "status": response.status, "headers": headers}

    async def _name_methods(self, path: bytes, send: Send) -> None:
        """Answer OPTIONS ourselves: the methods, and no CORS field, so that every preflight fails (ATK-25, ATK-65)."""
        allowed = ", ".join(sorted(self._routes.methods_of(path) | {"OPTIONS"})).encode("ascii")
        headers = [(b"allow", allowed), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
