"""Event streams over real sockets: at once, to the byte, and for as long as session and token permit."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bff.errors import NoSession, SessionEnded, TooManyRequests
from bff.relay.callers import PRESENTED
from bff.relay.event_stream import GRACE_SECONDS, EventStream
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.lasting import LEAVING, End
from bff.relay.presence import BrowserGone
from bff.relay.route_table import Route
from bff.relay.upstream import Upstream
from bff.session.cookies import Jar
from bff.session.ending_watch import MOST_OF_ONE_SESSION
from bff.session.endings import Reason
from tests.world.relaying import Answer, Pairs, World, token_set
from tests.world.upstream import Act, RawUpstream, Received, response, trickles

pytestmark = [pytest.mark.live, pytest.mark.timeout(20)]  # most of them wait
PROMISED = 1.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"


def holds(*blocks: bytes, head: bytes = HEAD + b"Connection: close\r\n\r\n") -> Act:
    """Send these bytes and then nothing, until the peer leaves."""

    async def act(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"".join(blocks))
        await reader.read()

    return act


class Opened:
    """A stream that somebody signed in has opened."""

    def __init__(self, world: World, cookie: Pairs, upstream: RawUpstream, **given: Any) -> None:
        self.world, self.cookie, self.upstream, self.answer = world, cookie, upstream, Answer()
        self.call = asyncio.create_task(world.call(b"/news/", headers=cookie, answer=self.answer, **given))

    async def begun(self) -> Opened:
        """Wait for the first block."""
        async with asyncio.timeout(5):
            await self.answer.begun.wait()
        return self

    async def end_session(self, reason: Reason = Reason.SIGNED_OUT) -> None:
        """Sign the person out, as another tab would."""
        presented = await self.world.vault.find_session(Jar.read(self.cookie))
        await self.world.vault.end_session(presented.require(), reason)

    async def ended(self, within: float = PROMISED) -> Answer:
        """The whole answer, which must end in time, and with it the upstream's connection."""
        async with asyncio.timeout(within):
            await self.call
            await self.upstream.gone.wait()
        return self.answer


@asynccontextmanager
async def opened(act: Act, upstream: Upstream | None = None, **overrides: Any) -> AsyncIterator[Opened]:
    """One stream, begun; ``tokens`` are its session's."""
    signing = {"tokens": overrides.pop("tokens")} if "tokens" in overrides else {}
    async with RawUpstream(act) as api:
        world = World(Route(path="/news/", upstream=api.url, **overrides), upstream=upstream or made())
        stream = Opened(world, await world.sign_in(**signing), api)
        try:
            yield await stream.begun()
        finally:
            stream.call.cancel()
            await asyncio.wait({stream.call})
            await world.upstream.aclose()


def made() -> Upstream:
    """Our own connections."""
    return HttptoolsUpstream()


def told(answer: Answer) -> tuple[bytes, str | None]:
    """What the API said, and the reason in the event that we added."""
    said, _, ours = answer.body.partition(b"event: session-ended\ndata: ")
    return said, json.loads(ours)["reason"] if ours else None


@pytest.mark.req("C10")
async def test_each_event_is_there_at_once() -> None:
    """A block is passed on when it comes, as it came, with a word to the proxies on the way that they do the same."""
    async with opened(trickles(b"data: 1\n\n", b"data: 2", b"\n\n", pause=0.1)) as stream:
        assert stream.answer.blocks == [b"data: 1\n\n"]
        answer = await asyncio.wait_for(stream.call, 5)
    assert answer.blocks == [b"data: 1\n\n", b"data: 2", b"\n\n"]
    assert answer.complete
    assert answer.one(b"x-accel-buffering") == b"no"
    assert answer.one(b"cache-control") == b"no-store"
    assert answer.one(b"content-security-policy") is None


async def test_a_stream_keeps_no_cookie() -> None:
    """Once an answer lasts, its request's cookies are gone from memory, in both places where they were."""
    async with opened(holds(b"data: 1\n\n")) as stream:
        assert stream.world.state[PRESENTED].require().subject == "alice"
        assert stream.world.state[PRESENTED].jar.ours(stream.world.policy) == []
        assert b"cookie" not in dict(stream.world.headers)
        await stream.end_session()
        assert told(await stream.ended()) == (b"data: 1\n\n", "signed_out")


@pytest.mark.req("C10", "ATK-43")
async def test_a_packed_stream_stays_packed() -> None:
    """Bytes in a content coding are passed on as they are, and no word of ours is put among them."""
    packed = b"\x1f\x8b\x08\x00\n\n"
    head = HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
    async with opened(holds(packed, head=head)) as stream:
        await stream.end_session()
        answer = await stream.ended()
    assert answer.body == packed
    assert answer.complete


@pytest.mark.req("C12", "F2")
@pytest.mark.parametrize("reason", [Reason.SIGNED_OUT, Reason.BACKCHANNEL, Reason.ADMIN])
async def test_a_stream_ends_with_its_session(reason: Reason) -> None:
    """Within a second of the end the page has read why, and the API's connection is closed."""
    async with opened(holds(b"data: 1\n\n")) as stream:
        await stream.end_session(reason)
        answer = await stream.ended()
    assert told(answer) == (b"data: 1\n\n", reason.value)
    assert answer.complete


@pytest.mark.req("C12")
@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
async def test_nothing_is_told_inside_an_event(line_end: bytes) -> None:
    """Half an event stays half, which a browser drops; a word of ours behind it would have become its data."""
    half = b"data: 1" + 2 * line_end + b"data: a secret of" + line_end
    async with opened(holds(half)) as stream:
        await stream.end_session()
        answer = await stream.ended()
    assert answer.body == half
    assert answer.complete


@pytest.mark.req("C12")
@pytest.mark.parametrize("cut", range(1, 7))
async def test_an_event_under_way_is_finished_and_nothing_behind_it(cut: int) -> None:
    """What is on its way at the end may arrive whole; the next event belongs to nobody any more."""
    rest = b"rest\r\n\r\ndata: next\r\n\r\n"

    async def act(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Connection: close\r\n\r\ndata: the " + rest[:cut])
        await ending.wait()
        writer.write(rest[cut:])
        await reader.read()

    ending = asyncio.Event()
    async with opened(act) as stream:
        await stream.end_session()
        await asyncio.sleep(0.3)
        ending.set()
        answer = await stream.ended(PROMISED - 0.3)
    assert told(answer) == (b"data: the rest\r\n\r\n", "signed_out")


async def test_a_stream_that_has_said_nothing_can_be_told_too() -> None:
    """Before the first event there is nothing to be inside of."""
    async with RawUpstream(holds()) as api:
        world = World(Route(path="/news/", upstream=api.url), upstream=made())
        stream = Opened(world, await world.sign_in(), api)
        async with asyncio.timeout(5):
            await api.arrived.wait()
        await asyncio.sleep(0.1)
        await stream.end_session()
        assert told(await stream.ended()) == (b"", "signed_out")
        await world.upstream.aclose()


@pytest.mark.req("C12")
async def test_a_stream_ends_with_its_token() -> None:
    """What the API let in with this token ends with it, without a word about the session."""
    async with opened(holds(b"data: 1\n\n"), tokens=token_set(expires_in=600)) as stream:
        stream.world.clock.advance(601)
        answer = await stream.ended()
    assert told(answer) == (b"data: 1\n\n", None)
    assert answer.complete


@pytest.mark.req("C12")
async def test_a_stream_may_outlive_its_token() -> None:
    """Where the route leaves it to the API, the end of a token ends nothing."""
    async with opened(holds(b"data: 1\n\n"), tokens=token_set(expires_in=600), outlives_token=True) as stream:
        stream.world.clock.advance(601)
        await asyncio.sleep(PROMISED)
        assert not stream.call.done()


@pytest.mark.req("C12", "C6")
async def test_the_applications_own_stream_ends_with_its_token() -> None:
    """Without a session there is a token all the same, and it ends."""
    async with RawUpstream(holds(b"data: 1\n\n")) as api:
        route = Route(path="/news/", upstream=api.url, token="client", anonymous=True, methods=frozenset({"GET"}))
        world = World(route, upstream=made())
        world.endpoint.lifetime = 0.5
        stream = Opened(world, [], api)
        answer = await stream.ended(3)
        assert told(answer) == (b"data: 1\n\n", None)
        await world.upstream.aclose()


@pytest.mark.req("F19", "F28")
@pytest.mark.parametrize(("ahead", "reason"), [(31 * 60, None), (13 * 3600, "absolute")])
async def test_a_stream_keeps_nothing_alive(ahead: float, reason: str | None) -> None:
    """What a stream says is no activity: it ends with the idle time that it began in, and tells of the absolute end."""
    async with opened(trickles(*[b"data: 1\n\n"] * 200), outlives_token=True) as stream:
        stream.world.clock.advance(ahead)
        answer = await stream.ended()
        assert told(answer)[1] == reason
        with pytest.raises(SessionEnded):
            await stream.world.call(b"/news/", headers=stream.cookie)


@pytest.mark.req("C10")
async def test_silence_has_a_limit_of_its_own() -> None:
    """A stream may be silent for longer than a call, and not for ever."""
    began = time.monotonic()
    async with opened(holds(b"data: 1\n\n"), timeout=0.2, stream_idle=0.8) as stream:
        answer = await stream.ended(3)
    assert time.monotonic() - began > 0.7
    assert told(answer) == (b"data: 1\n\n", None)
    assert answer.complete


@pytest.mark.req("C10")
async def test_silence_is_judged_alike_by_the_reference() -> None:
    """The httpx upstream gives a stream the same time."""
    began = time.monotonic()
    async with opened(holds(b"data: 1\n\n"), HttpxUpstream(), timeout=0.2, stream_idle=0.8) as stream:
        answer = await stream.ended(3)
    assert time.monotonic() - began > 0.7
    assert answer.complete


@pytest.mark.req("C10")
async def test_a_browser_that_leaves_closes_the_stream() -> None:
    """Within a second the API's connection is gone, and nobody waits for this session's end any more."""
    leaves = asyncio.Event()
    async with RawUpstream(holds(b"data: 1\n\n")) as api:
        world = World(Route(path="/news/", upstream=api.url), upstream=made())
        stream = await Opened(world, await world.sign_in(), api, leaves=leaves).begun()
        leaves.set()
        await stream.ended()
        assert world.watch._waiting == {}
        await world.upstream.aclose()


@pytest.mark.req("F28")
async def test_a_server_that_leaves_ends_its_streams() -> None:
    """The page asks again, and another process answers."""
    async with opened(holds(b"data: 1\n\n")) as stream:
        stream.world.state[LEAVING].set()
        assert told(await stream.ended()) == (b"data: 1\n\n", None)


@pytest.mark.req("ATK-63", "ATK-42")
async def test_streams_of_one_session_are_counted() -> None:
    """One more than a session may hold is refused before a byte of it is passed on; another person is not."""
    async with RawUpstream(holds(b"data: 1\n\n")) as api:
        world = World(Route(path="/news/", upstream=api.url), upstream=made())
        cookie = await world.sign_in()
        streams = [Opened(world, cookie, api) for _ in range(MOST_OF_ONE_SESSION)]
        for stream in streams:
            await stream.begun()
        with pytest.raises(TooManyRequests):
            await world.call(b"/news/", headers=cookie)
        await Opened(world, await world.sign_in("bob"), api).begun()
        for stream in streams:
            stream.call.cancel()
        await world.upstream.aclose()


async def test_a_short_stream_is_a_plain_answer() -> None:
    """One that comes whole, with a length, leaves whole, with its length."""
    async with RawUpstream(lambda _, __, writer: _write(writer)) as api:
        world = World(Route(path="/news/", upstream=api.url), upstream=made())
        answer = await world.call(b"/news/", headers=await world.sign_in())
        assert answer.body == b"data: 1\n\n"
        assert answer.one(b"content-length") == b"9"
        with pytest.raises(NoSession):
            await world.call(b"/news/")
        await world.upstream.aclose()


async def _write(writer: asyncio.StreamWriter) -> None:
    writer.write(response(b"data: 1\n\n", kind=b"text/event-stream"))


async def _blocks(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block
    await asyncio.Event().wait()


async def _over(blocks: AsyncIterator[bytes], send: Callable[[Any], Any]) -> None:
    """Relay until the session ends, a tenth of a second later."""
    over: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.1, over.set_result, End("session", Reason.ADMIN))
    await EventStream(send, readable=True).relay(blocks, over)


@pytest.mark.req("ATK-42", "C12")
async def test_a_browser_that_takes_nothing_does_not_hold_the_stream() -> None:
    """Where not even what was sent is taken, the end cannot be told: the call is over all the same, in time."""
    began = time.monotonic()
    with pytest.raises(BrowserGone):
        await _over(_blocks(b"data: 1\n\n"), lambda _: asyncio.Event().wait())
    assert time.monotonic() - began < 0.1 + GRACE_SECONDS + 0.3


@pytest.mark.parametrize(
    ("blocks", "between"),
    [
        ([b"data: 1\n\n"], True),
        ([b"data: 1\n", b"\n"], True),
        ([b"data: 1\r", b"\n\r", b"\n"], True),
        ([b"data: 1\r\r"], True),
        ([b"data: 1\n\n\n"], True),
        ([b"data: 1\r\n"], False),
        ([b"data: 1\r", b"\n"], False),
        ([b"data: 1\n\n", b"id: 2\n"], False),
        ([b"data: 1\n\n", b":"], False),
    ],
)
async def test_where_an_event_ends(blocks: list[bytes], between: bool) -> None:
    """An empty line ends an event, whichever of the three line ends makes it, and however the blocks are cut."""
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message["body"])

    await _over(_blocks(*blocks), send)
    assert (b"session-ended" in sent[-1]) is between
    assert sent[: len(blocks)] == blocks
