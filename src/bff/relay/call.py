"""One admitted call, as the steps of the relay hand it on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from msgspec import Struct

from bff.relay.callers import Caller
from bff.relay.headers import Crossing, Headers, outgoing
from bff.relay.presence import Receive
from bff.relay.route import Route
from bff.telemetry.logs import trace_id
from bff.telemetry.traces import new_span_id, new_trace_id

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_TRACE_DIGITS: Final = 32


class Call(Struct, frozen=True):
    """One admitted call: ASGI's three, the route that permits it, what its head says, and the upstream's target."""

    scope: Scope
    receive: Receive
    send: Send
    route: Route
    crossed: Crossing
    target: bytes
    caller: Caller

    def headers(self, about_us: Headers) -> Headers:
        """Every field of the request to the upstream but its framing; ``about_us`` is what we say about ourselves."""
        client = self.scope.get("client")
        return outgoing(
            self.crossed,
            self.route,
            [*about_us, (b"traceparent", self.crossed.traceparent or _new_traceparent())],
            client=client[0] if client else None,
            token=self.caller.token,
        )


def _new_traceparent() -> bytes:
    """Continue this request's own trace id where one was set, else begin one (W3C Trace Context 3.2)."""
    known = trace_id.get()
    trace = known if len(known) == _TRACE_DIGITS else new_trace_id()
    return f"00-{trace}-{new_span_id()}-01".encode("ascii")
