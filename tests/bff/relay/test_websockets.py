"""WebSockets through the relay, over real sockets on both sides: who may open one, what passes, and how it ends."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Origin, Subprotocol

from bff import server
from bff.problems import problem_response
from bff.relay import websocket_upstream
from bff.relay.fair_use import FairUse
from bff.relay.route_table import Route
from bff.relay.websocket import UPGRADES
from bff.relay.websocket_upstream import WebSocketUpstream
from bff.server import uvicorn_config
from bff.session.cookies import Jar
from bff.session.ending_watch import MOST_OF_ONE_SESSION
from bff.session.endings import Reason
from tests.world.relaying import ACCESS_TOKEN, ORIGIN, Pairs, World, token_set
from tests.world.serving import serving_here
from tests.world.upstream import RawUpstream, closes_before_its_head, response, says, stalls_before_its_head
from tests.world.websocket_upstream import (
    BINARY,
    BROKEN_HANDSHAKES,
    CLOSE,
    CONTINUED,
    PING,
    TEXT,
    Handler,
    SocketServer,
    accepts,
    echoes,
    floods,
    frame,
    says_goodbye,
)

pytestmark = [pytest.mark.live, pytest.mark.timeout(30)]  # most of them wait: for pings, for silence, for slow peers
PROMISED = 1.0


class Front:
    """The relay as an application, with its problems."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"][UPGRADES] = self.world.relay.upgrades
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.world.relay(scope, receive, watched)
        except Exception as error:
            if begun:
                raise
            await problem_response(error, "trace")(scope, receive, send)


class House:
    """A front on a port, an upstream, and somebody signed in."""

    def __init__(self, world: World, cookie: Pairs, port: int, server: Any) -> None:
        self.world, self.cookie, self.port, self.server = world, cookie, port, server

    def open(self, path: str = "/live/x", *, cookie: bool = True, **given: Any) -> connect:
        """Open a WebSocket as our page would; each header may be given otherwise."""
        headers = {"Cookie": self.cookie[0][1].decode()} if cookie else {}
        options: dict[str, Any] = {
            "origin": Origin(ORIGIN),
            "additional_headers": headers,
            "host": "127.0.0.1",
            "port": self.port,
            "compression": None,
            "proxy": None,
            "ping_interval": None,
            "max_size": None,
            "close_timeout": 1,
        }
        return connect(f"ws://localhost:3000{path}", **(options | given))

    async def end_session(self, reason: Reason = Reason.SIGNED_OUT) -> None:
        """Sign the person out, as another tab would."""
        presented = await self.world.vault.find_session(Jar.read(self.cookie))
        await self.world.vault.end_session(presented.require(), reason)

    async def refused(self, path: str = "/live/x", **given: Any) -> Response:
        """The answer to a handshake that is not accepted."""
        with pytest.raises(InvalidStatus) as refused:
            await self.open(path, **given)
        return refused.value.response


@asynccontextmanager
async def house(url: str, *, signing: dict[str, Any] | None = None, **overrides: Any) -> AsyncIterator[House]:
    """A house with one route that takes WebSockets, and one that does not."""
    fair_use = overrides.pop("fair_use", None)
    taking: dict[str, Any] = {"path": "/live/", "upstream": url, "websocket": True, "methods": frozenset({"GET"})}
    world = World(Route(**(taking | overrides)), Route(path="/api/", upstream=url), fair_use=fair_use)
    cookie = await world.sign_in(**(signing or {}))
    config = uvicorn_config(Front(world), host="127.0.0.1", port=0, drain_seconds=3)
    async with serving_here(config) as (port, server):
        yield House(world, cookie, port, server)


async def closed(connection: ClientConnection, within: float = PROMISED) -> tuple[int | None, str]:
    """The code and the reason that the browser reads, which must come in time."""
    async with asyncio.timeout(within):
        with suppress(ConnectionClosed):
            while True:
                await connection.recv()
    received = connection.protocol.close_rcvd
    return (None, "") if received is None else (received.code, received.reason)


# -- who may open one --------------------------------------------------------------------------------------------------


@pytest.mark.req("C11", "BBA-16", "H-5")
async def test_a_websocket_carries_the_token_and_not_the_cookie() -> None:
    """The API's handshake has the person's token and our account of the browser; cookie and Origin stay here."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        async with home.open("/live/room%20one?since=1") as browser:
            await browser.send("text")
            assert await browser.recv() == "text"
            await browser.send(b"\x00bytes")
            assert await browser.recv() == b"\x00bytes"
        (asked,) = upstream.handshakes
        assert asked.path == "/live/room%20one?since=1"
        assert asked.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"
        assert asked.headers["Host"] == upstream.url.removeprefix("http://")
        assert asked.headers["X-Forwarded-For"] == "127.0.0.1"
        assert asked.headers["X-Forwarded-Host"] == "localhost:3000"
        assert "traceparent" in asked.headers
        told = {name.lower() for name in asked.headers}
        assert told.isdisjoint({"cookie", "origin", "sec-websocket-extensions", "sec-websocket-protocol", "x-csrf"})
    assert home.world.observed[0][:2] == ("/live/", 101)


@pytest.mark.req("ATK-26", "F27", "H-5")
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"origin": None}, b"antiforgery-origin"),
        ({"origin": Origin("null")}, b"antiforgery-origin"),
        ({"origin": Origin("https://evil.example")}, b"antiforgery-origin"),
        ({"origin": Origin("http://localhost:3001")}, b"antiforgery-origin"),
        ({"origin": Origin("http://localhost:3000.evil.example")}, b"antiforgery-origin"),
        ({"user_agent_header": "x", "sec-fetch-site": "cross-site"}, b"antiforgery-cross-site"),
        ({"sec-fetch-site": "same-site"}, b"antiforgery-cross-site"),
    ],
)
async def test_a_foreign_page_opens_nothing(given: dict[str, Any], problem: bytes) -> None:
    """With the person's cookie and without our page's exact Origin there is no WebSocket, and the API is not asked."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        site = given.pop("sec-fetch-site", None)
        if site is not None:
            cookie = home.cookie[0][1].decode()
            given["additional_headers"] = {"Cookie": cookie, "Sec-Fetch-Site": site}
        refused = await home.refused(**given)
        assert refused.status_code == 403
        assert problem in bytes(refused.body or b"")
        assert upstream.handshakes == []


@pytest.mark.req("ATK-26", "C11")
@pytest.mark.parametrize(
    ("path", "cookie", "status"),
    [("/live/x", False, 401), ("/api/x", True, 400), ("/nowhere", True, 404), ("/live//x", True, 400)],
)
async def test_only_a_signed_in_person_and_only_where_a_route_says_so(path: str, cookie: bool, status: int) -> None:
    """Without a session, on a route for calls, or nowhere: an ordinary refusal, and the API is not asked."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        if status in {400, 404}:  # the server takes these for the plain requests that they also are
            page = {"X-CSRF": "1", "Cookie": home.cookie[0][1].decode()}
            assert (await home.refused(path, additional_headers=page)).status_code == status
        else:
            assert (await home.refused(path, cookie=cookie)).status_code == status
        assert upstream.handshakes == []


HANDSHAKE = {
    "line": b"GET /live/x HTTP/1.1",
    "Host": b"localhost:3000",
    "Upgrade": b"websocket",
    "Connection": b"Upgrade",
    "Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": b"13",
    "Origin": ORIGIN.encode(),
}
BROKEN: dict[str, tuple[dict[str, bytes | None], int]] = {
    "no key": ({"Sec-WebSocket-Key": None}, 400),
    "a short key": ({"Sec-WebSocket-Key": b"c2hvcnQ="}, 400),
    "a key that is no base64": ({"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ=*"}, 400),
    "two keys": (
        {"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="},
        400,
    ),
    "no version": ({"Sec-WebSocket-Version": None}, 426),
    "version 8": ({"Sec-WebSocket-Version": b"8"}, 426),
    "two versions": ({"Sec-WebSocket-Version": b"13\r\nSec-WebSocket-Version: 13"}, 426),
    "HTTP/1.0": ({"line": b"GET /live/x HTTP/1.0"}, 400),
    "POST": ({"line": b"POST /live/x HTTP/1.1"}, 400),
    "a body": ({"Content-Length": b"5"}, 400),
    "a sub-protocol that is none": ({"Sec-WebSocket-Protocol": b"a b"}, 400),
    "endless sub-protocols": ({"Sec-WebSocket-Protocol": b", ".join([b"abcdefgh"] * 200)}, 400),
    "two Hosts": ({"Host": b"localhost:3000\r\nHost: evil"}, 400),
}


async def say(port: int, head: bytes, more: bytes = b"") -> bytes:
    """Send bytes, and read what comes within a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + more)
    received = b""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(1):
            while block := await reader.read(65536):
                received += block
    writer.close()
    return received


def head_of(home: House, **changed: bytes | None) -> bytes:
    """The bytes of a handshake; None leaves a field out."""
    given = {**HANDSHAKE, "Cookie": home.cookie[0][1], **changed}
    line = given.pop("line")
    assert line is not None
    lines = [line, *(name.encode() + b": " + value for name, value in given.items() if value is not None)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.mark.req("F36", "ATK-26")
@pytest.mark.parametrize(("changed", "status"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_handshake_that_is_none_is_refused_by_the_front(changed: dict[str, bytes | None], status: int) -> None:
    """What RFC 6455 4.2.1 does not describe gets its status, and neither app nor API hear of it."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        answer = await say(home.port, head_of(home, **changed))
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert (b"sec-websocket-version: 13" in answer) is (status == 426)
        assert upstream.handshakes == []


@pytest.mark.req("F36", "ATK-37")
async def test_nothing_may_be_said_before_the_answer() -> None:
    """Bytes behind a handshake are no browser's: the connection ends, whether they come with it or after it."""
    async with RawUpstream(stalls_before_its_head) as upstream, house(upstream.url) as home:
        assert await say(home.port, head_of(home), frame(TEXT, b"early", masked=True)) == b""
        assert upstream.received == []
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
        writer.write(head_of(home))
        async with asyncio.timeout(PROMISED):
            await upstream.arrived.wait()
            writer.write(frame(TEXT, b"early", masked=True))
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            await upstream.gone.wait()
        writer.close()


async def test_a_cookie_line_of_any_size_that_a_head_may_have_is_taken() -> None:
    """The handshake is read once, by the parser that knows our limits."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        padded = home.cookie[0][1] + b"; other=" + b"x" * 12_000
        answer = await say(home.port, head_of(home, Cookie=padded))
        assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.req("C11")
@pytest.mark.parametrize(
    ("offered", "takes", "chosen"),
    [
        (["chat.v2", "token.eyJhbGciOi", "chat.v1"], ("chat.v1", "chat.v2"), "chat.v1"),
        (["chat.v2"], ("chat.v2",), "chat.v2"),
        (["chat.v2"], (), None),
        ([], (), None),
    ],
)
async def test_only_permitted_sub_protocols_cross(
    offered: list[str], takes: tuple[str, ...], chosen: str | None
) -> None:
    """The API hears only of those on the route's list, chooses among them, and the browser learns its choice."""
    given: Any = [Subprotocol(name) for name in offered] or None
    async with SocketServer(echoes, subprotocols=takes) as upstream:
        async with (
            house(upstream.url, subprotocols=("chat.v1", "chat.v2")) as home,
            home.open(subprotocols=given) as browser,
        ):
            assert browser.subprotocol == chosen
        assert "token.eyJhbGciOi" not in str(upstream.handshakes[0].headers)


@pytest.mark.req("C11")
async def test_a_sub_protocol_that_the_route_does_not_take_is_refused() -> None:
    """A browser that speaks something else would not be understood; it learns so at once."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        refused = await home.refused(subprotocols=[Subprotocol("mqtt")])
        assert refused.status_code == 400
        assert upstream.handshakes == []


# -- what the API may answer -------------------------------------------------------------------------------------------


@pytest.mark.req("C11", "C18")
@pytest.mark.parametrize(("status", "seen"), [(403, 403), (404, 404), (503, 503), (401, 401), (302, 502), (200, 502)])
async def test_an_apis_refusal_reaches_the_browser(status: int, seen: int) -> None:
    """What the API refuses is refused with its status; what is no answer to a handshake is its fault, and 502."""

    def refuses(connection: ServerConnection, _: Request) -> Response:
        answer = connection.respond(status, "no")
        answer.headers["Set-Cookie"] = "planted=1"
        if status == 302:
            answer.headers["Location"] = "https://evil.example"
        return answer

    async with SocketServer(echoes, process_request=refuses) as upstream, house(upstream.url) as home:
        refused = await home.refused()
        assert refused.status_code == seen
        assert "set-cookie" not in refused.headers
        assert len(upstream.handshakes) == 1


@pytest.mark.req("F15", "C18")
async def test_a_refused_token_is_replaced_and_the_handshake_repeated() -> None:
    """One new token, one new handshake: the rule for calls holds for WebSockets."""

    def refuses(connection: ServerConnection, request: Request) -> Response | None:
        if request.headers["Authorization"] != f"Bearer {ACCESS_TOKEN}":
            return None
        answer = connection.respond(401, "old")
        answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return answer

    async with SocketServer(echoes, process_request=refuses) as upstream, house(upstream.url) as home:
        async with home.open() as browser:
            cookies = browser.response.headers.get_all("Set-Cookie") if browser.response else []
            assert any(value.startswith(home.world.policy.session) for value in cookies)
        assert home.world.endpoint.calls == 1
        assert len(upstream.handshakes) == 2


@pytest.mark.req("ATK-44", "F35")
@pytest.mark.parametrize("act", BROKEN_HANDSHAKES.values(), ids=BROKEN_HANDSHAKES.keys())
async def test_a_broken_answer_to_a_handshake_is_502(act: Any) -> None:
    """An upstream that does not prove that it understood the handshake (RFC 6455 4.1) gets nothing of the browser's."""
    async with RawUpstream(act) as upstream, house(upstream.url) as home:
        assert (await home.refused()).status_code == 502


@pytest.mark.req("ATK-44")
@pytest.mark.parametrize(
    ("act", "status"),
    [
        (stalls_before_its_head, 504),
        (closes_before_its_head, 502),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), 502),
        (says(response(b"{}")), 502),
        (says(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 200 + b"\r\n"), 502),
    ],
)
async def test_a_handshake_that_is_not_answered_ends_in_time(act: Any, status: int) -> None:
    """Whatever an upstream does in place of an answer, the browser has one when the route's time is over."""
    async with RawUpstream(act) as upstream, house(upstream.url, timeout=0.5) as home:
        async with asyncio.timeout(2):
            assert (await home.refused()).status_code == status


async def test_an_upstream_that_is_not_there_is_502() -> None:
    """Nobody listens: the browser is told at once."""
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with house(f"http://127.0.0.1:{free.getsockname()[1]}") as home:
            assert (await home.refused()).status_code == 502


@pytest.mark.req("C11")
async def test_a_browser_that_leaves_during_the_handshake_frees_the_upstream() -> None:
    """Within a second nobody waits for an answer that nobody wants."""
    async with RawUpstream(stalls_before_its_head) as upstream, house(upstream.url) as home:
        _, writer = await asyncio.open_connection("127.0.0.1", home.port)
        writer.write(head_of(home))
        await upstream.arrived.wait()
        writer.close()
        async with asyncio.timeout(PROMISED):
            await upstream.gone.wait()


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.req("C11")
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1000, "done"), (1001, ""), (1011, "oops"), (4999, "ünï")])
async def test_a_close_is_passed_on_faithfully(code: int, reason: str) -> None:
    """Code and reason arrive on the other side as they were sent, in both directions."""
    async with SocketServer(says_goodbye(code, reason)) as leaving, house(leaving.url) as home, home.open() as browser:
        assert await closed(browser) == (code, reason)
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        async with home.open() as browser:
            await browser.close(code, reason)
        await upstream.closed.wait()
        assert upstream.closes == [(code, reason)]


@pytest.mark.req("C11")
async def test_a_close_without_a_code_stays_without_one() -> None:
    """An empty close frame is passed on as one (RFC 6455 7.1.5)."""
    async with RawUpstream(accepts(frame(CLOSE))) as raw, house(raw.url) as home, home.open() as browser:
        assert await closed(browser, 3) == (1005, "")
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
        writer.write(head_of(home))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(CLOSE, masked=True))
        async with asyncio.timeout(PROMISED):
            await upstream.closed.wait()
        assert upstream.closes == [(1005, "")]
        writer.close()


@pytest.mark.req("ATK-44", "C11")
@pytest.mark.parametrize("then", ["closes", "resets"])
async def test_an_upstream_that_breaks_off_is_told_as_such(then: str) -> None:
    """No close frame came, so none is invented: 1014 says that it was not us (bad gateway)."""
    act = accepts(frame(TEXT, b"half"), then=then)
    async with RawUpstream(act) as upstream, house(upstream.url) as home, home.open() as browser:
        assert await browser.recv() == "half"
        assert (await closed(browser, 3))[0] == 1014


@pytest.mark.req("ATK-44", "C11")
async def test_a_browser_that_breaks_off_frees_the_upstream() -> None:
    """A lost connection is no close: the API is told that the browser is going away, within a second."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        browser = await home.open()
        browser.transport.abort()
        async with asyncio.timeout(PROMISED):
            await upstream.closed.wait()
        assert upstream.closes == [(1001, "")]


@pytest.mark.req("C12", "F2")
@pytest.mark.parametrize("reason", [Reason.SIGNED_OUT, Reason.BACKCHANNEL])
async def test_a_websocket_ends_with_its_session(reason: Reason) -> None:
    """Within a second of the end the browser reads 4401 and why, and the API that it is over."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home, home.open() as browser:
        await home.end_session(reason)
        assert await closed(browser) == (4401, reason.value)
        async with asyncio.timeout(PROMISED):
            await upstream.closed.wait()
        assert upstream.closes == [(1001, "")]


@pytest.mark.req("C12")
async def test_a_websocket_that_is_read_by_nobody_ends_with_its_session_too() -> None:
    """Where the browser takes nothing, the end cannot be told; the API's side is closed in time all the same."""
    async with SocketServer(floods) as upstream, house(upstream.url) as home:
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port, limit=1024)
        writer.write(head_of(home))
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        await home.end_session()
        async with asyncio.timeout(PROMISED + 0.75):
            await upstream.closed.wait()
        writer.transport.abort()


@pytest.mark.req("C12")
@pytest.mark.parametrize(
    ("ahead", "outlives", "told"),
    [
        (601, False, (4401, "token_ended")),
        (31 * 60, True, (4401, "idle")),
        (13 * 3600, True, (4401, "absolute")),
    ],
)
async def test_a_websocket_ends_with_what_let_it_in(ahead: float, outlives: bool, told: tuple[int, str]) -> None:
    """The token that it was opened with, the idle time that its cookies told of, the session's absolute end."""
    given: dict[str, Any] = {"signing": {"tokens": token_set(expires_in=600)}, "outlives_token": outlives}
    async with SocketServer(echoes) as upstream, house(upstream.url, **given) as home, home.open() as browser:
        home.world.clock.advance(ahead)
        assert await closed(browser) == told


@pytest.mark.req("C12", "F19")
async def test_messages_keep_no_session_alive() -> None:
    """What is said on a WebSocket is no activity, and its token may end where the route leaves that to the API."""
    given: dict[str, Any] = {"signing": {"tokens": token_set(expires_in=600)}, "outlives_token": True}
    async with SocketServer(echoes) as upstream, house(upstream.url, **given) as home, home.open() as browser:
        home.world.clock.advance(1000)
        await asyncio.sleep(0.6)
        await browser.send("still there")
        assert await browser.recv() == "still there"
        home.world.clock.advance(900)
        assert await closed(browser) == (4401, "idle")


@pytest.mark.req("C11", "ATK-44")
async def test_silence_ends_a_websocket() -> None:
    """Where nobody says anything for the route's time, both sides are told; pings say nothing."""
    async with RawUpstream(accepts()) as upstream, house(upstream.url, stream_idle=0.5) as home:
        async with home.open() as browser:
            home.world.clock.advance(0.6)
            assert await closed(browser, 2) == (1001, "silence")
        async with asyncio.timeout(2):
            await upstream.gone.wait()


@pytest.mark.req("F28")
async def test_a_server_that_leaves_says_so() -> None:
    """At a shutdown the browser and the API read 1001, and the drain does not wait for them."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home, home.open() as browser:
        home.server.should_exit = True
        assert (await closed(browser, 2))[0] == 1001
        await upstream.closed.wait()
        assert upstream.closes == [(1001, "")]


# -- what may grow -----------------------------------------------------------------------------------------------------


@pytest.mark.req("ATK-44")
async def test_messages_have_a_bound_in_both_directions() -> None:
    """One byte more than the route permits closes with 1009 towards the browser; towards it, it is a bad gateway."""
    async with SocketServer(echoes) as upstream, house(upstream.url, max_message=1000) as home:
        async with home.open() as browser:
            await browser.send(b"x" * 1000)
            assert len(await browser.recv()) == 1000
            await browser.send(b"x" * 1001)
            assert (await closed(browser))[0] in {1009, None}
        async with asyncio.timeout(PROMISED):
            await upstream.closed.wait()
        assert upstream.closes == [(1009, upstream.closes[0][1])]
    too_big = accepts(frame(BINARY, b"x" * 1001))
    async with RawUpstream(too_big) as raw, house(raw.url, max_message=1000) as home, home.open() as browser:
        assert (await closed(browser, 3))[0] == 1014


def many(*, masked: bool, empty: bool) -> list[bytes]:
    """A message of countless frames that never ends."""
    return [
        frame(TEXT, b"", fin=False, masked=masked),
        *[frame(CONTINUED, b"" if empty else b"x", fin=False, masked=masked)] * 5000,
    ]


@pytest.mark.req("ATK-44")
@pytest.mark.parametrize("empty", [True, False])
async def test_a_message_of_countless_frames_is_refused(empty: bool) -> None:
    """Frames are counted, for an empty one adds nothing to a message's size; in both directions."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
        writer.write(head_of(home))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(many(masked=True, empty=empty)))
        async with asyncio.timeout(PROMISED):
            with suppress(ConnectionResetError):
                assert (await reader.read())[2:4] == (1009).to_bytes(2)
            await upstream.closed.wait()
        writer.close()
    endless = accepts(*many(masked=False, empty=empty))
    async with RawUpstream(endless) as raw, house(raw.url) as home, home.open() as browser:
        assert (await closed(browser, 3))[0] == 1014


@pytest.mark.req("ATK-44", "ATK-42", "C16")
async def test_a_slow_reader_slows_the_upstream() -> None:
    """What the browser does not read is not piled up here: the API is not listened to any more."""
    taken = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal taken
        while True:
            await connection.send(b"x" * 65536)
            taken += 65536

    assert await stands_still(handler, lambda: taken) < 32 * 1024 * 1024


@pytest.mark.req("ATK-44", "C16")
async def test_a_slow_upstream_slows_the_browser() -> None:
    """What the API does not read is not piled up here: the browser is not listened to any more."""

    async def handler(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    sent = 0
    async with SocketServer(handler) as upstream, house(upstream.url) as home:
        browser = await home.open()

        async def push() -> None:
            nonlocal sent
            while True:
                await browser.send(b"x" * 65536)
                sent += 65536

        pushing = asyncio.create_task(push())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert 0 < sent < 32 * 1024 * 1024
        pushing.cancel()
        browser.transport.abort()
        for connection in upstream._server.connections if upstream._server else ():
            connection.transport.abort()


async def stands_still(handler: Handler, count: Any) -> int:
    """How much a flooding API got rid of before a browser that reads nothing stopped it."""
    async with SocketServer(handler) as upstream, house(upstream.url) as home:
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port, limit=1024)
        writer.write(head_of(home))
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while count() != before:
            before = count()
            await asyncio.sleep(0.2)
        writer.transport.abort()
        async with asyncio.timeout(2):
            await upstream.closed.wait()
        return int(count())


@pytest.mark.req("ATK-44")
async def test_a_flood_of_pings_is_not_answered_into_the_void() -> None:
    """A browser that pings and takes no pong is not listened to any more: the answers do not pile up."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        browser = sockets.create_connection(("127.0.0.1", home.port))
        browser.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        browser.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(browser, head_of(home))
        await loop.sock_recv(browser, 4096)
        pings, sent = frame(PING, b"x" * 125, masked=True) * 1000, 0
        with suppress(TimeoutError):
            async with asyncio.timeout(4):
                while sent < 64 * 1024 * 1024:
                    async with asyncio.timeout(0.5):
                        await loop.sock_sendall(browser, pings)
                    sent += len(pings)
        assert sent < 32 * 1024 * 1024
        browser.close()
        async with asyncio.timeout(2):
            await upstream.closed.wait()


@pytest.mark.req("ATK-44", "C11")
@pytest.mark.parametrize("handler", [echoes, floods])
async def test_a_browser_that_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch, handler: Handler) -> None:
    """A half-open connection ends when a ping stays unanswered, also where it no longer takes what waits for it."""
    monkeypatch.setattr(server, "PING_SECONDS", 0.3)
    async with SocketServer(handler) as upstream, house(upstream.url) as home:
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port, limit=1024)
        writer.write(head_of(home))
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(2):
            await upstream.closed.wait()
        writer.transport.abort()


@pytest.mark.req("ATK-44", "C11")
async def test_an_upstream_that_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on the other side: the browser is told that it was not us."""
    monkeypatch.setattr(websocket_upstream, "PING_SECONDS", 0.3)
    async with RawUpstream(accepts()) as upstream, house(upstream.url) as home, home.open() as browser:
        assert (await closed(browser, 3))[0] == 1014


@pytest.mark.req("ATK-44", "C11")
@pytest.mark.parametrize(
    "raw",
    [
        frame(TEXT, b"unmasked"),
        frame(3, b"reserved", masked=True),
        frame(TEXT, b"\xff\xfe", masked=True),
        frame(CONTINUED, b"of nothing", masked=True),
        frame(PING, b"x" * 126, masked=True),
        frame(CLOSE, b"\x03", masked=True),
    ],
    ids=["unmasked", "reserved", "not UTF-8", "a stray continuation", "a long ping", "half a code"],
)
async def test_a_frame_that_is_none_ends_the_connection(raw: bytes) -> None:
    """What RFC 6455 forbids is never passed on, and the API hears that the browser is over."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
        writer.write(head_of(home))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        async with asyncio.timeout(PROMISED):
            with suppress(ConnectionResetError):
                assert int.from_bytes((await reader.read())[2:4]) in {1002, 1007}
            await upstream.closed.wait()
        writer.close()


@pytest.mark.req("C11", "ATK-63")
async def test_the_websockets_of_one_session_are_counted() -> None:
    """One more than a session may have is refused by a status, before the browser is answered."""
    async with SocketServer(echoes) as upstream, house(upstream.url, fair_use=FairUse(concurrency=2)) as home:
        async with home.open(), home.open():
            assert (await home.refused()).status_code == 429
        async with home.open():
            pass
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        held = [await home.open() for _ in range(MOST_OF_ONE_SESSION)]
        assert (await home.refused()).status_code == 429
        for browser in held:
            browser.transport.abort()


@pytest.mark.req("C11")
async def test_the_websockets_to_one_upstream_are_counted() -> None:
    """Beyond the cap there is 503 and no queue."""
    async with SocketServer(echoes) as upstream, house(upstream.url) as home:
        home.world.relay._sockets._upstream = WebSocketUpstream(home.world.clock, max_connections=1)
        async with home.open():
            assert (await home.refused()).status_code == 503
        await asyncio.sleep(0.1)
        async with home.open():
            pass
