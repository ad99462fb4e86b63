"""A simulated internet: origins lead to ASGI applications, over one httpx transport, without a socket.

Everything that crosses it is kept, so that a test can look at the wire itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import httpx

from bff.clock import Clock
from bff.gate.front import FRONT

AsgiApp = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as the wire carried them."""

    method: str
    url: str
    request_headers: tuple[tuple[bytes, bytes], ...]
    request_body: bytes
    response: httpx.Response

    def sent(self, name: str) -> list[bytes]:
        """The values of one request header."""
        return [value for field, value in self.request_headers if field.lower() == name.encode()]


class Internet(httpx.AsyncBaseTransport):
    """Whoever asks for an origin reaches the application put there; an origin without one refuses to connect."""

    def __init__(self) -> None:
        self.hosts: dict[str, AsgiApp] = {}
        self.clocks: dict[str, Clock] = {}
        self.requests: list[tuple[str, str]] = []
        self.exchanges: list[Exchange] = []

    def put(self, origin: str, app: AsgiApp, *, clock: Clock | None = None) -> None:
        """Let an origin (``scheme://host[:port]``) lead to an application; with a clock its answers are dated."""
        self.hosts[origin] = app
        if clock is not None:
            self.clocks[origin] = clock

    def take_down(self, origin: str) -> None:
        """Let connections to an origin be refused."""
        self.hosts.pop(origin, None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        self.requests.append((request.method, str(request.url)))
        app = self.hosts.get(origin)
        if app is None:
            raise httpx.ConnectError("connection refused", request=request)
        body = _Body(request)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                response = await _call(app, request, body)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time", request=request) from error
        if origin in self.clocks:
            response.headers["date"] = formatdate(self.clocks[origin].now(), usegmt=True)
        headers = tuple(request.headers.raw)
        await body.rest()
        self.exchanges.append(Exchange(request.method, str(request.url), headers, bytes(body.read), response))
        return response

    def to(self, origin: str, method: str | None = None) -> list[Exchange]:
        """What went to one origin, by one method or by any."""
        return [one for one in self.exchanges if one.url.startswith(f"{origin}/") and method in {None, one.method}]


class HeldAnswers:
    """An origin that acts on requests to one path and keeps its answers until ``released`` is set.

    ``acted`` is set as soon as the first answer is ready: what happened inside cannot be undone any more.
    """

    def __init__(self, internet: Internet, origin: str, path_end: str) -> None:
        self.acted, self.released = asyncio.Event(), asyncio.Event()
        self._app, self._path_end = internet.hosts[origin], path_end
        internet.hosts[origin] = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].endswith(self._path_end):
            await self._app(scope, receive, send)
            return
        held: list[Any] = []

        async def hold(message: Any) -> None:
            held.append(message)

        await self._app(scope, receive, hold)
        self.acted.set()
        await self.released.wait()
        for message in held:
            await send(message)


class _Body:
    """A request's body: in one piece where it is one, else as it comes, so that a slow one is slow."""

    def __init__(self, request: httpx.Request) -> None:
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        self._chunks, self._is_whole = aiter(stream), isinstance(stream, httpx.ByteStream)
        self.ended, self.read = False, bytearray()

    async def next(self) -> bytes:
        """The next piece; ``ended`` says whether it was the last."""
        chunk: bytes = await anext(self._chunks, b"")
        self.ended = self._is_whole or not chunk
        self.read += chunk
        return chunk

    async def rest(self) -> None:
        """Take what nobody has asked for."""
        while not self.ended:
            await self.next()


async def _call(app: AsgiApp, request: httpx.Request, body: _Body) -> httpx.Response:
    """One request to one application, with the header names and the path's bytes just as they were sent."""
    gone = asyncio.Event()
    start: dict[str, Any] = {}
    chunks: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if not body.ended:
            return {"type": "http.request", "body": await body.next(), "more_body": not body.ended}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))

    path, _, query = request.url.raw_path.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [
            (name.lower(), value) for name, value in request.headers.raw if name.lower() != b"transfer-encoding"
        ],
        "client": ("127.0.0.1", 50000),
        "server": (request.url.host, request.url.port or 80),
        "state": {FRONT: True},
    }
    await app(scope, receive, send)
    return httpx.Response(start["status"], headers=start["headers"], content=b"".join(chunks), request=request)
