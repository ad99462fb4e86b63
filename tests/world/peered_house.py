"""A whole BFF on its own server between a browser and an upstream that both speak bytes, with short patience.

with peered_house("httptools", folder) as house:
    house.mallory.says(...)                 # see tests.world.clients
    house.acting.acts[b"/api/x"] = act      # see tests.world.upstream
    house.nothing_is_left()
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bff.app import BFF, create_app
from bff.clock import SystemClock
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.routes import dependencies
from bff.server import StrictHTTPProtocol, uvicorn_config
from bff.session.cipher import Key, write_keys
from bff.session.cookies import Jar
from bff.settings import BFFSettings
from tests.world.clients import Visitor
from tests.world.relaying import session_of, token_set
from tests.world.serving import serving
from tests.world.upstream import (
    Act,
    RawUpstream,
    Received,
    echo,
    stalls_before_its_head,
    stalls_in_its_body,
    trickles,
)

STALL_SECONDS: Final = 0.4


class Counting:
    """An application that counts the calls under way in it, and knows the loop it runs on."""

    def __init__(self, app: BFF) -> None:
        self._app, self.under_way, self.loop = app, 0, asyncio.new_event_loop()
        self.loop.close()  # until the server's own one has called

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.under_way += scope["type"] != "lifespan"
        try:
            await self._app(scope, receive, send)
        finally:
            self.under_way -= scope["type"] != "lifespan"

    def tasks(self) -> int:
        """How many tasks the server's loop has, this question left out."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        return asyncio.run_coroutine_threadsafe(count(), self.loop).result(5)


class Acting:
    """An upstream that acts as its path names, and counts what is under way."""

    def __init__(self) -> None:
        self.under_way = self.flooded = 0
        self.acts: dict[bytes, Act] = {
            b"/api/thinks": stalls_before_its_head,
            b"/api/begins": stalls_in_its_body,
            b"/api/events": trickles(*[b"data: 1\n\n"] * 100, pause=0.02),
            b"/api/floods": self._flood,
        }

    async def __call__(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.under_way += 1
        try:
            await self.acts.get(request.target, echo)(request, reader, writer)
        finally:
            self.under_way -= 1

    async def _flood(self, _: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.flooded = 0
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 65536)
            await writer.drain()
            self.flooded += 65536


class House:
    """A BFF on a port, its upstream, and two people who are signed in."""

    def __init__(self, port: int, app: BFF, counting: Counting, upstream: RawUpstream, cookies: list[bytes]) -> None:
        self.app, self.counting, self.upstream = app, counting, upstream
        self.mallory, self.bob = (Visitor(port, cookie) for cookie in cookies)
        self.ours = isinstance(app._relay._upstream, HttptoolsUpstream)
        assert self.bob.asks().token == "token-of-bob"
        self._tasks = counting.tasks()

    def busy(self) -> int:
        """How many connections to the upstream serve somebody, as the BFF counts them."""
        upstream = self.app._relay._upstream
        if isinstance(upstream, HttptoolsUpstream):
            return sum(len(pool) - pool.idle for pool in upstream._pools.values())
        assert isinstance(upstream, HttpxUpstream)
        return sum(len(transport._pool.connections) for transport in upstream._transports.values())

    def nothing_is_left(self) -> None:
        """Within a second or two: no call, no task, no connection in use, and nobody waits at the upstream."""
        until(lambda: self.counting.under_way == 0, "calls under way")
        until(lambda: self.busy() == 0, "connections in use")
        until(lambda: self.acting.under_way == 0, "answers under way at the upstream")
        until(lambda: self.counting.tasks() <= self._tasks, "tasks")

    def bob_is_undisturbed(self, calls: int = 3) -> None:
        """Whoever calls next, on whatever connection, is answered about his own request."""
        for turn in range(calls):
            path = b"/api/of-bob-%d" % turn
            mine = self.bob.asks(path)
            assert (mine.status, mine.token) == (200, "token-of-bob")
            assert (mine.told["target"], mine.told["method"], mine.told["body"]) == (path.decode(), "GET", "")

    @property
    def acting(self) -> Acting:
        act = self.upstream.act
        assert isinstance(act, Acting)
        return act


def until(law: Callable[[], bool], what: str, *, seconds: float = 2.0) -> None:
    """Wait for something that must become true."""
    deadline = time.monotonic() + seconds
    while not law():
        assert time.monotonic() < deadline, f"{what} are left"
        time.sleep(0.01)


@contextmanager
def in_a_thread(upstream: RawUpstream) -> Iterator[None]:
    """Run an upstream on a loop of its own until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(5)

    async def close() -> None:
        await upstream.__aexit__(None, None, None)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def app_of(folder: Path, implementation: str, upstream: str) -> BFF:
    """A BFF as an operator configures it, with short patience."""
    write_keys(folder / "keys.json", (Key.generate(use_from=SystemClock().now() - 1000),))
    settings = BFFSettings.model_validate(
        {
            "public_url": "http://localhost:3000",
            "authority": {
                "issuer": "http://127.0.0.1:9",
                "client_id": "client",
                "client_secret": "k7Qw-2Zt9_bXr4Vn8Lm3",
            },
            "session": {"keys_file": folder / "keys.json", "ledger": f"file:{folder}/ledger.sqlite"},
            "relay": {"upstream": implementation},
            "route": [{"path": "/api/", "upstream": upstream, "timeout": STALL_SECONDS, "max_body": 1_500_000}],
        }
    )
    return create_app(settings)


def signed_in(app: BFF, subject: str) -> bytes:
    """The Cookie field's value of a new session."""
    session = session_of(subject, tokens=token_set(access_token=f"token-of-{subject}"))
    cookies = asyncio.run(app.state.services.vault.keep_session(session, Jar({})))
    return b"; ".join(one.name.encode() + b"=" + one.value for one in cookies if one.max_age != 0)


@contextmanager
def peered_house(implementation: str, folder: Path) -> Iterator[House]:
    """One house, with that implementation of the upstream."""
    upstream = RawUpstream(Acting())
    with pytest.MonkeyPatch.context() as patched, in_a_thread(upstream):
        patched.setattr(sys.modules[StrictHTTPProtocol.__module__], "HEAD_SECONDS", STALL_SECONDS)
        patched.setattr(dependencies, "FORM_SECONDS", STALL_SECONDS)
        app = app_of(folder, implementation, upstream.url)
        cookies = [signed_in(app, subject) for subject in ("mallory", "bob")]
        counting = Counting(app)
        with serving(uvicorn_config(counting, host="127.0.0.1", port=0, drain_seconds=1)) as port:
            yield House(port, app, counting, upstream, cookies)
