"""One call of a page on a connection of its own, so cheap that two hundred at once measure the other side alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a status, the cookies to keep or drop, and the body as far as it is a problem."""

    status: int
    cookies: tuple[tuple[str, str | None], ...]
    body: bytes

    @property
    def reason(self) -> str:
        """Why a session is over, or what else is the matter."""
        told = json.loads(self.body)
        found: str = told.get("reason", told["type"])
        return found


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is under way: its answer can be awaited, or it is left at any point, as by a closed laptop."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def begin(cls, port: int, path: str, host: str, cookie: str, *, upload: int | None = None) -> Call:
        """Send a GET, or the head of an upload of so many bytes; raises ``OSError``."""
        reader, writer = await asyncio.open_connection("localhost", port)
        method, more = "GET", ""
        if upload is not None:
            method, more = "POST", f"origin: http://{host}\r\ncontent-length: {upload}\r\n"
        common = f"host: {host}\r\nx-csrf: 1\r\ncookie: {cookie}\r\nconnection: close\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{common}{more}\r\n"
        writer.write(head.encode())
        return cls(reader, writer)

    def send(self, body: bytes) -> None:
        """Send a part of the upload."""
        self.writer.write(body)

    async def answer(self, *, seconds: float = SECONDS) -> Reply:
        """The whole answer; raises ``OSError`` and ``TimeoutError``."""
        try:
            async with asyncio.timeout(seconds):
                received = await self.reader.read()
        finally:
            self.writer.close()
        return _parsed(received)

    async def beginning(self, size: int) -> bytes:
        """So many bytes of the answer."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.readexactly(size)

    def leave(self) -> None:
        """Be gone at once, whatever is still on its way."""
        self.writer.transport.abort()


async def get(port: int, path: str, host: str, cookie: str) -> Reply:
    """One GET of the page; raises ``OSError`` and ``TimeoutError``."""
    async with asyncio.timeout(SECONDS):
        call = await Call.begin(port, path, host, cookie)
        return await call.answer()


def _parsed(received: bytes) -> Reply:
    lines, _, body = received.partition(b"\r\n\r\n")
    if not lines:
        raise ConnectionResetError("no answer")
    status, *fields = lines.decode("latin-1").split("\r\n")
    set_cookies = [value.strip() for name, _, value in (one.partition(":") for one in fields) if name == "set-cookie"]
    return Reply(int(status.split()[1]), tuple(_kept(one) for one in set_cookies), body)


def _kept(set_cookie: str) -> tuple[str, str | None]:
    pair, _, attributes = set_cookie.partition(";")
    name, _, value = pair.partition("=")
    return name, None if "Max-Age=0" in attributes else value
