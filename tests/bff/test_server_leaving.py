from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from bff.relay.lasting import LEAVING
from bff.server import uvicorn_config
from tests.world.serving import serving


async def endless(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application whose one answer ends when the server leaves."""
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    leaving = scope["state"].setdefault(LEAVING, asyncio.Event())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"open", "more_body": True})
    await leaving.wait()
    await send({"type": "http.response.body", "body": b"closed"})


@pytest.mark.req("F28")
def test_a_stream_without_an_end_does_not_hold_up_the_shutdown() -> None:
    """The server says that it is leaving, and the stream closes well before the time that other answers may take."""
    with socket.socket() as peer:
        peer.settimeout(10)
        with serving(uvicorn_config(endless, host="127.0.0.1", port=0, drain_seconds=60)) as port:
            peer.connect(("127.0.0.1", port))
            peer.sendall(b"GET /bff/events HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while b"open" not in received:
                received += peer.recv(65536)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        while chunk := peer.recv(65536):
            received += chunk
    assert b"closed" in received
