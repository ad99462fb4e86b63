"""An answer without an end of its own ends with its session, with its token, or with this process (C12, rule F28)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from math import inf
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from bff.clock import Clock
from bff.relay.callers import Caller, RelayVault
from bff.relay.route import Route
from bff.session.cookies import Jar
from bff.session.endings import Reason
from bff.session.marks import Marks
from bff.session.model import Session

LEAVING: Final = "bff.leaving"
"""In the state of a request's scope: what the server ``set``s when it shuts down and waits for this answer."""


class End(Struct, frozen=True):
    """Why an answer that lasts is over; ``reason`` is why its session ended, and only where that is known.

    Everything else says nothing about the session: whoever still wants to listen asks again, with the cookies and the
    token of that moment, and is told then.
    """

    why: Literal["session", "token", "idle", "leaving", "store"]
    reason: Reason | None = None


class Endings(Protocol):
    """What keeps the ends of sessions in view, for as long as anybody waits for one."""

    def admit(self, marks: Marks) -> None:
        """Raise TooManyRequests where as many wait for this session's end as ever may."""
        ...

    async def end_of(self, marks: Marks, *, id_token_issued_at: float, until: float) -> Reason | None:
        """Why the session ended; None at the instant ``until``, and where that cannot be told any more."""
        ...


class _Leaving:
    """The server's way to say that it shuts down."""

    def __init__(self, over: asyncio.Future[End]) -> None:
        self._over = over

    def set(self) -> None:
        """End the answer."""
        _settle(self._over, End("leaving"))


def let_go_of_cookies(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Keep none while an answer lasts: they have been judged, and would be a seventh of what a stream weighs."""
    headers = scope["headers"]
    if isinstance(headers, list):  # the server holds the same list
        headers[:] = [field for field in headers if field[0] != b"cookie"]
    if caller.presented is not None:
        caller.presented.jar = Jar({})


class Lasting:
    """Hears, for each answer that lasts, of the first end that comes; it never keeps a session alive (rule F19)."""

    def __init__(self, endings: Endings, vault: RelayVault, clock: Clock) -> None:
        self._endings, self._vault, self._clock = endings, vault, clock

    @contextmanager
    def end_of(self, scope: MutableMapping[str, Any], route: Route, caller: Caller) -> Iterator[asyncio.Future[End]]:
        """A future that is done when the answer must end; raises TooManyRequests where this session has too many."""
        session = None if caller.presented is None or caller.mark is None else caller.presented.session
        if session is not None:
            self._endings.admit(Marks.of(session))
        over: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        scope.setdefault("state", {})[LEAVING] = _Leaving(over)
        token_end = inf if route.outlives_token else caller.expires_at
        watch = None
        if session is not None or token_end != inf:
            watch = asyncio.create_task(self._watch(over, caller, session, token_end))
        try:
            yield over
        finally:
            over.cancel()
            if watch is not None:
                watch.cancel()

    async def _watch(
        self, over: asyncio.Future[End], caller: Caller, session: Session | None, token_end: float
    ) -> None:
        if session is None or caller.presented is None:
            await asyncio.sleep(max(0.0, token_end - self._clock.now()))
            _settle(over, End("token"))
            return
        idle_end = self._vault.idle_end(caller.presented)
        reason = await self._endings.end_of(
            Marks.of(session), id_token_issued_at=session.id_token_issued_at, until=min(idle_end, token_end)
        )
        _settle(over, End("session", reason) if reason is not None else self._instant(session, token_end, idle_end))

    def _instant(self, session: Session, token_end: float, idle_end: float) -> End:
        """Which instant has come. These cookies tell of one idle time; the page's newest may tell of a later one."""
        now = self._clock.now()
        if now >= session.absolute_end:
            return End("session", Reason.ABSOLUTE)
        if now >= token_end:
            return End("token")
        return End("idle" if now >= idle_end else "store")


def _settle(over: asyncio.Future[End], end: End) -> None:
    if not over.done():
        over.set_result(end)
