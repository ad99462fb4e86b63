"""A simulated internet: origins lead to ASGI applications, over one httpx transport, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

AsgiApp = Callable[..., Awaitable[None]]


class Internet(httpx.AsyncBaseTransport):
    """Whoever asks for an origin reaches the application put there; an origin without one refuses to connect."""

    def __init__(self) -> None:
        self.hosts: dict[str, AsgiApp] = {}
        self.requests: list[tuple[str, str]] = []

    def put(self, origin: str, app: AsgiApp) -> None:
        """Let an origin (``scheme://host[:port]``) lead to an application."""
        self.hosts[origin] = app

    def take_down(self, origin: str) -> None:
        """Let connections to an origin be refused."""
        self.hosts.pop(origin, None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        self.requests.append((request.method, str(request.url)))
        app = self.hosts.get(origin)
        if app is None:
            raise httpx.ConnectError("connection refused", request=request)
        return await _call(app, request)


async def _call(app: AsgiApp, request: httpx.Request) -> httpx.Response:
    """One request to one application, with the header names and the path's bytes just as they were sent."""
    stream = request.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    body = b"".join([chunk async for chunk in stream])
    sent = [{"type": "http.request", "body": body, "more_body": False}]
    gone = asyncio.Event()
    start: dict[str, Any] = {}
    chunks: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if sent:
            return sent.pop()
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
        "state": {},
    }
    await app(scope, receive, send)
    return httpx.Response(start["status"], headers=start["headers"], content=b"".join(chunks), request=request)
