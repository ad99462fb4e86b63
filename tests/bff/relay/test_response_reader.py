"""How a response is read, fault by fault; ``tests/differential`` reads thousands that nobody thought of."""

from __future__ import annotations

import pytest

from bff.errors import ResourceAPIUnavailable
from bff.relay.response_reader import ResponseReader
from tests.world.upstream import FRAMING_FAULTS


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
