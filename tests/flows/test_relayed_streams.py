"""What stays open through the whole application, over real sockets, while its session ends in another worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from bff.app import create_app as create_bff
from bff.server import uvicorn_config
from bff.session.endings import Reason
from tests.world.house import BFF_ORIGIN, House
from tests.world.serving import serving_here
from tests.world.upstream import RawUpstream, Received
from tests.world.websocket_upstream import SocketServer, echoes

pytestmark = pytest.mark.timeout(30)
PROMISED = 1.0


async def news(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One event, and then nothing."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
    await reader.read()


@asynccontextmanager
async def worker(house: House, *routes: dict[str, Any]) -> AsyncIterator[int]:
    """Another worker with the same keys and ledger, on a port of its own, that reaches its upstreams by sockets."""
    house.bff_overrides["route"] = list(routes)
    other = create_bff(house.settings())
    async with serving_here(uvicorn_config(other, host="127.0.0.1", port=0, drain_seconds=3)) as (port, _):
        yield port


async def signed_in(house: House) -> tuple[str, Any]:
    """The Cookie line of somebody who is signed in, and their browser."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    return house.cookie_header(tab.browser)[1], tab.browser


@pytest.mark.req("C12", "F10", "F13", "F28")
async def test_an_event_stream_ends_with_its_session_in_another_worker(house: House) -> None:
    """Within a second of the end the page reads why, and the API's connection is closed."""
    cookie, browser = await signed_in(house)
    async with RawUpstream(news) as upstream, worker(house, {"path": "/news/", "upstream": upstream.url}) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asked = f"GET /news/all HTTP/1.1\r\nHost: localhost:3000\r\nX-CSRF: 1\r\nCookie: {cookie}\r\n\r\n"
        writer.write(asked.encode())
        head = await reader.readuntil(b"data: 1\n\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"x-accel-buffering: no" in head
        began = time.monotonic()
        await house.bff.state.services.vault.end_session(await house.session(browser), Reason.SIGNED_OUT)
        rest = await reader.readuntil(b"0\r\n\r\n")
        assert time.monotonic() - began < PROMISED
        assert json.loads(rest.split(b"data: ")[1].split(b"\n")[0]) == {"reason": "signed_out"}
        await asyncio.wait_for(upstream.gone.wait(), PROMISED)
        assert b"cookie" not in upstream.received[0].head.lower()
        writer.close()


@pytest.mark.req("C11", "C12", "F10", "F13", "ATK-26")
async def test_a_websocket_ends_with_its_session_in_another_worker(house: House) -> None:
    """Within a second of the end the browser reads 4401 and why; before it, the person's own token opened it."""
    cookie, browser = await signed_in(house)
    async with SocketServer(echoes) as upstream:
        route = {"path": "/live/", "upstream": upstream.url, "methods": ["GET"], "websocket": True}
        async with worker(house, route) as port:
            opening: dict[str, Any] = {"host": "127.0.0.1", "port": port, "proxy": None, "compression": None}
            opening["additional_headers"] = {"Cookie": cookie}
            async with connect("ws://localhost:3000/live/x", origin=Origin(BFF_ORIGIN), **opening) as socket:
                await socket.send("hello")
                assert await socket.recv() == "hello"
                token = (await house.session(browser)).tokens.access_token
                assert upstream.handshakes[0].headers["Authorization"] == f"Bearer {token}"
                began = time.monotonic()
                await house.bff.state.services.vault.end_session(await house.session(browser), Reason.SIGNED_OUT)
                with suppress(ConnectionClosed):
                    await socket.recv()
                assert time.monotonic() - began < PROMISED
                assert socket.protocol.close_rcvd is not None
                assert (socket.protocol.close_rcvd.code, socket.protocol.close_rcvd.reason) == (4401, "signed_out")
