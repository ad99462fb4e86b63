"""Where an upstream stops speaking, and how: it says nothing more, it hangs up, or its machine is gone.

    async with RawUpstream(UPSTREAM_STOPS["in a chunk"].act(resets)) as upstream:

``begun`` is the body that the browser may have had by then, None where not even a head has come.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.world.upstream import Act, Received

Leave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def stalls(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing more until the peer leaves."""
    await reader.read()


async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up: FIN."""
    writer.close()


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be gone as a killed process is: RST, once the peer has had what was sent."""
    await asyncio.sleep(0.03)
    peer: socket.socket = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(frozen=True, slots=True)
class UpstreamStop:
    """What is said before it stops, and what of it is a body."""

    said: bytes
    begun: bytes | None = None

    def act(self, leave: Leave) -> Act:
        """Say it, and leave in that way."""

        async def act(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(self.said)
            await writer.drain()
            await leave(reader, writer)

        return act


_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_FIRST: Final = b"5\r\nhalf.\r\n"
WITHOUT_A_LENGTH: Final = "in a body without a length"

UPSTREAM_STOPS: Final = {
    "before its head": UpstreamStop(b""),
    "in its status line": UpstreamStop(b"HTTP/1.1 2"),
    "in its head": UpstreamStop(_OK + b"X-A"),
    "before its head's last line": UpstreamStop(_OK),
    "behind an interim response": UpstreamStop(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "in a body with a length": UpstreamStop(_OK + b"Content-Length: 10\r\n\r\nhalf.", b"half."),
    "before the first chunk": UpstreamStop(_CHUNKED, b""),
    "in a chunk": UpstreamStop(_CHUNKED + b"a\r\nhalf.", b"half."),
    "behind a chunk, before its line ends": UpstreamStop(_CHUNKED + b"5\r\nhalf.", b"half."),
    "between two chunks": UpstreamStop(_CHUNKED + _FIRST, b"half."),
    "in a chunk's size": UpstreamStop(_CHUNKED + _FIRST + b"1", b"half."),
    "in a chunk's extension": UpstreamStop(_CHUNKED + _FIRST + b"5;a=", b"half."),
    "behind the last chunk": UpstreamStop(_CHUNKED + _FIRST + b"0\r\n", b"half."),
    "in the trailers": UpstreamStop(_CHUNKED + _FIRST + b"0\r\nX-Late: ", b"half."),
    WITHOUT_A_LENGTH: UpstreamStop(_OK + b"\r\nhalf.", b"half."),
}

BODY_FAULTS: Final = {
    "a size that is none": b"zz\r\n",
    "a size with a sign": b"+5\r\nhello\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n",
    "a size beyond 64 bits": b"11111111111111111\r\nhello\r\n",
    "an empty size": b"\r\nhello\r\n",
    "a chunk longer than its size": b"3\r\nhello\r\n",
    "a chunk whose line ends in LF": b"5\nhello\n",
    "another head in place of a chunk": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a trailer with a space in its name": b"0\r\nX A: y\r\n\r\n",
    "a trailer without a colon": b"0\r\nX-A\r\n\r\n",
    "a NUL in a trailer": b"0\r\nX-A: a\0b\r\n\r\n",
}
"""What follows a good head and a good chunk, ``half.``, and breaks the framing there."""


def breaks_its_body(fault: bytes) -> Act:
    """Begin well, then say this, and nothing more."""
    return UpstreamStop(_CHUNKED + _FIRST + fault, b"half.").act(stalls)
