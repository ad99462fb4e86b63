"""The same requests, read by the server's own front and by h11, and told in the same words.

The front is driven as a loop drives it, over a transport that only collects: no socket, so that many streams fit.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.server import ServerState

from bff.server import StrictHTTPProtocol, uvicorn_config

_ROOM = 1 << 20  # of h11 for one head: the bound that is judged is ours
_FEW, _MANY = (
    2,
    40,
)  # turns of the loop: between two segments, and more than an application needs that waits for nothing


@dataclass(slots=True)
class Asked:
    """One request as far as it came: ``whole`` once its body has ended."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    whole: bool = False


class Front:
    """The front of one test, and an application behind it that answers 204 to every whole request."""

    def __init__(self) -> None:
        self._asked: list[Asked] = []
        self._config = uvicorn_config(self._app, host="127.0.0.1", port=0)
        self._config.load()

    async def reads(self, segments: list[bytes]) -> list[Asked]:
        """Every request of this connection that reached the application, in their order."""
        asked = self._asked = []
        state, transport = ServerState(), _Collecting()
        front = StrictHTTPProtocol(config=self._config, server_state=state, app_state={})
        front.connection_made(transport)
        for segment in segments:
            if transport.is_closing():
                break
            front.data_received(segment)
            await _settled(state, _FEW)
        await _settled(state, _MANY)
        front.connection_lost(None)
        await _settled(state, _MANY)
        return asked

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        target = scope["raw_path"] + b"?" + scope["query_string"]
        fields = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        asked = Asked(scope["method"].encode(), target, fields)
        self._asked.append(asked)
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            asked.body, more = asked.body + message["body"], message["more_body"]
        asked.whole = True
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class _Collecting(asyncio.Transport):
    """The other end of a socket, as far as a protocol sees it."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 3000), "peername": ("127.0.0.1", 50000)})
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def close(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed

    def get_write_buffer_size(self) -> int:
        """Everything is taken at once."""
        return 0

    def pause_reading(self) -> None:
        """The next segment comes when all that came before is answered, anyway."""

    def resume_reading(self) -> None:
        """See ``pause_reading``."""


async def _settled(state: ServerState, turns: int) -> None:
    for _ in range(turns):
        if not state.tasks:
            return
        await asyncio.sleep(0)


def h11s(segments: list[bytes]) -> tuple[list[Asked], bool]:
    """The same by an independent reader, which answers each request before it reads the next one.

    And whether bytes are left that are no request, or none yet.
    """
    connection, asked = h11.Connection(h11.SERVER, max_incomplete_event_size=_ROOM), list[Asked]()
    try:
        for segment in segments:
            if segment:
                connection.receive_data(segment)
                _events(connection, asked)
    except h11.RemoteProtocolError:
        return asked, True
    return asked, bool(connection.trailing_data[0])


def _events(connection: h11.Connection, asked: list[Asked]) -> None:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            path, _, query = event.target.partition(b"?")  # ASGI tells no empty query from none
            asked.append(Asked(event.method, path + b"?" + query, list(event.headers)))
        elif isinstance(event, h11.Data):
            asked[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            asked[-1].whole = True
            connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()
        else:
            return
