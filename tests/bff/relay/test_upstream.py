"""An upstream that misbehaves, over real sockets: each fault is its own, and none becomes another person's answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from bff import errors
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.route_table import Route
from tests.world.relaying import ACCESS_TOKEN, Answer, World
from tests.world.upstream import (
    FRAMING_FAULTS,
    TWO_RESPONSES,
    Act,
    RawUpstream,
    breaks_a_chunk,
    closes_before_its_head,
    closes_in_a_chunk,
    closes_in_its_body,
    drips_its_head,
    echo,
    never_reads,
    refuses_early,
    response,
    says,
    stalls_before_its_head,
    stalls_in_its_body,
    stalls_in_its_head,
    trickles,
)

pytestmark = pytest.mark.timeout(20)


MakeWorld = Callable[..., World]
Outcome = Callable[..., Awaitable[Answer]]


@pytest.fixture(params=[HttptoolsUpstream, HttpxUpstream], ids=["ours", "httpx"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[MakeWorld]:
    """Return a maker of relays whose only route leads to an upstream, on each implementation in turn."""
    implementation = request.param()
    yield lambda upstream, **overrides: World(
        Route(**{"path": "/api/", "upstream": upstream.url, **overrides}), upstream=implementation
    )
    await implementation.aclose()


@pytest.fixture
def outcome(world: MakeWorld) -> Outcome:
    """Return a call of an upstream that behaves so."""

    async def call(act: Act, **overrides: Any) -> Answer:
        async with RawUpstream(act) as upstream:
            relayed = world(upstream, **overrides)
            return await relayed.call(b"/api/x", headers=await relayed.sign_in())

    return call


@pytest.mark.req("F35", "ATK-37")
@pytest.mark.parametrize("raw", FRAMING_FAULTS.values(), ids=FRAMING_FAULTS.keys())
async def test_a_response_that_breaks_http_is_unavailable(outcome: Outcome, raw: bytes) -> None:
    """Whatever two readers could frame in two ways is 502, before a byte of it is sent on."""
    with pytest.raises(errors.ResourceAPIUnavailable):
        await outcome(says(raw, closes=True), timeout=2.0)


@pytest.mark.req("F35", "ATK-37")
async def test_bytes_behind_a_response_answer_nobody(world: MakeWorld) -> None:
    """A second response in the same segment is never given to the next call, whoever makes it."""
    async with RawUpstream(says(TWO_RESPONSES)) as upstream:
        relayed = world(upstream)
        alice, bob = await relayed.sign_in("alice"), await relayed.sign_in("bob")
        answers = [await relayed.call(b"/api/x", headers=who) for who in (alice, bob, alice)]
        assert {answer.body for answer in answers} == {b'{"of":"mine"}'}
        assert upstream.connections == 3


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + response(b'{"a":1}'), 200, b'{"a":1}'),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + response(b'{"a":1}'), 200, b'{"a":1}'),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 99\r\n\r\n', 304, b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nX-Trailer: evil\r\n\r\n",
            200,
            b"{}",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (response(b""), 200, b""),
    ],
    ids=["103", "100 thrice", "204", "304", "chunked with trailer", "until close", "1.0", "empty"],
)
async def test_every_lawful_framing_is_understood(outcome: Outcome, raw: bytes, status: int, body: bytes) -> None:
    """Interim responses are skipped, trailers dropped, and each way to end a body is known."""
    answer = await outcome(says(raw, closes=True))
    assert (answer.status, answer.body, answer.complete) == (status, body, True)
    assert not [name for name, _ in answer.headers if name in {b"link", b"x-trailer", b"transfer-encoding"}]


@pytest.mark.req("F38")
async def test_names_reach_the_allow_list_in_lower_case(outcome: Outcome) -> None:
    """However an upstream spells its fields, the list that lets them through, and the one that does not, knows them."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-REQUEST-ID: 7\r\nSET-cookie: a=1\r\n\r\n{}"
    answer = await outcome(says(raw, closes=True))
    assert (b"x-request-id", b"7") in answer.headers
    assert not [name for name, _ in answer.headers if name.lower() == b"set-cookie"]


async def test_head_ends_at_its_head(world: MakeWorld) -> None:
    """A HEAD response may name a length that never comes."""
    async with RawUpstream(
        says(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n")
    ) as upstream:
        relayed = world(upstream)
        answer = await relayed.call(b"/api/x", "HEAD", await relayed.sign_in())
    assert (answer.status, answer.body, answer.complete) == (200, b"", True)
    assert answer.one(b"content-length") == b"99"


@pytest.mark.parametrize("act", [stalls_before_its_head, stalls_in_its_head, drips_its_head])
async def test_a_silent_upstream_is_a_timeout(outcome: Outcome, act: Act) -> None:
    """Reached and silent, or dripping, is 504 after the route's time."""
    began = time.monotonic()
    with pytest.raises(errors.ResourceAPITimeout):
        await outcome(act, timeout=0.15)
    assert time.monotonic() - began < 1.0


async def test_an_upstream_that_hangs_up_is_unavailable(outcome: Outcome) -> None:
    """A connection closed before its response is 502."""
    with pytest.raises(errors.ResourceAPIUnavailable):
        await outcome(closes_before_its_head)


async def test_an_upstream_that_is_not_there_is_unavailable(world: MakeWorld) -> None:
    """A refused connection is 502, at once."""
    async with RawUpstream(echo) as gone:
        relayed = world(gone)
    with pytest.raises(errors.ResourceAPIUnavailable, match=r"ConnectError|ConnectionRefusedError"):
        await relayed.call(b"/api/x", headers=await relayed.sign_in())


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (stalls_in_its_body, errors.ResourceAPITimeout),
        (closes_in_its_body, errors.ResourceAPIUnavailable),
        (closes_in_a_chunk, errors.ResourceAPIUnavailable),
        (breaks_a_chunk, errors.ResourceAPIUnavailable),
    ],
)
async def test_a_body_that_breaks_off_never_ends_well(world: MakeWorld, act: Act, error: type[errors.BFFError]) -> None:
    """Once begun, a response that fails is raised and left without its end, so that the server closes."""
    answer = Answer()
    async with RawUpstream(act) as upstream:
        relayed = world(upstream, timeout=0.3)
        with pytest.raises(error):
            await relayed.call(b"/api/x", headers=await relayed.sign_in(), answer=answer)
    assert (answer.status, answer.body, answer.complete) == (200, b"half.", False)


@pytest.mark.req("C10", "C16")
async def test_a_stream_is_passed_on_block_by_block(world: MakeWorld) -> None:
    """The first block is with the browser before the last one has left the upstream."""
    answer = Answer()
    async with RawUpstream(trickles(b"data: 1\n\n", b"data: 2\n\n", pause=0.1)) as upstream:
        relayed = world(upstream)
        call = asyncio.create_task(relayed.call(b"/api/x", headers=await relayed.sign_in(), answer=answer))
        await answer.begun.wait()
        assert answer.blocks == [b"data: 1\n\n"]
        await call
    assert answer.blocks == [b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.req("C10")
@pytest.mark.parametrize("act", [stalls_before_its_head, stalls_in_its_body])
async def test_when_the_browser_leaves_the_upstream_is_left(world: MakeWorld, act: Act) -> None:
    """A departure closes the upstream's connection within a second, while it thinks and while it speaks."""
    leaves = asyncio.Event()
    async with RawUpstream(act) as upstream:
        relayed = world(upstream)
        call = asyncio.create_task(relayed.call(b"/api/x", headers=await relayed.sign_in(), leaves=leaves))
        await upstream.arrived.wait()
        await asyncio.sleep(0.02)
        leaves.set()
        async with asyncio.timeout(1):
            await upstream.gone.wait()
            answer = await call
    assert not answer.complete
    assert relayed.observed == []


def upload(*fields: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The head of an upload."""
    return [(b"content-type", b"application/json"), *fields]


CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.req("F35")
async def test_a_browser_that_leaves_in_its_upload_leaves_no_request(world: MakeWorld) -> None:
    """A declared length that is not met closes the upstream's connection: nobody's next bytes complete the body."""
    leaves = asyncio.Event()
    leaves.set()
    async with RawUpstream(echo) as upstream:
        relayed = world(upstream)
        answer = await relayed.call(
            b"/api/x", "POST", [*await relayed.sign_in(), *upload((b"content-length", b"50"))], leaves=leaves
        )
        async with asyncio.timeout(1):
            await upstream.broken.wait()
        assert upstream.received == []
    assert answer.status == 0


@pytest.mark.req("F35", "C16")
@pytest.mark.parametrize(
    ("fields", "blocks", "refusal"),
    [
        ([(b"content-length", b"11")], [b"hello"], errors.MalformedRequest),
        ([(b"content-length", b"3")], [b"hello"], errors.MalformedRequest),
        ([CHUNKED], [b"a" * 60, b"a" * 60], errors.RequestTooLarge),
    ],
    ids=["shorter", "longer", "larger than permitted"],
)
async def test_a_body_that_breaks_its_word_is_never_completed(
    world: MakeWorld, fields: Any, blocks: list[bytes], refusal: type[errors.BFFError]
) -> None:
    """The upstream sees a request that breaks off, never one that looks whole."""
    async with RawUpstream(echo) as upstream:
        relayed = world(upstream, max_body=100)
        with pytest.raises(refusal):
            await relayed.call(b"/api/x", "POST", [*await relayed.sign_in(), *upload(*fields)], body=blocks)
        async with asyncio.timeout(1):
            await upstream.broken.wait()
        assert upstream.received == []


@pytest.mark.req("C16")
async def test_a_declared_length_above_the_limit_is_refused_at_once(world: MakeWorld) -> None:
    """What says that it is too large is never begun; what is exactly permitted passes."""
    async with RawUpstream(echo) as upstream:
        relayed = world(upstream, max_body=100)
        cookie = await relayed.sign_in()
        with pytest.raises(errors.RequestTooLarge):
            await relayed.call(b"/api/x", "POST", [*cookie, *upload((b"content-length", b"101"))], body=[b"a" * 101])
        assert upstream.connections == 0
        exact = await relayed.call(
            b"/api/x", "POST", [*cookie, *upload((b"content-length", b"100"))], body=[b"a" * 100]
        )
        assert exact.status == 200


@pytest.mark.req("ATK-42", "C16")
async def test_an_upload_that_stalls_is_given_up(world: MakeWorld) -> None:
    """A browser that stops sending holds no connection of ours for longer than the route's time."""
    async with RawUpstream(echo) as upstream:
        relayed = world(upstream, timeout=0.15)
        with pytest.raises(errors.RequestStalled):
            await relayed.call(
                b"/api/x", "POST", [*await relayed.sign_in(), *upload((b"content-length", b"9"))], body=[]
            )
        async with asyncio.timeout(1):
            await upstream.gone.wait()


async def test_an_upstream_that_takes_nothing_is_a_timeout(world: MakeWorld) -> None:
    """A body that nobody reads is not waited for."""
    async with RawUpstream(never_reads, reads_body=False) as upstream:
        relayed = world(upstream, timeout=0.2, max_body=100_000_000)
        blocks = [b"a" * 1_000_000] * 20
        with pytest.raises(errors.ResourceAPITimeout):
            await relayed.call(b"/api/x", "POST", [*await relayed.sign_in(), *upload(CHUNKED)], body=blocks)


async def test_an_early_refusal_reaches_the_browser(world: MakeWorld) -> None:
    """An API that says no in the middle of an upload is heard."""
    async with RawUpstream(refuses_early, reads_body=False) as upstream:
        relayed = world(upstream)
        answer = await relayed.call(b"/api/x", "POST", [*await relayed.sign_in(), *upload(CHUNKED)], body=[b"a", b"b"])
    assert (answer.status, answer.body) == (413, b'{"title":"too large"}')


async def test_a_slow_upload_is_no_slow_answer(world: MakeWorld) -> None:
    """The upstream's time begins when it has the whole request."""
    blocks = asyncio.Queue[tuple[bytes, bool]]()

    async def receive() -> dict[str, Any]:
        block, more = await blocks.get()
        return {"type": "http.request", "body": block, "more_body": more}

    async def drip() -> None:
        for index in range(4):
            await asyncio.sleep(0.1)
            await blocks.put((b"a", index < 3))

    async with RawUpstream(echo) as upstream:
        relayed = world(upstream, timeout=0.25)
        answer, dripping = Answer(), asyncio.create_task(drip())
        scope = {"type": "http", "method": "POST", "raw_path": b"/api/x", "query_string": b"", "client": None}
        page = [(b"x-csrf", b"1"), (b"sec-fetch-site", b"same-origin"), CHUNKED]

        async def send(message: dict[str, Any]) -> None:
            answer.status = message.get("status", answer.status)

        await relayed.relay({**scope, "headers": [*page, *await relayed.sign_in()]}, receive, send)  # type: ignore[arg-type]  # a plain dict is ASGI's own type
        await dripping
        assert answer.status == 200
        assert upstream.received[0].body == b"aaaa"
        assert upstream.received[0].all_of("x-forwarded-for") == []


async def test_no_error_tells_the_token(world: MakeWorld) -> None:
    """h11 quotes an illegal header value, which may be the token: our error does not."""
    async with RawUpstream(echo) as upstream:
        relayed = world(upstream, request_headers=frozenset({"x-tenant"}))
        bad = (b"x-tenant", b"\x00" + ACCESS_TOKEN.encode())
        with pytest.raises(errors.ResourceAPIUnavailable) as refused:
            await relayed.call(b"/api/x", headers=[*await relayed.sign_in(), bad])
    assert ACCESS_TOKEN not in str(refused.value)
    assert refused.value.__context__ is None or refused.value.__suppress_context__


async def test_a_closed_relay_leaves_nothing_open(world: MakeWorld) -> None:
    """Closing the upstream closes its transports."""
    async with RawUpstream(echo) as upstream:
        relayed = world(upstream)
        await relayed.call(b"/api/x", headers=await relayed.sign_in())
        await relayed.upstream.aclose()
        async with asyncio.timeout(1):
            await upstream.gone.wait()
        assert upstream.connections == 1
