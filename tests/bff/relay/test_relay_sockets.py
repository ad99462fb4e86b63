"""The relay behind the real front, bytes in and bytes out: what two people on one server never see of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from bff.errors import BFFError
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.route_table import Route
from bff.server import taking, uvicorn_config
from tests.world.relaying import World
from tests.world.serving import serving, serving_here
from tests.world.upstream import (
    Act,
    RawUpstream,
    Received,
    closes_in_a_chunk,
    closes_in_its_body,
    echo,
    response,
    stalls_before_its_head,
    stalls_in_its_body,
)

pytestmark = pytest.mark.timeout(20)
PAGE = b"Host: localhost:3000\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n"


class Front:
    """The relay as an application: its refusals become bare statuses."""

    def __init__(self, relayed: World) -> None:
        self.relayed = relayed
        self.refused: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    await self.relayed.upstream.aclose()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.relayed.relay(scope, receive, watched)
        except BFFError as error:
            self.refused.append(type(error).__name__)
            if not begun:
                await send({"type": "http.response.start", "status": 418, "headers": []})
                await send({"type": "http.response.body", "body": b"refused"})


Opened = tuple[int, RawUpstream, Front, bytes]
OpensHouse = Callable[[Act], AbstractAsyncContextManager[Opened]]


@pytest.fixture(params=[HttptoolsUpstream, HttpxUpstream], ids=["ours", "httpx"])
def house(request: pytest.FixtureRequest) -> OpensHouse:
    """Return a maker of a front on a port, an upstream, and the Cookie header of somebody; on each in turn."""

    @asynccontextmanager
    async def opened(act: Act) -> AsyncIterator[Opened]:
        async with RawUpstream(act) as upstream:
            relayed = World(Route(path="/api/", upstream=upstream.url), upstream=request.param())
            ((_, cookie),) = await relayed.sign_in()
            front = Front(relayed)
            with serving(uvicorn_config(front, host="127.0.0.1", port=0, drain_seconds=1)) as port:
                yield port, upstream, front, b"Cookie: " + cookie + b"\r\n"

    return opened


async def talk(port: int, raw: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(5):
        received = await reader.read()
    writer.close()
    return received


@pytest.mark.req("BBA-16", "F36", "BCP-18")
async def test_a_call_through_the_front(house: OpensHouse) -> None:
    """A browser's request becomes the API's, trailers dropped, and its answer comes back whole."""
    async with house(echo) as (port, upstream, _, cookie):
        head = (
            b"POST /api/todolist?x=%2F HTTP/1.1\r\n"
            + PAGE
            + cookie
            + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        answer = await talk(port, head + b"5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    (received,) = upstream.received
    assert (received.method, received.target, received.body) == ("POST", b"/api/todolist?x=%2F", b"hello")
    assert len(received.all_of("authorization")) == 1
    assert "evil" not in received.all_of("authorization")[0]
    assert received.all_of("x-forwarded-for") == ["127.0.0.1"]
    assert received.all_of("cookie") == []


@pytest.mark.req("F35", "ATK-37")
async def test_no_request_becomes_anothers_body(house: OpensHouse) -> None:
    """A declared body that never comes is not filled with the next person's request head, token included."""
    async with house(echo) as (port, upstream, front, cookie):
        head = b"POST /api/todolist HTTP/1.1\r\n" + PAGE + cookie + b"Content-Length: 50\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"only a part")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await talk(port, b"GET /api/todolist HTTP/1.1\r\n" + PAGE + cookie + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(1):
            await upstream.broken.wait()
        assert [request.method for request in upstream.received] == ["GET"]
        assert await reader.read() == b""
        assert front.refused == []


@pytest.mark.req("C10")
@pytest.mark.parametrize("act", [stalls_before_its_head, stalls_in_its_body])
async def test_a_closed_tab_closes_the_upstream(house: OpensHouse, act: Act) -> None:
    """Within a second of the browser's departure the upstream's connection is gone."""
    async with house(act) as (port, upstream, front, cookie):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/todolist HTTP/1.1\r\n" + PAGE + cookie + b"\r\n")
        await upstream.arrived.wait()
        writer.close()
        async with asyncio.timeout(1):
            await upstream.gone.wait()
        assert front.refused == []


@pytest.mark.req("F35")
@pytest.mark.parametrize("act", [closes_in_its_body, closes_in_a_chunk])
async def test_a_response_that_breaks_off_closes_the_browsers_connection(house: OpensHouse, act: Act) -> None:
    """The browser can tell that it did not get everything: the length is not met, the last chunk does not come."""
    async with house(act) as (port, _, front, cookie):
        answer = await talk(port, b"GET /api/todolist HTTP/1.1\r\n" + PAGE + cookie + b"\r\n")
    assert b"half." in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"content-length: 10" in answer or b"transfer-encoding: chunked" in answer
    assert front.refused == ["ResourceAPIUnavailable"]


@pytest.mark.req("ATK-42", "C16")
async def test_a_slow_reader_slows_the_upstream(house: OpensHouse) -> None:
    """What nobody reads is not piled up here: the upstream's own socket fills."""
    written = 0

    async def floods(_: Any, __: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 65536)
            await writer.drain()
            written += 65536

    async with house(floods) as (port, upstream, _, cookie):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /api/todolist HTTP/1.1\r\n" + PAGE + cookie + b"\r\n")
        await reader.readexactly(16)
        before = -1
        async with asyncio.timeout(5):
            while written != before:
                before = written
                await asyncio.sleep(0.1)
        assert 0 < written < 32 * 1024 * 1024
        writer.transport.abort()
        async with asyncio.timeout(2):
            await upstream.gone.wait()


@pytest.mark.req("ATK-42")
async def test_an_unread_answer_gives_its_connection_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who reads nothing of a large answer holds its connection for a while, and then others have it."""
    monkeypatch.setattr(taking, "TAKE_SECONDS", 0.2)

    async def floods_once(request: Received, _: Any, writer: asyncio.StreamWriter) -> None:
        if request.target == b"/api/small":
            writer.write(response())
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 65536)
            await writer.drain()

    async with RawUpstream(floods_once) as upstream:
        relayed = World(Route(path="/api/", upstream=upstream.url), upstream=HttptoolsUpstream(max_connections=1))
        ((_, cookie),) = await relayed.sign_in()
        asks = PAGE + b"Cookie: " + cookie + b"\r\n"
        config = uvicorn_config(Front(relayed), host="127.0.0.1", port=0, drain_seconds=1)
        async with serving_here(config) as (port, _):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET /api/large HTTP/1.1\r\n" + asks + b"\r\n")
            await upstream.arrived.wait()
            answer = await talk(port, b"GET /api/small HTTP/1.1\r\n" + asks + b"Connection: close\r\n\r\n")
            writer.transport.abort()
            await relayed.upstream.aclose()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_kept_connection_serves_call_after_call(house: OpensHouse) -> None:
    """A refusal in between does not cost the browser its connection."""
    async with house(echo) as (port, upstream, front, cookie):
        good = b"GET /api/todolist HTTP/1.1\r\n" + PAGE + cookie
        bad = b"GET /api//todolist HTTP/1.1\r\n" + PAGE + cookie
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        statuses = []
        for request in (good, bad, good):
            writer.write(request + b"\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(int(head.split(b" ", 2)[1]))
            if b"content-length" in head:
                await reader.readexactly(int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]))
            else:
                await reader.readuntil(b"0\r\n\r\n")
        writer.close()
    assert statuses == [200, 418, 200]
    assert len(upstream.received) == 2
    assert front.refused == ["MalformedRequest"]
