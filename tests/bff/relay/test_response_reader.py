"""How a response is read: the same whatever the segments, and never more than another reader would believe."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.errors import ResourceAPIUnavailable
from bff.relay.response_reader import ResponseReader
from tests.world.upstream import FRAMING_FAULTS

STATUS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not", b"HTTP/1.1 404"]
)
FIELD = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: 05",
        b"content-length:5 ",
        b"Content-Length: 0",
        b"Content-Length: 5, 5",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding:\tchunked",
        b"Connection: close",
        b"X: y",
        b"X:",
        b" folded",
        b"X: \x0b",
        b"no colon",
    ]
)
BODY = st.sampled_from(
    [
        b"",
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"0x5\r\nhello",
    ]
)
SURPLUS = st.sampled_from([b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"x"])
INTERIM = st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"])
END = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])
METHOD = st.sampled_from(["GET", "HEAD"])


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A response, more often broken than not."""
    end = draw(END)
    lines = [draw(STATUS), *draw(st.lists(FIELD, max_size=3))]
    return draw(INTERIM) + b"".join(line + end for line in lines) + end + draw(BODY) + draw(SURPLUS)


def ours(method: str, segments: list[bytes]) -> tuple[int, bytes] | None:
    """Status and body as we read them up to the end of the connection, or None where it is broken."""
    reader = ResponseReader(method)
    try:
        for segment in segments:
            reader.feed(segment)
        reader.end()
    except ResourceAPIUnavailable:
        return None
    return reader.status, reader.take()


def h11s(method: str, raw: bytes) -> tuple[int, bytes] | None:
    """The same by h11, an independent reader."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(raw)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


@pytest.mark.req("F35", "ATK-37")
@settings(max_examples=600, deadline=None)
@given(METHOD, responses())
@example("GET", b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
def test_what_we_believe_another_reader_believes_too(method: str, raw: bytes) -> None:
    """Whatever we accept, h11 accepts with the same status and body: we are the stricter of the two."""
    read = ours(method, [raw])
    if read is not None:
        assert h11s(method, raw) == read


@pytest.mark.req("F35")
@settings(max_examples=300, deadline=None)
@given(METHOD, responses(), st.data())
def test_segments_change_nothing(method: str, raw: bytes, data: st.DataObject) -> None:
    """A response is read the same however the network cuts it."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=5)))
    segments = [raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert ours(method, segments) == ours(method, [raw])


@pytest.mark.req("F35")
@pytest.mark.parametrize(
    "raw", [raw for name, raw in FRAMING_FAULTS.items() if not name.startswith(("control", "two content"))]
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_fault_is_found_in_any_segments(raw: bytes, size: int) -> None:
    """Each framing fault is one, byte by byte too; nothing of it is complete or reusable."""
    assert ours("GET", [raw[at : at + size] for at in range(0, len(raw), size)]) is None


@pytest.mark.req("F35", "ATK-42")
def test_endless_trailers_and_extensions_are_given_up() -> None:
    """What becomes no byte of the body is bounded as well."""
    reader = ResponseReader("GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    for _ in range(60):
        reader.feed(b"X: " + b"y" * 1000 + b"\r\n")
    with pytest.raises(ResourceAPIUnavailable):
        reader.feed(b"X: " + b"y" * 8000 + b"\r\n")


@pytest.mark.req("F35", "ATK-37")
@pytest.mark.parametrize(
    ("field", "body"), [(b"Content-Length: 2", b"{}"), (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n")]
)
@pytest.mark.parametrize("status", [b"100", b"103", b"104", b"199"])
def test_an_interim_response_never_begins_the_body_of_the_final_one(status: bytes, field: bytes, body: bytes) -> None:
    """A 1xx has no body (RFC 9110 15.2): what llhttp reads as one, from 104 on, is not told as the final one's."""
    interim = b"HTTP/1.1 " + status + b" Wait\r\n" + field + b"\r\n\r\n"
    assert ours("GET", [interim + body + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]) is None


@pytest.mark.req("F35", "ATK-37")
@pytest.mark.parametrize("coding", [b"chunked\t", b"chunked \t", b"chunked\t "])
def test_a_coding_that_llhttp_reads_in_another_way_is_refused(coding: bytes) -> None:
    """A tab behind ``chunked`` makes it no chunks to llhttp: their sizes would be told as the body."""
    reader = ResponseReader("GET")
    with pytest.raises(ResourceAPIUnavailable):
        reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    assert (reader.begun, reader.take()) == (False, b"")


@pytest.mark.req("F35", "ATK-37")
@pytest.mark.parametrize("surplus", [b"\r\n", b"\n", b"\r", b"\r\n\r\n"])
@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
    ],
    ids=["204", "no body", "a body that ends in a line", "chunks", "a trailer"],
)
def test_not_even_an_empty_line_follows_on_a_connection_that_is_kept(raw: bytes, surplus: bytes) -> None:
    """Line ends that llhttp passes over without a word count as well: a byte too many is a byte too many."""
    for sent, kept in ((raw, True), (raw + surplus, False)):
        reader = ResponseReader("GET")
        reader.feed(sent)
        assert (reader.complete, reader.reusable) == (True, kept)


def test_trailers_are_no_headers() -> None:
    """A field behind the body is dropped."""
    reader = ResponseReader("GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Late: y\r\n\r\n")
    assert (reader.complete, reader.reusable, reader.take()) == (True, True, b"a")
    assert [name for name, _ in reader.headers] == [b"transfer-encoding"]
