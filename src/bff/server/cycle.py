"""One request and its answer, as uvicorn runs them, with fewer steps for an answer that comes in one piece."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from bff.relay.headers import Headers, ends_a_line
from bff.relay.relay import WHOLE

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

_BODILESS = frozenset({204, 304})


class Signal(Struct, eq=False):
    """An ``asyncio.Event`` that is only made where somebody waits for it: most requests have no body to wait for."""

    _set: bool = False
    _event: asyncio.Event | None = None

    def set(self) -> None:
        """Something has happened."""
        self._set = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """It is known."""
        self._set = False
        if self._event is not None:
            self._event.clear()

    async def wait(self) -> None:
        """Return when something has happened."""
        if not self._set:
            event = self._event = self._event or asyncio.Event()
            await event.wait()


class Cycle(RequestResponseCycle):
    """One request and its answer, which may also be given in one piece: the extension ``WHOLE``."""

    task: asyncio.Task[None]
    tasks: set[asyncio.Task[None]]

    async def run_asgi(self, app: Any) -> None:  # noqa: ANN401 — as uvicorn declares it
        """Run the app; the extension is taken back at its end, for scope and cycle would keep each other alive."""
        extended = cast("dict[str, Any]", self.scope)
        extended["extensions"] = {WHOLE: self.whole}
        try:
            await app(extended, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001 — because nobody above this task would hear of it
            await self._fall_short(error)
        else:
            if not (self.response_complete or self.disconnected):
                await self._fall_short(None)
        finally:
            del extended["extensions"]
            self.on_response = _nothing
            self.tasks.discard(self.task)

    async def _fall_short(self, error: BaseException | None) -> None:
        """The app gave no whole answer: say so where nothing was said yet, else break off."""
        self.logger.error("the application left its request unanswered", exc_info=error)
        if self.response_started or self.disconnected:
            self.transport.close()
        else:
            await self.send_500_response()

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Write a complete response in one piece: one pass over its fields, and one system call in place of two.

        ``headers`` have lower-case names. The length is ours to say; a HEAD keeps the one that it was given.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.scope["method"] == "HEAD":
            body = b""
        elif status not in _BODILESS:
            length = (b"content-length", b"%d" % len(body))
            if length not in headers:
                headers = [field for field in headers if field[0] != b"content-length"]
                headers.append(length)
        self.transport.write(self._head(status, headers) + body)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _head(self, status: int, headers: Headers) -> bytes:
        lines = list(map(b": ".join, (*self.default_headers, *headers)))
        if not self.keep_alive:
            lines.append(b"connection: close")
        if ends_a_line(b"".join(lines)):
            raise RuntimeError("a response header holds a line end")
        lines.append(b"\r\n")
        return STATUS_LINE[status] + b"\r\n".join(lines)


class OldCycle(Cycle):
    """An answer to HTTP/1.0, which knows no codings: without a length it ends with its connection (RFC 9112 6.1)."""

    until_close = False

    async def send(self, message: ASGISendEvent) -> None:
        """Take the framing from uvicorn, which would put the body in chunks."""
        if message["type"] == "http.response.start":
            headers = [field for field in message.get("headers", ()) if field[0].lower() != b"transfer-encoding"]
            message = {**message, "headers": headers}
            if all(name.lower() != b"content-length" for name, _ in headers):
                self.until_close, self.chunked_encoding = True, False
        elif message["type"] == "http.response.body" and self.until_close:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def _nothing() -> None:
    """What a response that is over calls when it ends."""
