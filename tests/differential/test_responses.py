"""A response as no server would send it, and as few would: what we believe of it, h11 believes too, or it has a name.

``make fuzz`` reads 200,000 streams; ``FUZZ_STREAMS`` and ``FUZZ_SEED`` choose others.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.differential.budget import SEED, STREAMS, told
from tests.differential.mutations import cut, mutated
from tests.differential.response_differences import (
    IN_A_FIELD,
    IN_A_HEAD,
    IN_CHUNKS,
    IN_TRAILERS,
    LENIENT,
    agree,
    named,
)
from tests.differential.response_readers import BROKEN_OFF, REFUSED, WHOLE, Reading, h11s, ours
from tests.differential.response_streams import response

pytestmark = pytest.mark.timeout(60 + STREAMS // 200)


@pytest.mark.req("F35", "ATK-37")
def test_a_lawful_response_is_read_as_it_is_meant() -> None:
    """Every framing of RFC 9112, in whatever segments, has the status and the body that were sent."""
    chance = random.Random(SEED)
    for _ in range(STREAMS // 4):
        sent = response(chance)
        read = ours(sent.method, cut(chance, sent.raw))
        assert (read.verdict, read.status, read.body) == (WHOLE, sent.status, sent.body), sent
        assert agree(read, h11s(sent.method, [sent.raw])), sent


@pytest.mark.req("F35", "ATK-37")
def test_what_we_believe_of_a_broken_response_h11_believes_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, status, fields, body, and whether the connection may go on: no difference is without its name."""
    chance, seen = random.Random(SEED), Counter[str]()
    for _ in range(STREAMS):
        sent, donor = response(chance), response(chance)
        raw = mutated(chance, sent.raw, donor.raw)
        segments = cut(chance, raw)
        mine, theirs = ours(sent.method, segments), h11s(sent.method, segments)
        name = named(sent.method, raw, mine, theirs)
        assert name is not None, (sent.method, segments, mine, theirs)
        assert _the_same_in_one_piece(mine, ours(sent.method, [raw])), (sent.method, segments)
        seen[name or f"both: {mine.verdict}, {theirs.verdict}"] += 1
    told(capsys, "responses", seen)
    assert min(seen[f"both: {one}, {one}"] for one in (WHOLE, REFUSED, BROKEN_OFF)) > STREAMS // 50


def _the_same_in_one_piece(cut_up: Reading, whole: Reading) -> bool:
    """Segments change nothing, but that a connection is given up where they leave open what came behind."""
    facts = [(one.verdict, one.status, one.fields, one.body) for one in (cut_up, whole)]
    return facts[0] == facts[1] and cut_up.kept <= whole.kept


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_NO = b"Content-Length: 0\r\n\r\n"

SHOWN = {
    "an empty line before a status line": b"\r\n" + _OK + _NO,
    "a reason phrase with control bytes": b"HTTP/1.1 200 a\0b\r\n" + _NO,
    "a chunk size with twenty": _CHUNKED + b"0" * 30 + b"1\r\na\r\n0\r\n\r\n",
    "a trailer that may be none": _CHUNKED + b"0\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "a line that ends in LF": b"HTTP/1.1 200 OK\n" + _NO,
    "a folded field": _OK + b"X: a\r\n b\r\n" + _NO,
    "a control byte": _OK + b"X: a\x01b\r\n" + _NO,
    "another version of HTTP": b"HTTP/1.2 200 OK\r\n" + _NO,
    "a final status that is none": b"HTTP/1.1 600 Odd\r\n" + _NO,
    "Content-Length twice": _OK + b"Content-Length: 0\r\n" + _NO,
    "a length beyond 64 bits": b"HTTP/1.1 304 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "Transfer-Encoding in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding and Content-Length": _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "an interim response with a length": b"HTTP/1.1 102 Wait\r\nContent-Length: 2\r\n\r\n" + _OK + _NO,
    "an interim response that is the last": b"HTTP/1.1 102 Wait\r\nConnection: close\r\n\r\n" + _OK + _NO,
    "a tab behind a transfer coding": _OK + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "whitespace, or half an extension": _CHUNKED + b"0 \r\n\r\n",
    "Content-Length among the trailers": _CHUNKED + b"0\r\nContent-Length: 2\r\n\r\n",
}


@pytest.mark.req("F35", "ATK-37")
@pytest.mark.parametrize("name", [*LENIENT, *IN_A_FIELD, *IN_A_HEAD, *IN_CHUNKS, *IN_TRAILERS])
def test_every_name_stands_for_a_difference(name: str) -> None:
    """No name explains what does not occur."""
    (raw,) = [raw for known, raw in SHOWN.items() if name.startswith(known)]
    mine, theirs = ours("GET", [raw]), h11s("GET", [raw])
    assert (mine.verdict == WHOLE) is (name in LENIENT) is not (theirs.verdict == WHOLE)
    assert named("GET", raw, mine, theirs) == name
