"""What a team may hang on relayed calls, since no middleware of theirs ever sees one (ADR 3): three named moments.

A relay without hooks is another class, so they cost a call nothing where there are none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Self

from msgspec import Struct, field

from bff.errors import BFFError
from bff.relay.call import Call
from bff.relay.headers import Headers
from bff.relay.relay import Relay
from bff.relay.upstream import UpstreamResponse
from bff.session.model import Session

_TOLD: Final = "bff.relayed_call"


class RelayedCall(Struct, frozen=True, kw_only=True):
    """One call, as hooks are told of it: the same object at each of its moments.

    ``path`` is the browser's own, byte for byte; ``route`` is the path of its ``[[route]]``. ``headers`` are the
    request's, with lower-case names and without Cookie. ``session`` is None for a visitor, and where the route reads
    none. ``notes`` is for the hooks: what one writes down, the next one finds.
    """

    method: str
    path: str
    route: str
    headers: Headers
    session: Session | None
    notes: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Tell nothing of the person, and no token."""
        return f"RelayedCall({self.method} {self.route})"

    @classmethod
    def of(cls, call: Call) -> Self:
        """Describe an admitted call."""
        presented = call.caller.presented
        return cls(
            method=call.scope.get("method", "GET"),  # a WebSocket's handshake is one
            path=call.scope["raw_path"].decode("ascii"),
            route=call.route.path,
            headers=[field for field in call.scope["headers"] if field[0] != b"cookie"],
            session=None if presented is None else presented.session,
        )


class Hooks(Struct, frozen=True, kw_only=True):
    """A team's own code at the relay's three moments; each may be left out.

    ``admitted(call)`` is awaited when path, method, page, session and token have been judged, before the API is asked:
    what it raises stops the call, and a BFFError becomes its problem. ``head(call, status, headers)`` sees the API's
    answer as the browser will, before a byte of it is sent, and may change the list. ``ended(call, status, seconds)``
    hears how an admitted call ended: with this status, a problem's included, or None where nobody was left to answer.
    A WebSocket has no head, and ends with 101. The last two must not wait.
    """

    admitted: Callable[[RelayedCall], Awaitable[None]] | None = None
    head: Callable[[RelayedCall, int, Headers], None] | None = None
    ended: Callable[[RelayedCall, int | None, float], None] | None = None


class HookedRelay(Relay):
    """A Relay that tells ``hooks`` of its calls."""

    def __init__(self, hooks: Hooks, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — Relay's own, passed on
        super().__init__(*args, **kwargs)
        self._hooks = hooks

    async def _relay(self, call: Call) -> int | None:
        """Relay one call between its first moment and its last."""
        told = call.scope.setdefault("state", {})[_TOLD] = RelayedCall.of(call)
        if self._hooks.admitted is not None:
            await self._hooks.admitted(told)
        began, status = self._clock.monotonic(), None
        try:
            status = await super()._relay(call)
        except BFFError as error:
            status = self._status_of(error)
            raise
        finally:
            if self._hooks.ended is not None:
                self._hooks.ended(told, status, self._clock.monotonic() - began)
        return status

    def _start(self, call: Call, response: UpstreamResponse) -> MutableMapping[str, Any]:
        """Show a head before it is sent."""
        start = super()._start(call, response)
        if self._hooks.head is not None:
            self._hooks.head(call.scope["state"][_TOLD], start["status"], start["headers"])
        return start
