"""One socket to an upstream, for one exchange at a time, with back-pressure in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final, cast

from bff.errors import ResourceAPITimeout, ResourceAPIUnavailable
from bff.relay.response_reader import ResponseReader

HIGH_WATER: Final = 64 * 1024


class UpstreamConnection(asyncio.Protocol):
    """Between ``begin`` and ``finish`` it belongs to one exchange; a byte that arrives outside of one closes it (F35).

    ``now`` is a monotonic clock in seconds; ``lost`` is called once, when the socket is gone. Time-outs are deadlines
    that ``check`` compares, so that a call which is answered in time has cost no timer.
    """

    __slots__ = (
        "_ended",
        "_error",
        "_loop",
        "_lost",
        "_now",
        "_paused",
        "_take_by",
        "_taken",
        "_transport",
        "_waiter",
        "_wrote",
        "answer_by",
        "born",
        "idle_since",
        "reader",
        "served",
    )

    def __init__(self, now: Callable[[], float], lost: Callable[[UpstreamConnection], None]) -> None:
        self._now, self._lost = now, lost
        self._loop = asyncio.get_running_loop()  # kept: before Python 3.12 each question for it is a system call
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._taken: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._ended = self._paused = self._wrote = False
        self._take_by = self.answer_by = inf
        self.born = self.idle_since = now()
        self.served = 0
        self.reader: ResponseReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; stop the socket while nobody takes what is here."""
        reader = self.reader
        if reader is None:
            self.abort()
            return
        try:
            reader.feed(data)
        except ResourceAPIUnavailable as error:
            self.fail(error)
            return
        if reader.held > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._waiter is not None and (reader.begun or reader.complete):
            self._wake()

    def eof_received(self) -> None:
        """The upstream will send nothing more; the socket closes, for nothing can be asked of it again."""
        self._ended = True
        if self.reader is not None:
            try:
                self.reader.end()
            except ResourceAPIUnavailable as error:
                self._error = self._error or error
            self.reader.reusable = False
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone, whoever closed it. A body without a length that ends so has not ended, but broken off."""
        self._ended = True
        if self._error is None:
            self._error = ResourceAPIUnavailable(type(error).__name__ if error else "the upstream closed")
        self._wake()
        self.resume_writing()
        self._lost(self)

    def pause_writing(self) -> None:
        """The upstream does not take what we send."""
        if not self._ended:
            self._taken = self._loop.create_future()

    def resume_writing(self) -> None:
        """It takes again."""
        taken, self._taken = self._taken, None
        if taken is not None and not taken.done():
            taken.set_result(None)

    @property
    def usable(self) -> bool:
        """Whether the socket stands, as far as we have heard."""
        return not self._ended and self._transport is not None and not self._transport.is_closing()

    @property
    def untouched(self) -> bool:
        """Whether it was lost on reuse before a byte of the response came: then the request was most likely unread."""
        return self.served > 1 and self._ended and self.reader is not None and not self.reader.touched

    def begin(self, method: str, head: bytes) -> ResponseReader:
        """Send a request's head; from here on what arrives is its response, and this its reader."""
        self._wrote = False
        self.served += 1
        reader = self.reader = ResponseReader(method)
        if self._transport is not None:
            self._transport.write(head)
        return reader

    async def send(self, data: bytes, seconds: float) -> None:
        """Send a part of the body; where the upstream does not take it for so long, it has failed."""
        if self._ended or self._transport is None:
            raise self._error or ResourceAPIUnavailable("the upstream closed")
        self._transport.write(data)
        if self._taken is not None:
            self._take_by = self._now() + seconds
            try:
                await self._taken
            finally:
                self._take_by = inf

    def wrote(self, seconds: float) -> None:
        """The request is written to its last byte: the upstream owes an answer within so many seconds."""
        self._wrote = True
        self.answer_by = self._now() + seconds

    async def until_begun(self, reader: ResponseReader) -> None:
        """Wait for the response's head; raises what ``fail`` was told, or how the socket ended."""
        while not reader.begun:
            await self._change()
        self.answer_by = inf

    async def block(self, seconds: float) -> bytes:
        """The next bytes of the body, empty at its end; each may take so many seconds."""
        reader = cast("ResponseReader", self.reader)
        if not reader.blocks and not reader.complete:
            self.answer_by = self._now() + seconds if self._wrote else inf
            while not reader.blocks and not reader.complete:
                await self._change()
            self.answer_by = inf
        return self.take()

    def take(self) -> bytes:
        """The bytes of the body that are here; the upstream may go on sending."""
        block = self.reader.take() if self.reader is not None and self.reader.blocks else b""
        if self._paused and self._transport is not None and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return block

    def finish(self) -> bool:
        """End the exchange; answer whether another one may follow on this socket."""
        reader, self.reader, self.answer_by = self.reader, None, inf
        if reader is None:
            return False
        reader.close()
        return self._wrote and reader.complete and reader.reusable and self._error is None and self.usable

    def fail(self, error: Exception) -> None:
        """Close at once; whoever waits for this exchange is told."""
        self._error = self._error or error
        self.abort()
        self._wake()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """Compare the deadlines."""
        if now >= self.answer_by or now >= self._take_by:
            self.fail(ResourceAPITimeout("the upstream was reached, and is silent"))

    def _change(self) -> asyncio.Future[None]:
        if self._error is not None:
            raise self._error
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
