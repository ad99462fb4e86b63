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
