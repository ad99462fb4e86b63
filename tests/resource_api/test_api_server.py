"""The door in front of the API, over a real socket: one head has one meaning, or it is refused (F36)."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from resource_api import server
from resource_api.server import MAX_HEAD_BYTES, uvicorn_config
from tests.world.serving import exchange, serving

HOST = b"Host: api.test\r\n"
CLOSE = b"Connection: close\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the server made of the request: method, path, headers, body."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    seen = {"method": scope["method"], "path": scope["path"], "headers": headers, "body": body.decode("latin-1")}
    content = json.dumps(seen).encode()
    length = str(len(content)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real uvicorn with our protocol."""
    with serving(uvicorn_config(echo, host="127.0.0.1", port=0)) as chosen:
        yield chosen


def status(answer: bytes) -> list[int]:
    """The status of every response in these bytes."""
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


def seen(answer: bytes) -> dict[str, Any]:
    """What the application saw of the last request."""
    found: dict[str, Any] = json.loads(answer[answer.rindex(b"\r\n\r\n") + 4 :])
    return found


@pytest.mark.req("F36")
@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST,
        b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.test\r\n",
        b"GET http://evil.test/ HTTP/1.1\r\n" + HOST,
        b"GET //evil.test HTTP/9.9\r\n" + HOST,
        b"OPTIONS * HTTP/1.1\r\n" + HOST,
        b"CONNECT evil.test:443 HTTP/1.1\r\n" + HOST,
        b"GET /a#b HTTP/1.1\r\n" + HOST,
        b"GET a HTTP/1.1\r\n" + HOST,
        b"GET /\xff HTTP/1.1\r\n" + HOST,
        b"GET /a b HTTP/1.1\r\n" + HOST,
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n folded\r\n",
        b"GET / HTTP/2.0\r\n" + HOST,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=lambda head: repr(head[:60]),
)
def test_a_head_with_two_meanings(port: int, head: bytes) -> None:
    """A head that two readers could take differently is one 400, as a problem, and the connection is closed."""
    answer = exchange(port, head + b"\r\n0\r\n\r\n")
    assert status(answer) == [400]
    assert b"application/problem+json" in answer
    assert seen(answer)["type"] == "urn:resource-api:problem:malformed-request"


@pytest.mark.req("F36")
def test_trailers_are_no_headers(port: int) -> None:
    """What comes after the head in a chunked body never reaches the application as a header."""
    head = b"POST / HTTP/1.1\r\n" + HOST + CLOSE + b"Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n"
    body = b"3\r\nabc\r\n0\r\nAuthorization: Bearer stolen\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
    for parts in ((head + body,), (head, body), (head, body[:20], body[20:])):
        found = seen(exchange(port, *parts))
        names = {name for name, _ in found["headers"]}
        assert (found["body"], names & {"authorization", "x-forwarded-for"}) == ("abc", set())


@pytest.mark.req("F36")
@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % number for number in range(100)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: %s\r\n" % (number, b"y" * 700) for number in range(48)),
        b"GET /" + b"y" * 33_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"y" * 41_500,
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 41_500,
    ],
    ids=["one field", "100 fields and Host", "many bytes", "the target", "a name without an end", "an endless value"],
)
def test_a_head_that_is_too_large(port: int, head: bytes) -> None:
    """More than 32 KB or 100 fields is 431, counted while it arrives: nobody waits for its end."""
    answer = exchange(port, head)
    assert status(answer) == [431]


@pytest.mark.req("F36")
def test_a_head_that_never_ends(port: int) -> None:
    """A peer that goes on and on is cut off early; the answer may get lost with what it still sends."""
    assert status(exchange(port, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 6_000_000)) in ([431], [])


@pytest.mark.req("F36")
def test_a_large_head_within_its_bounds(port: int) -> None:
    """99 fields besides Host, and nearly 32 KB, are served."""
    fields = b"".join(b"X%d: %s\r\n" % (number, b"y" * 300) for number in range(98))
    answer = exchange(port, b"GET / HTTP/1.1\r\n" + HOST + CLOSE + fields + b"\r\n")
    assert status(answer) == [200]
    assert len(seen(answer)["headers"]) == 100


def test_requests_one_after_the_other(port: int) -> None:
    """A connection serves many requests, pipelined ones and bodies in pieces included."""
    get, post = (
        b"GET /a%20b?c=d HTTP/1.1\r\n" + HOST,
        b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\nabcdef",
    )
    answer = exchange(port, get + b"\r\n" + post + post[:30], post[30:-2], post[-2:] + get + CLOSE + b"\r\n")
    assert status(answer) == [200, 200, 200, 200]
    assert seen(answer)["path"] == "/a b"


def test_bytes_in_single_file(port: int) -> None:
    """A head that arrives byte by byte is the same head."""
    head = b"GET /slow HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
    answer = exchange(port, *(head[index : index + 1] for index in range(len(head))), pause=0.001)
    assert (status(answer), seen(answer)["path"]) == ([200], "/slow")


@pytest.mark.req("F36")
def test_a_refusal_is_not_another_requests_answer(port: int) -> None:
    """A bad head behind an unanswered request closes the connection: an answer could be taken for the first's."""
    first = b"POST /first HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    answer = exchange(port, first + b"GET /second HTTP/1.1\r\n\r\n")
    assert status(answer) in ([], [200])


def test_an_upgrade_is_served_plainly(port: int) -> None:
    """An offer to speak another protocol is not taken, and the connection ends with the answer."""
    head = (
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    answer = exchange(port, head + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status(answer) == [200]
    assert b"smuggled" not in answer


def test_a_head_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that begins a head and does not end it is told 408; one that says nothing is closed."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    with serving(uvicorn_config(echo, host="127.0.0.1", port=0)) as port:
        assert status(exchange(port, b"GET / HTT")) == [408]
        assert exchange(port, b"") == b""
        done = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
        assert status(exchange(port, done + b"GET / HTTP/1.1\r\nX: ")) == [200, 408]


def test_a_connection_that_rests_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two requests nobody is hurried: the time for a head runs while a head is coming."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    with (
        serving(uvicorn_config(echo, host="127.0.0.1", port=0)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as peer,
    ):
        for _ in range(2):
            peer.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert peer.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.4)


def test_nothing_is_said_about_the_server(port: int) -> None:
    """Answers name no software, and forwarding headers of a peer change nothing."""
    answer = exchange(port, b"GET / HTTP/1.1\r\n" + HOST + CLOSE + b"X-Forwarded-Proto: https\r\n\r\n")
    assert b"\r\nserver:" not in answer.lower()
