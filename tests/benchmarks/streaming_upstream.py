"""An upstream whose answers last: ``python -m tests.benchmarks.streaming_upstream PORT``.

``/api/events`` sends events that say when they were sent, on the clock that all processes of a machine share.
``/api/idle`` says one word and then nothing. ``/api/down`` sends ``?bytes=``, ``/api/up`` takes what comes.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import suppress
from urllib.parse import parse_qs

import uvloop

_BLOCK = bytes(256 * 1024)
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path, _, query = head.split(b" ", 2)[1].decode().partition("?")
            asked = {name: int(values[0]) for name, values in parse_qs(query).items()}
            if path == "/api/events":
                await _events(writer, every=asked["every"] / 1000)
            elif path == "/api/idle":
                writer.write(_EVENTS + _chunk(b": here\n\n"))
                await reader.read()
            elif path == "/api/down":
                await _down(writer, asked["bytes"])
            else:
                await _up(head, reader, writer)
    writer.close()


async def _events(writer: asyncio.StreamWriter, *, every: float) -> None:
    """One event about so often, at random moments, so that streams do not march in step; until the reader leaves."""
    writer.write(_EVENTS)
    while not writer.is_closing():
        await asyncio.sleep(random.uniform(0.5, 1.5) * every)
        writer.write(_chunk(b"data: %d\n\n" % time.monotonic_ns()))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _down(writer: asyncio.StreamWriter, left: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % left)
    while left > 0:
        writer.write(_BLOCK[:left])
        left -= len(_BLOCK)
        await writer.drain()


async def _up(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
    while left > 0:
        block = await reader.read(min(left, len(_BLOCK)))
        if not block:
            return
        left -= len(block)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
