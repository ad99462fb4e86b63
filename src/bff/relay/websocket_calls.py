"""A WebSocket's handshake, relayed: the session and its token on the way up, the upstream's answer on the way down."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

from msgspec.structs import replace

from bff.clock import Clock
from bff.errors import ResourceAPIUnavailable, UpstreamUnauthorized
from bff.relay.call import Call
from bff.relay.callers import Callers, RelayVault
from bff.relay.headers import Headers, bearer_challenge, returned
from bff.relay.lasting import Lasting, let_go_of_cookies
from bff.relay.presence import BrowserGone
from bff.relay.websocket import Browser, Tunnel
from bff.relay.websocket_upstream import HandshakeAnswered, UpstreamSocket, WebSocketUpstream

SWITCHED: Final = 101
_UNAUTHORIZED: Final = 401
_REFUSALS: Final = range(400, 600)


class WebSocketCalls:
    """Relays admitted handshakes, and what follows them. ``about_us`` is what every request says about ourselves."""

    def __init__(
        self,
        upstream: WebSocketUpstream,
        *,
        callers: Callers,
        vault: RelayVault,
        lasting: Lasting,
        about_us: Headers,
        clock: Clock,
    ) -> None:
        self._upstream, self._callers, self._vault = upstream, callers, vault
        self._lasting, self._about_us, self._clock = lasting, about_us, clock

    async def relay(self, call: Call) -> int:
        """Relay one, to its end; answers the status of the handshake.

        Raises BrowserGone where the browser left before it was answered, and the BFFError that stopped the handshake.
        """
        browser = Browser(call.scope, call.receive, call.send)
        await browser.knocked()
        async with AsyncExitStack() as stack:
            try:
                call, socket = await self._opened(call, browser, stack)
            except HandshakeAnswered as answered:
                await self._pass_on(call, browser, answered)
                return answered.status
            # Before the browser is answered, so that one session too many is refused by an HTTP status.
            over = stack.enter_context(self._lasting.end_of(call.scope, call.route, call.caller))
            await browser.accept(socket.subprotocol, self._cookies(call), max_message=call.route.max_message)
            let_go_of_cookies(call.scope, call.caller)
            await Tunnel(browser, socket, self._clock).run(over, call.route.stream_idle)
        return SWITCHED

    async def _opened(self, call: Call, browser: Browser, stack: AsyncExitStack) -> tuple[Call, UpstreamSocket]:
        """Ask, and ask once more with another token where the API refuses this one (rule F15)."""
        try:
            return call, await _unless_gone(browser, stack, self._handshake(call, browser))
        except HandshakeAnswered as answered:
            if answered.status != _UNAUTHORIZED:
                raise
            challenge = bearer_challenge(answered.headers)
        caller = await self._callers.again(call.route, call.caller, challenge)
        if caller is None:
            raise UpstreamUnauthorized(challenge)
        call = replace(call, caller=caller)
        try:
            return call, await _unless_gone(browser, stack, self._handshake(call, browser))
        except HandshakeAnswered as answered:
            if answered.status == _UNAUTHORIZED:
                raise UpstreamUnauthorized(bearer_challenge(answered.headers)) from None
            raise

    def _handshake(self, call: Call, browser: Browser) -> AbstractAsyncContextManager[UpstreamSocket]:
        return self._upstream.open(
            call.route, call.target, call.headers(self._about_us), offer=browser.offered(call.route.subprotocols)
        )

    async def _pass_on(self, call: Call, browser: Browser, answered: HandshakeAnswered) -> None:
        """The upstream's own refusal reaches the browser; anything else is no answer to a handshake."""
        if answered.status not in _REFUSALS:
            raise ResourceAPIUnavailable(f"the upstream answered a WebSocket handshake with {answered.status}")
        headers = returned(answered.headers, answered.status, call.route, call.target.partition(b"?")[0])
        headers = [field for field in headers if field[0] != b"content-length"] + self._cookies(call)
        await browser.answer(answered.status, headers, answered.body)

    def _cookies(self, call: Call) -> Headers:
        """The session's cookies, decided in the instant of the answer and nowhere else (rule F2)."""
        presented = call.caller.presented
        if presented is None:
            return []
        return [cookie.header() for cookie in self._vault.cookies_due(presented, slides=call.crossed.slides)]


async def _unless_gone(
    browser: Browser, stack: AsyncExitStack, handshake: AbstractAsyncContextManager[UpstreamSocket]
) -> UpstreamSocket:
    """Open, and keep it open with the stack; raise BrowserGone as soon as nobody waits for it any more."""
    opening = asyncio.ensure_future(stack.enter_async_context(handshake))
    leaving = asyncio.ensure_future(browser.gone())
    try:
        await asyncio.wait({opening, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone = leaving.done()
        for task in (opening, leaving):
            task.cancel()
        await asyncio.wait({opening, leaving})
    if gone:
        raise BrowserGone
    return opening.result()
