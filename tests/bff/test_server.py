"""The front over real sockets: what reaches the app, and what is answered before it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bff import server
from bff.errors import ConfigurationError
from bff.server import MAX_HEAD_BYTES, MAX_HEAD_FIELDS, StrictHTTPProtocol, http_protocol, uvicorn_config
from tests.world.serving import exchange, serving

HOST = b"Host: app.example\r\n"
LAST = HOST + b"Connection: close\r\n"


class Echo:
    """An app that answers with what it was handed, and remembers the paths that it saw."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        self.seen.append(scope["raw_path"])
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.append(b"gone")
                return
            body, more = body + message["body"], message["more_body"]
        if scope["raw_path"] == b"/slow":
            await asyncio.sleep(0.2)
        told = {
            "path": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        answer = json.dumps(told).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", str(len(answer)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture(scope="module")
def echo() -> Echo:
    """The app behind the module's server."""
    return Echo()


@pytest.fixture(scope="module")
def port(echo: Echo) -> Iterator[int]:
    """One server for the whole file."""
    with serving(uvicorn_config(echo, host="127.0.0.1", port=0, drain_seconds=1)) as chosen:
        yield chosen


@pytest.fixture
def seen(echo: Echo, port: int) -> list[bytes]:
    """What the app has seen since this test began."""
    echo.seen.clear()
    return echo.seen


def told(answer: bytes) -> Any:
    """The app's account of a request."""
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def test_an_ordinary_request_reaches_the_app_byte_for_byte(port: int) -> None:
    """A well-formed request arrives with its target, fields and body as they were sent."""
    body = b"Content-Length: 5\r\nX-A: \xe9\r\n\r\nhello"
    answer = exchange(port, b"POST /a%20b/c?d=%2F HTTP/1.1\r\n" + LAST + body)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert told(answer)["path"] == "/a%20b/c"
    assert told(answer)["query"] == "d=%2F"
    assert told(answer)["body"] == "hello"
    assert ["x-a", "\xe9"] in told(answer)["fields"]
    assert b"server:" not in answer.lower()


@pytest.mark.req("F36", "BCP-18", "ATK-36")
def test_trailers_never_become_headers(port: int) -> None:
    """A field after the body is dropped: no front proxy has had a chance to strip it."""
    head = b"POST /x HTTP/1.1\r\n" + LAST + b"Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n\r\n"
    answer = exchange(port, head + b"3\r\nabc\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nCookie: a=b\r\n\r\n")
    assert told(answer)["body"] == "abc"
    names = [name for name, _ in told(answer)["fields"]]
    assert "x-forwarded-for" not in names
    assert "cookie" not in names


def chunked(coding: bytes) -> bytes:
    """A request with this Transfer-Encoding section and an empty chunked body."""
    return b"POST / HTTP/1.1\r\n" + HOST + coding + b"\r\n0\r\n\r\n"


MALFORMED = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "no Host, 1.0": b"GET / HTTP/1.0\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil\r\n\r\n",
    "twice the same Host": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "absolute-form": b"GET http://evil/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute-form of ours": b"GET http://app.example/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk-form": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority-form": b"CONNECT evil:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw byte in target": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "CL then TE": chunked(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "TE then CL": chunked(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "gzip, chunked": chunked(b"Transfer-Encoding: gzip, chunked\r\n"),
    "chunked, identity": chunked(b"Transfer-Encoding: chunked, identity\r\n"),
    "xchunked": chunked(b"Transfer-Encoding: xchunked\r\n"),
    "two TE": chunked(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "TE in 1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CL": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "CL with sign": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello",
    "bare LF": b"GET / HTTP/1.1\nHost: app.example\n\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: app.example\rX: y\r\n\r\n",
    "an upgrade with a length": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    "an upgrade with chunks": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\n" + HOST + b" folded\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\n" + HOST + b"X-Forwarded-User : a\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
    "NUL in value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.req("F36", "H-3", "ATK-32", "ATK-35", "ATK-38")
@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_request_with_two_readings_is_400_before_the_app(port: int, seen: list[bytes], request_bytes: bytes) -> None:
    """Ambiguous framing, target or Host is answered 400, closes the connection and never reaches the app."""
    answer = exchange(port, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer
    assert seen == []


@pytest.mark.req("F36")
@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
def test_other_versions_of_http_are_505(port: int, seen: list[bytes], version: bytes) -> None:
    """What calls itself another version of HTTP is not parsed as this one."""
    assert exchange(port, b"GET / " + version + b"\r\n" + HOST + b"\r\n").startswith(b"HTTP/1.1 505 ")
    assert seen == []


def test_http_1_0_is_answered_and_closed(port: int) -> None:
    """HTTP/1.0 with a Host is served, and its connection ends with the response."""
    answer = exchange(port, b"GET /old HTTP/1.0\r\n" + HOST + b"\r\n")
    assert told(answer)["path"] == "/old"


async def _answers_in_blocks(scope: Any, receive: Any, send: Any) -> None:
    """An app that does not know its answer's length; below /coded it says how it would be framed."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await receive()
    fields = [(b"content-type", b"text/plain")]
    if scope["raw_path"] == b"/coded":
        fields.append((b"Transfer-Encoding", b"chunked"))
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    for block in (b"hel", b"lo"):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize("path", [b"/", b"/coded"])
def test_http_1_0_is_never_sent_a_transfer_coding(path: bytes) -> None:
    """RFC 9112 6.1: where the length of an answer is unknown, an HTTP/1.0 client reads up to the connection's end."""
    with serving(uvicorn_config(_answers_in_blocks, host="127.0.0.1", port=0)) as port:
        old = exchange(port, b"GET " + path + b" HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + b"\r\n")
        head = exchange(port, b"HEAD " + path + b" HTTP/1.0\r\n" + HOST + b"\r\n")
        new = exchange(port, b"GET " + path + b" HTTP/1.1\r\n" + LAST + b"\r\n")
    assert old.endswith(b"content-type: text/plain\r\nconnection: close\r\n\r\nhello")
    assert head.endswith(b"content-type: text/plain\r\nconnection: close\r\n\r\n")
    assert b"transfer-encoding" not in (old + head).lower()
    assert new.lower().count(b"transfer-encoding: chunked") == 1
    assert new.endswith(b"\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")


@pytest.mark.parametrize(("version", "interim"), [(b"1.0", 0), (b"1.1", 1)])
def test_http_1_0_hears_no_interim_response(version: bytes, interim: int) -> None:
    """RFC 9110 15.2: what an HTTP/1.0 client expects is its answer, whatever it says."""
    head = b"POST / HTTP/" + version + b"\r\n" + LAST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with serving(uvicorn_config(_answers_in_blocks, host="127.0.0.1", port=0)) as port:
        answer = exchange(port, head, b"ab", pause=0.1)
    assert answer.count(b"HTTP/1.1 100 Continue\r\n\r\n") == interim


TOO_LARGE = {
    "one value": (b"GET / HTTP/1.1\r\n" + LAST + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",),
    "one value that never ends": (b"GET / HTTP/1.1\r\n" + HOST + b"X: ", *[b"a" * 9000] * 5),
    "a name that never ends": (b"GET / HTTP/1.1\r\n" + HOST, *[b"a" * 9000] * 5),
    "the target": (b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n" + LAST + b"\r\n",),
    "many fields": (
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % n for n in range(MAX_HEAD_FIELDS)) + b"\r\n",
    ),
    "empty lines before the request": (b"\r\n" * MAX_HEAD_BYTES,),
    "the second request of a connection": (
        b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /2 HTTP/1.1\r\nX: " + b"a" * 60_000,
    ),
}


@pytest.mark.req("F36", "ATK-42")
@pytest.mark.parametrize("parts", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_a_head_too_large_is_431_while_it_arrives(port: int, seen: list[bytes], parts: tuple[bytes, ...]) -> None:
    """32 KB or 100 fields end the connection with 431, even where the head never ends."""
    answer = exchange(port, *parts)
    assert answer.count(b"HTTP/1.1 431 ") == 1
    assert len(seen) == len(parts[1:2]) if answer.startswith(b"HTTP/1.1 200 ") else seen == []


@pytest.mark.req("F36")
def test_the_limits_themselves_are_served(port: int) -> None:
    """A head of exactly the permitted number of fields, and one close to the permitted size, pass."""
    fields = b"".join(b"X%d: y\r\n" % n for n in range(MAX_HEAD_FIELDS - 2))
    assert exchange(port, b"GET / HTTP/1.1\r\n" + LAST + fields + b"\r\n").startswith(b"HTTP/1.1 200 ")
    large = b"X: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n"
    assert exchange(port, b"GET / HTTP/1.1\r\n" + LAST + large + b"\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.req("F36", "ATK-42")
@pytest.mark.parametrize(
    "endless", [b"0\r\nX: " + b"a" * 9000, b"1;" + b"e" * 9000], ids=["a trailer", "a chunk extension"]
)
def test_what_is_neither_head_nor_body_is_bounded_too(port: int, seen: list[bytes], endless: bytes) -> None:
    """A trailer or a chunk extension that never ends closes the connection, and the app hears that its peer is gone."""
    head = b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert exchange(port, head, endless, *[b"a" * 9000] * 5).startswith(b"HTTP/1.1 431 ")
    assert seen == [b"/x", b"gone"]


@pytest.mark.req("F36")
@pytest.mark.parametrize("chunk", [b"+3\r\nabc", b"0x3\r\nabc", b"3\nabc", b"3\r\nabcd\r\n", b"zz\r\n"])
def test_a_broken_chunk_is_400_and_ends_the_apps_request(port: int, seen: list[bytes], chunk: bytes) -> None:
    """A body that breaks its framing is never completed for the app."""
    head = b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert exchange(port, head, chunk).startswith(b"HTTP/1.1 400 ")
    assert seen == [b"/x", b"gone"]


@pytest.mark.req("F36")
def test_a_refused_request_never_answers_in_anothers_place(port: int) -> None:
    """A malformed request behind one that is still being answered closes the connection without a byte."""
    answer = exchange(port, b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\n\r\n")
    assert answer == b""


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    """Two good requests in one segment get two responses, each its own."""
    two = b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\nGET /2 HTTP/1.1\r\n" + LAST + b"\r\n"
    answer = exchange(port, two)
    assert answer.index(b'"/1"') < answer.index(b'"/2"')
    assert answer.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.req("F36", "ATK-37")
def test_an_upgrade_is_served_as_plain_http_and_closes(port: int, seen: list[bytes]) -> None:
    """No upgrade happens at the front; what follows such a request on its connection is never parsed."""
    head = b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = exchange(port, head + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert seen == [b"/ws"]


@pytest.mark.req("F36", "ATK-37")
def test_what_follows_an_upgrade_is_not_even_read(port: int) -> None:
    """Bytes of another protocol behind an upgrade request do not disturb its answer."""
    head = b"GET /slow HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert exchange(port, head, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.req("F36", "ATK-37")
def test_nothing_after_connection_close_is_served(port: int, seen: list[bytes]) -> None:
    """A request that says it is the last one is the last one."""
    answer = exchange(port, b"GET /1 HTTP/1.1\r\n" + LAST + b"\r\nGET /2 HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert seen == [b"/1"]


@pytest.mark.req("F36", "ATK-42")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((b"GET / HTTP/1.1\r\nHo",), b"HTTP/1.1 408 "),
        ((b"\r\n",), b"HTTP/1.1 408 "),
        ((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /"), b"HTTP/1.1 200 "),
        ((b"",), b""),
    ],
    ids=["half a head", "an empty line", "half a second head", "nothing"],
)
def test_a_head_that_never_ends_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...], expected: bytes
) -> None:
    """A connection that holds back its head is answered 408 and closed; one that says nothing is only closed."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.05)
    with serving(uvicorn_config(Echo(), host="127.0.0.1", port=0, drain_seconds=1)) as port:
        answer = exchange(port, *parts)
    assert answer.startswith(expected)
    assert answer.endswith(b"in time.") if expected else answer == b""


def test_a_large_body_arrives_whole_in_any_segmentation(port: int) -> None:
    """The head's bound does not bound bodies."""
    body = bytes(range(97, 123)) * 8000
    head = b"POST / HTTP/1.1\r\n" + LAST + b"Content-Length: %d\r\n\r\n" % len(body)
    answer = exchange(port, head + body[:10], body[10:100_000], body[100_000:])
    assert told(answer)["body"].encode() == body


@pytest.mark.req("F36")
@pytest.mark.parametrize("http", [H11Protocol, HttpToolsProtocol])
def test_any_other_http_implementation_is_refused(http: type[asyncio.Protocol]) -> None:
    """The start names the implementation that it will not serve through."""
    with pytest.raises(ConfigurationError, match=http.__name__):
        uvicorn_config(Echo(), host="127.0.0.1", port=0, http=http)


@pytest.mark.req("F36", "ATK-36")
def test_the_configuration_leaves_nothing_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwarding headers, workers and the protocol come from our settings, never from uvicorn's variables."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    monkeypatch.setenv("WEB_CONCURRENCY", "7")
    config = uvicorn_config(Echo(), host="127.0.0.1", port=0, drain_seconds=3)
    config.load()
    assert (config.proxy_headers, config.forwarded_allow_ips, config.workers) == (False, [], 1)
    assert (config.server_header, config.access_log, config.timeout_graceful_shutdown) == (False, False, 3)
    assert config.http_protocol_class is StrictHTTPProtocol
    assert config.loop == "uvloop"


def test_a_worker_that_starts_slowly_is_not_taken_for_a_dead_one() -> None:
    """A minute to show a sign of life: on a busy machine its imports alone take more than five seconds."""
    assert uvicorn_config("bff.cli:application", host="127.0.0.1", port=0, workers=2).timeout_worker_healthcheck >= 60


def test_a_request_under_way_at_shutdown_is_finished() -> None:
    """Within ``drain_seconds`` the server answers what it had taken before it stops."""
    echo = Echo()
    with serving(uvicorn_config(echo, host="127.0.0.1", port=0, drain_seconds=2)) as port:
        peer = socket.create_connection(("127.0.0.1", port), timeout=5)
        peer.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        while not echo.seen:
            time.sleep(0.005)
    with peer:
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")


async def _answers_whole(scope: Any, receive: Any, send: Any) -> None:
    """An app that answers in one piece what its path names."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"99")]
    if scope["raw_path"] == b"/split":
        fields.append((b"x-evil", b"a\r\nset-cookie: a=b"))
    status = 204 if scope["raw_path"] == b"/none" else 200
    body = b"" if status == 204 else b"hello"
    await scope["extensions"][server.WHOLE](status, fields[:1] if status == 204 else fields, body)


@pytest.mark.req("F36")
@pytest.mark.parametrize(
    ("request_line", "first", "last"),
    [
        (b"GET / HTTP/1.1", b"HTTP/1.1 200 OK", b"content-length: 5\r\nconnection: close\r\n\r\nhello"),
        (b"HEAD / HTTP/1.1", b"HTTP/1.1 200 OK", b"content-length: 99\r\nconnection: close\r\n\r\n"),
        (b"GET /none HTTP/1.1", b"HTTP/1.1 204 No Content", b"text/plain\r\nconnection: close\r\n\r\n"),
        (b"GET /split HTTP/1.1", b"HTTP/1.1 500 Internal Server Error", b"Internal Server Error"),
    ],
)
def test_an_answer_in_one_piece_is_framed_by_us(request_line: bytes, first: bytes, last: bytes) -> None:
    """Its length is the body's own, HEAD and 204 have no body, and no field ends its line early."""
    with serving(uvicorn_config(_answers_whole, host="127.0.0.1", port=0)) as port:
        answer = exchange(port, request_line + b"\r\n" + LAST + b"\r\n")
    assert answer.startswith(first + b"\r\n")
    assert answer.endswith(last)
    assert b"set-cookie" not in answer


@pytest.mark.req("F36", "ATK-42")
@pytest.mark.parametrize("more", [b"", b"x"], ids=["nothing more", "a byte more"])
def test_a_body_whose_request_was_answered_is_not_waited_for_without_end(more: bytes) -> None:
    """A request that is refused before its body has come, and a browser that stops in the body: it holds nothing."""
    config = uvicorn_config(_answers_whole, host="127.0.0.1", port=0)
    config.timeout_keep_alive = 0.2  # type: ignore[assignment]  # uvicorn declares whole seconds
    with serving(config) as port, socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
        peer.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nxx")
        assert peer.recv(65536).endswith(b"hello")
        peer.sendall(more)
        began = time.monotonic()
        assert peer.recv(1) == b""
        assert 0.1 < time.monotonic() - began < 1.0


def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    """The time that a connection may be idle begins anew with each answer, and ends it once."""
    config = uvicorn_config(_answers_whole, host="127.0.0.1", port=0)
    config.timeout_keep_alive = 0.4  # type: ignore[assignment]  # uvicorn declares whole seconds
    with serving(config) as port, socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        for _ in range(4):
            peer.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert peer.recv(65536).endswith(b"hello")
            time.sleep(0.25)
        began = time.monotonic()
        assert peer.recv(1) == b""
        assert time.monotonic() - began < 1.0
