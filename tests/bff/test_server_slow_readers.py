"""A browser that does not read what it is sent: it may be slow, and it may not hold on to us for ever (ATK-42)."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bff.server import WHOLE, taking, uvicorn_config
from tests.world.serving import serving

pytestmark = [pytest.mark.req("ATK-42"), pytest.mark.timeout(20)]
BLOCK = b" " * 65536
SECONDS = 0.25


class Sending:
    """An app that sends ``blocks`` of 64 KB and says when it is over: by its end, or because the browser left."""

    def __init__(self, blocks: int, *, whole: bool = False) -> None:
        self.blocks, self.whole = blocks, whole
        self.gone, self.done = threading.Event(), threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await receive()
        if self.whole:
            await scope["extensions"][WHOLE](200, [], BLOCK * self.blocks)
        else:
            await self._send(receive, send)
        self.done.set()

    async def _send(self, receive: Any, send: Any) -> None:
        departure = asyncio.create_task(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self.blocks):
            await send({"type": "http.response.body", "body": BLOCK, "more_body": True})
            if departure.done():
                self.gone.set()
                return
        await send({"type": "http.response.body"})


@contextmanager
def asked(app: Sending, monkeypatch: pytest.MonkeyPatch, fields: bytes = b"") -> Iterator[socket.socket]:
    """Somebody with a small receive buffer who has asked, and has not read yet."""
    monkeypatch.setattr(taking, "TAKE_SECONDS", SECONDS)
    with (
        serving(uvicorn_config(app, host="127.0.0.1", port=0, drain_seconds=1)) as port,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as peer,
    ):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        peer.settimeout(5)
        peer.connect(("127.0.0.1", port))
        peer.sendall(b"GET / HTTP/1.1\r\nHost: app.example\r\n" + fields + b"\r\n")
        yield peer


def test_a_browser_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of which nothing is taken for so long ends, and the app hears that its browser is gone."""
    app = Sending(100_000)
    with asked(app, monkeypatch):
        began = time.monotonic()
        assert app.gone.wait(5)
    assert SECONDS <= time.monotonic() - began < 3


def test_a_slow_browser_is_served_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it reads: what counts is that it takes something."""
    app = Sending(24)
    with asked(app, monkeypatch, b"Connection: close\r\n") as peer:
        began, received, slowly = time.monotonic(), 0, 2.5 * SECONDS
        while block := peer.recv(65536):
            received += len(block)
            if time.monotonic() - began < slowly:
                time.sleep(0.02)
    assert time.monotonic() - began > slowly
    assert received > 24 * len(BLOCK)


@pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n"], ids=["kept", "closing"])
def test_an_answer_that_is_written_whole_is_watched_too(monkeypatch: pytest.MonkeyPatch, fields: bytes) -> None:
    """What lies in our own buffer when the app is done is not kept for somebody who never comes for it."""
    app = Sending(200, whole=True)
    with asked(app, monkeypatch, fields) as peer:
        assert app.done.wait(5)
        time.sleep(2.5 * SECONDS)
        received = 0
        try:
            while block := peer.recv(65536):
                received += len(block)
        except ConnectionResetError:
            pass
    assert received < 200 * len(BLOCK)
