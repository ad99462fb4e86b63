"""Our own connections to an upstream: kept, counted, given up and repeated exactly as the rules say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest

from bff import errors
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.pool import IDLE_SECONDS, LIFE_SECONDS
from bff.relay.request_body import RequestBody
from bff.relay.route_table import Route
from bff.relay.upstream import UpstreamRequest
from tests.world.clock import MovableClock
from tests.world.upstream import (
    Act,
    RawUpstream,
    Received,
    echo,
    never_reads,
    refuses_early,
    response,
    says,
    stalls_before_its_head,
)

pytestmark = pytest.mark.timeout(20)


class House:
    """One upstream of ours and the route to it."""

    def __init__(self, raw: RawUpstream, url: str | None, **options: Any) -> None:
        self.clock = MovableClock()
        self.raw = raw
        self.route = Route(path="/api/", upstream=url or raw.url, timeout=options.pop("timeout", 2.0))
        self.upstream = HttptoolsUpstream(options.pop("clock", self.clock), **options)
        self.pool = self.upstream.pool_of(self.route)

    async def ask(self, method: str = "GET", body: RequestBody | None = None) -> tuple[int, bytes]:
        request = UpstreamRequest(method=method, target=b"/x", headers=[(b"host", b"x")], body=body)
        async with self.upstream.exchange(self.route, request) as answer:
            if answer.whole is not None:
                return answer.status, answer.whole
            return answer.status, b"".join([block async for block in answer.body])


@asynccontextmanager
async def house(act: Act, *, url: str | None = None, reads_body: bool = True, **options: Any) -> AsyncIterator[House]:
    """An upstream that behaves so, and our connections to it."""
    async with RawUpstream(act, reads_body=reads_body) as raw:
        built = House(raw, url and url.format(port=raw.port), **options)
        try:
            yield built
        finally:
            await built.upstream.aclose()


async def until(holds: Callable[[], bool]) -> None:
    """Wait, for a second at most, until something holds."""
    async with asyncio.timeout(1):
        while not holds():  # noqa: ASYNC110 — because what is watched belongs to others, who set no event
            await asyncio.sleep(0.01)


def uploads(*blocks: bytes, length: int | None = None, endless: bool = False) -> tuple[RequestBody, list[int]]:
    """A body of these blocks, and the list that counts what was taken of it."""
    taken: list[int] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        at = len(taken)
        if at == len(blocks) and not endless:
            await asyncio.Event().wait()
        taken.append(at)
        block = blocks[at % len(blocks)]
        return {"type": "http.request", "body": block, "more_body": endless or at < len(blocks) - 1}

    return RequestBody(receive, length=length, cap=1 << 40, idle_seconds=5.0, whole=lambda: None), taken


@pytest.mark.req("F35", "C17")
async def test_a_good_connection_is_used_again() -> None:
    """Calls that follow each other share one connection; calls beside each other do not."""
    async with house(echo) as us:
        for _ in range(3):
            assert (await us.ask())[0] == 200
        assert us.raw.connections == 1
        await asyncio.gather(us.ask(), us.ask())
        assert (us.raw.connections, us.pool.idle) == (2, 2)


@pytest.mark.req("F35", "ATK-37")
@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("GET", response(b"{}", b"Connection: close")),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        ("GET", response() + b"H"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nunasked!!"),
    ],
    ids=["close", "1.0", "a byte too many", "304 with a length", "204 with chunks", "HEAD with a length", "HEAD, body"],
)
async def test_a_doubtful_connection_is_not(method: str, raw: bytes) -> None:
    """Where more bytes may come than were asked for, they find nobody."""
    async with house(says(raw)) as us:
        first, second = await us.ask(method), await us.ask(method)
        assert first == second
        assert us.raw.connections == 2


@pytest.mark.req("F35", "ATK-37")
async def test_a_byte_on_an_idle_connection_closes_it() -> None:
    """What an upstream says unasked is the answer to nothing."""

    async def speaks_again(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b'{"of":"mine"}'))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(response(b'{"of":"another person"}'))

    async with house(speaks_again) as us:
        assert await us.ask() == (200, b'{"of":"mine"}')
        async with asyncio.timeout(1):
            await us.raw.gone.wait()
        assert (us.pool.idle, len(us.pool)) == (0, 0)
        assert await us.ask() == (200, b'{"of":"mine"}')


async def test_idle_and_old_connections_are_closed() -> None:
    """A connection that nobody used for four seconds, or that is five minutes old, serves nobody again."""
    async with house(echo) as us:
        await us.ask()
        us.clock.advance(IDLE_SECONDS + 0.1)
        await us.ask()
        assert us.raw.connections == 2
        for _ in range(int(LIFE_SECONDS / 3) + 1):
            us.clock.advance(3)
            await us.ask()
        assert us.raw.connections == 3
        us.clock.advance(IDLE_SECONDS + 0.1)
        await until(lambda: len(us.pool) == 0)


async def test_no_more_connections_than_permitted() -> None:
    """Calls beyond the cap wait for their turn, for a bounded time, and only so many of them."""

    async def is_slow(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await echo(request, reader, writer)

    async with house(is_slow, max_connections=2) as us:
        answers = await asyncio.gather(*(us.ask() for _ in range(4)))
        assert [status for status, _ in answers] == [200] * 4
        assert us.raw.connections == 2
        crowd = await asyncio.gather(*(us.ask() for _ in range(6)), return_exceptions=True)
        assert [type(one) for one in crowd].count(errors.ResourceAPIBusy) == 2  # two are served, two wait
    async with house(stalls_before_its_head, max_connections=1, timeout=0.2) as us:
        first = asyncio.create_task(us.ask())
        await us.raw.arrived.wait()
        with pytest.raises(errors.ResourceAPIBusy):
            await us.ask()
        first.cancel()
        await asyncio.wait({first})


@pytest.mark.parametrize("in_its_moment", [False, True])
async def test_a_turn_that_is_not_used_is_the_next_ones(*, in_its_moment: bool) -> None:
    """A caller that leaves while it waits, or in the moment of its turn, costs nobody a connection."""
    async with house(stalls_before_its_head, max_connections=2) as us:
        calls = [asyncio.create_task(us.ask()) for _ in range(4)]
        await until(lambda: len(us.raw.received) == 2)
        calls[0].cancel()
        if in_its_moment:
            await asyncio.sleep(0)  # the first has gone, the third has been called and has not heard it yet
        calls[2].cancel()
        await until(lambda: len(us.raw.received) == 3)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await until(lambda: len(us.pool) == 0)


@pytest.mark.req("C17", "ATK-42")
async def test_a_turn_is_given_on_by_whoever_leaves_with_it() -> None:
    """The connection came free for a caller that is cancelled before it hears so: the next one in line has it."""
    released = [asyncio.Event() for _ in range(3)]
    answers = iter(released)

    async def waits(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(answers).wait()
        await echo(request, reader, writer)

    async with house(waits, max_connections=2) as us:
        first, second, leaving, staying = (asyncio.create_task(us.ask()) for _ in range(4))
        await until(lambda: len(us.raw.received) == 2)
        released[0].set()
        while len(us.pool._waiting) == 2:  # noqa: ASYNC110 — the moment itself is what is waited for
            await asyncio.sleep(0)
        leaving.cancel()
        released[2].set()
        async with asyncio.timeout(1):
            assert (await staying)[0] == 200
        released[1].set()
        assert ((await first)[0], (await second)[0]) == (200, 200)
        assert leaving.cancelled()
        assert us.raw.connections == 2


async def gives_up_after_one(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the first request of a connection as if more were welcome, and close at the second one's first byte."""
    await echo(request, reader, writer)
    await writer.drain()
    await reader.read(1)
    writer.transport.abort()


@pytest.mark.req("F39", "C17")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_stale_connection_is_tried_once_more(method: str) -> None:
    """What changes nothing is repeated on a new connection, once."""
    async with house(gives_up_after_one) as us:
        assert (await us.ask("GET"))[0] == 200
        assert (await us.ask(method))[0] == 200
        assert (us.raw.connections, len(us.raw.received)) == (2, 2)


@pytest.mark.req("F39")
@pytest.mark.parametrize("method", ["DELETE", "POST", "PUT", "PATCH"])
async def test_what_may_have_acted_is_not_repeated(method: str) -> None:
    """A DELETE that is repeated answers 404 for a success: it is told as an outage instead."""
    async with house(gives_up_after_one) as us:
        await us.ask()
        with pytest.raises(errors.ResourceAPIUnavailable):
            await us.ask(method)
        assert len(us.raw.received) == 1


@pytest.mark.req("F39")
async def test_nothing_is_repeated_behind_a_first_byte() -> None:
    """An upstream that began to answer had read the request."""

    async def begins(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(request, reader, writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTT")
        await writer.drain()
        writer.close()

    async with house(begins) as us:
        await us.ask()
        with pytest.raises(errors.ResourceAPIUnavailable):
            await us.ask()
        assert us.raw.connections == 1


async def test_every_address_is_tried() -> None:
    """A name with several addresses is reached at the one that answers, whatever its family."""
    tried = []
    async with house(echo, url="http://several.example:{port}") as us:
        loop = asyncio.get_running_loop()

        async def resolve(host: str, port: int, **_: Any) -> Any:
            tried.append(host)
            dead = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
            refusing = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.9", port))
            return [dead, refusing, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        loop.getaddrinfo, kept = resolve, loop.getaddrinfo  # type: ignore[method-assign, assignment]  # the resolver is the outside world
        try:
            assert (await us.ask())[0] == 200
            us.clock.advance(IDLE_SECONDS + 1)
            assert (await us.ask())[0] == 200
        finally:
            loop.getaddrinfo = kept  # type: ignore[method-assign]  # as it was
    assert tried == ["several.example"] * 2


@pytest.mark.req("ATK-42")
async def test_an_address_that_is_silent_has_its_share_of_the_time_only() -> None:
    """A machine that answers no SYN keeps nobody from the next one of the same name."""
    async with house(echo, url="http://several.example:{port}", timeout=0.6) as us:
        with full_backlog("127.0.0.9", us.raw.port):
            loop = asyncio.get_running_loop()

            async def resolve(_: str, port: int, **__: Any) -> Any:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("127.0.0.9", "127.0.0.1")]

            loop.getaddrinfo, kept = resolve, loop.getaddrinfo  # type: ignore[method-assign, assignment]  # the resolver is the outside world
            try:
                began = loop.time()
                assert (await us.ask())[0] == 200
                assert 0.2 < loop.time() - began < 0.6
            finally:
                loop.getaddrinfo = kept  # type: ignore[method-assign]  # as it was


@contextmanager
def full_backlog(host: str, port: int) -> Iterator[None]:
    """A port that takes no connection any more, and refuses none."""
    with socket.socket() as listening, ExitStack() as waiting:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(3):
            peer = waiting.enter_context(socket.socket())
            peer.settimeout(0)
            peer.connect_ex((host, port))
        yield


@pytest.mark.req("ATK-42")
@pytest.mark.parametrize("implementation", [HttptoolsUpstream, HttpxUpstream])
async def test_a_handshake_that_never_ends_is_given_up(
    implementation: type[HttptoolsUpstream | HttpxUpstream],
) -> None:
    """An upstream that takes the connection and says nothing of TLS was not reached."""
    async with RawUpstream(echo) as silent:
        route = Route(path="/api/", upstream=f"https://127.0.0.1:{silent.port}", timeout=0.2)
        upstream = implementation()
        request = UpstreamRequest(method="GET", target=b"/x", headers=[(b"host", b"x")])
        with pytest.raises(errors.ResourceAPIUnavailable):
            async with asyncio.timeout(2), upstream.exchange(route, request):
                pass
        async with asyncio.timeout(1):
            await silent.gone.wait()
        await upstream.aclose()


async def test_ipv6_is_spoken() -> None:
    """A literal IPv6 upstream is reached; on a machine without IPv6 it is one that is down, as any other."""
    try:
        server = await asyncio.start_server(_answers, "::1", 0)
    except OSError:
        async with house(echo, url="http://[::1]:9") as us:
            with pytest.raises(errors.ResourceAPIUnavailable):
                await us.ask()
        return
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with house(echo, url=f"http://[::1]:{port}") as us:
            assert await us.ask() == (200, b"{}")


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(response(b"{}", b"Connection: close"))
    await writer.drain()
    writer.close()


@pytest.mark.req("F35", "C16")
async def test_an_answer_in_the_middle_of_an_upload_ends_it() -> None:
    """The refusal is heard at once, the rest of the upload is not sent, and the connection serves nobody again."""
    async with house(refuses_early, reads_body=False) as us:
        body, taken = uploads(b"a" * 1000, endless=True)
        status, _ = await us.ask("POST", body)
        assert status == 413
        assert len(taken) < 10_000
        assert len(us.pool) == 0


@pytest.mark.req("F35", "ATK-37")
async def test_a_request_that_is_not_whole_is_nobody_elses_beginning() -> None:
    """An upstream that answers early and would go on: the body that it still awaits is not the next call's head."""
    async with house(says(response(b"{}")), reads_body=False) as us:
        body, _ = uploads(b"a" * 10, length=1_000_000, endless=True)
        assert await us.ask("POST", body) == (200, b"{}")
        assert len(us.pool) == 0
        await us.ask()
        assert us.raw.connections == 2


async def test_a_response_may_run_beside_its_request() -> None:
    """An upstream that answers block by block while it reads is passed through in both directions at once."""

    async def mirrors(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            block = (await reader.readexactly(size + 2))[:-2]
            writer.write(b"%x\r\n%b\r\n" % (len(block), block.upper()))
            await writer.drain()
        await reader.readexactly(2)
        writer.write(b"0\r\n\r\n")

    async with house(mirrors, reads_body=False) as us:
        body, _ = uploads(b"one", b"two", b"three")
        assert await us.ask("POST", body) == (200, b"ONETWOTHREE")
        assert us.pool.idle == 1


@pytest.mark.req("ATK-42", "C16")
async def test_a_slow_upstream_stops_the_browsers_upload() -> None:
    """What the upstream does not take is not taken from the browser either."""
    async with house(never_reads, reads_body=False) as us:
        body, taken = uploads(b"a" * 65536, endless=True)
        call = asyncio.create_task(us.ask("POST", body))
        before = -1
        async with asyncio.timeout(5):
            while len(taken) != before or not taken:
                before = len(taken)
                await asyncio.sleep(0.1)
        assert len(taken) * 65536 < 32 * 1024 * 1024
        us.clock.advance(2.5)
        with pytest.raises(errors.ResourceAPITimeout):
            await call


@pytest.mark.req("C10")
async def test_a_cancelled_call_closes_its_connection() -> None:
    """Whoever gives up takes the upstream's work with them, within a second."""
    async with house(stalls_before_its_head) as us:
        call = asyncio.create_task(us.ask())
        await us.raw.arrived.wait()
        call.cancel()
        async with asyncio.timeout(1):
            await us.raw.gone.wait()
        await asyncio.wait({call})
        assert call.cancelled()
        assert len(us.pool) == 0


async def test_time_outs_follow_the_monotonic_clock() -> None:
    """An upstream that was reached and is silent for the route's time is told as a time-out."""
    async with house(stalls_before_its_head) as us:
        call = asyncio.create_task(us.ask())
        await us.raw.arrived.wait()
        us.clock.advance(1.9)
        await asyncio.sleep(0.12)
        assert not call.done()
        us.clock.advance(0.2)
        with pytest.raises(errors.ResourceAPITimeout):
            await call
