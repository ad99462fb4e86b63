"""The one stream of endings and generations, read from its start at boot and then as it grows (rule F10)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable
from bff.session.endings import Ending, EndingsView, Reason
from bff.session.key_ring import CLOCK_TOLERANCE
from bff.session.redis_connection import BLOCK_SECONDS, RedisStore
from bff.session.redis_scripts import APPEND, PAGE
from bff.telemetry.logs import get_logger

STREAM: Final = b"bff:{events}"
TRUSTED: Final = 1.0
_PAGE: Final = 2000
_START: Final = b"0-0"
_TRIM_EVERY: Final = 60.0

_log = get_logger(__name__)


class _Event(msgspec.Struct, frozen=True, array_like=True):
    """One entry. ``ended`` with ``before`` is of a subject; without a reason it is the news of a generation."""

    mark: bytes
    until: float
    generation: int = 0
    reason: str = ""
    at: float = 0.0
    before: float | None = None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[_Event])
_ARRAY: Final = b"\xdd"  # of so many, in four bytes
_REASONS: Final = {reason.value: reason for reason in Reason}


class RedisStream:
    """Feeds one view. An entry that was seen says nothing new when it is seen again, so reading twice does no harm."""

    def __init__(self, store: RedisStore, view: EndingsView, clock: Clock, *, keep_seconds: float) -> None:
        self._store = store
        self._view = view
        self._clock = clock
        self._keep_ms = int((keep_seconds + CLOCK_TOLERANCE) * 1000)
        self._seen = _START
        self._read_at: float | None = None
        self._trimmed_at = clock.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether a reading that began within the last second has succeeded."""
        return self._read_at is not None and self._clock.monotonic() - self._read_at < TRUSTED

    async def append_ending(self, ending: Ending) -> None:
        """Tell every process that something is over."""
        event = _Event(ending.mark, ending.until, 0, ending.reason.value, ending.at, ending.before)
        await self._append(event)

    async def append_generation(self, sid: bytes, generation: int, until: float) -> None:
        """Tell every process of a session's newest generation."""
        await self._append(_Event(sid, until, generation))

    async def read(self, *, wait: bool = False) -> None:
        """Take in all there is; ``wait`` a quarter of a second for more where there is nothing yet."""
        began, cursor = self._clock.monotonic(), self._seen
        while True:
            cursor, events = await (self._news(cursor) if wait else self._page(cursor))
            for event in events:
                self._learn(event)
            if events:
                self._seen = cursor
            if len(events) < _PAGE:
                break
        # A waiting read is as young as its end: had there been an entry, it would have come back at once.
        self._read_at = self._clock.monotonic() if wait else began
        self._trim()

    def rewind(self) -> None:
        """Read the last minutes again: a store that lost its newest entries may number new ones like them."""
        milliseconds = int(self._seen.partition(b"-")[0]) - int(CLOCK_TOLERANCE * 1000)
        self._seen = b"%d-0" % max(0, milliseconds)
        self._read_at = None

    async def _append(self, event: _Event) -> None:
        await self._store.run(APPEND, [STREAM], self._keep_ms, _encode(event), lasting=True)

    async def _page(self, cursor: bytes) -> tuple[bytes, list[_Event]]:
        """As many as fit into one page, behind the cursor; where there is none, the cursor."""
        last, count, events = await self._store.run(PAGE, [STREAM], cursor, _PAGE)
        return last, _decoded(count, events)

    async def _news(self, cursor: bytes) -> tuple[bytes, list[_Event]]:
        """The same, as soon as there is one."""
        command = ("XREAD", "COUNT", _PAGE, "BLOCK", int(BLOCK_SECONDS * 1000), "STREAMS", STREAM, cursor)
        reply: Any = await self._store.listen(*command)
        if not reply:
            return cursor, []
        found = reply[STREAM][0] if isinstance(reply, dict) else reply[0][1]
        return found[-1][0], _decoded(len(found), b"".join(fields[b"e"] for _, fields in found))

    def _learn(self, event: _Event) -> None:
        if event.reason:
            # A later version's reason is a reason all the same: what it ends is over, in words of this version.
            reason = _REASONS.get(event.reason, Reason.SIGNED_OUT)
            ending = Ending(mark=event.mark, reason=reason, at=event.at, until=event.until, before=event.before)
            self._view.learn(ending)
        else:
            self._view.learn_generation(event.mark, event.generation, event.until)

    def _trim(self) -> None:
        if self._clock.monotonic() - self._trimmed_at >= _TRIM_EVERY:
            self._trimmed_at = self._clock.monotonic()
            self._view.trim(self._clock.now())


def _decoded(count: int, events: bytes) -> list[_Event]:
    """Entries one behind the other are what a MessagePack array holds; nobody may guess what a later version's ends."""
    try:
        return _decoder.decode(_ARRAY + count.to_bytes(4) + events)
    except msgspec.MsgspecError as error:
        _log.error("unknown_event_in_the_session_store", cure="the same version everywhere")
        raise SessionStoreUnavailable("the session store holds an event of another version") from error
