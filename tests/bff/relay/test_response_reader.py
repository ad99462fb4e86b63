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


def test_trailers_are_no_headers() -> None:
    """A field behind the body is dropped."""
    reader = ResponseReader("GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Late: y\r\n\r\n")
    assert (reader.complete, reader.reusable, reader.take()) == (True, True, b"a")
    assert [name for name, _ in reader.headers] == [b"transfer-encoding"]


_KEPT = b"HTTP/1.1 200 OK\r\n"
ENDINGS = {
    "a length": _KEPT + b"Content-Length: 2\r\n\r\nab",
    "a length, and a body that ends with a line": _KEPT + b"Content-Length: 4\r\n\r\nab\r\n",
    "a length, and a body of line ends": _KEPT + b"Content-Length: 6\r\n\r\n\r\n\r\n\r\n",
    "no bytes": _KEPT + b"Content-Length: 0\r\n\r\n",
    "chunks": _KEPT + b"Transfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\n0\r\n\r\n",
    "chunks and a trailer": _KEPT + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX:\r\n\r\n",
    "no body by its status": b"HTTP/1.1 204 No Content\r\nX:\r\n\r\n",
    "an interim response before it": b"HTTP/1.1 103 Early Hints\r\n\r\n" + _KEPT + b"Content-Length: 2\r\n\r\nab",
}


@pytest.mark.req("F35")
@pytest.mark.parametrize("raw", ENDINGS.values(), ids=ENDINGS.keys())
@pytest.mark.parametrize("surplus", [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\r\n\r\n", b"\r\n" * 3])
def test_a_line_end_behind_a_response_makes_its_connection_unusable(raw: bytes, surplus: bytes) -> None:
    """Not one byte follows a whole response on a connection that is used again, however the network cuts it."""
    for cut in range(len(raw)):
        reader = ResponseReader("GET")
        for segment in (raw[:cut], raw[cut:] + surplus):
            if segment:
                reader.feed(segment)
        assert (reader.complete, reader.reusable) == (True, False), cut


@pytest.mark.req("F35")
@pytest.mark.parametrize("raw", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_response_that_ends_with_its_last_byte_leaves_its_connection_usable(raw: bytes) -> None:
    """Whatever that byte is: a body may end with a line, and chunks always do."""
    reader = ResponseReader("GET")
    reader.feed(raw)
    assert (reader.complete, reader.reusable) == (True, True)
    if b"Content-Length: 4" in raw:  # a head in one segment, its body in another
        reader = ResponseReader("GET")
        reader.feed(raw[:-4])
        reader.feed(raw[-4:])
        assert (reader.complete, reader.reusable) == (True, True)
