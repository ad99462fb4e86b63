"""Requests as no browser would send them: what our application sees of them, h11 sees too, or it has a name."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.differential.budget import SEED, STREAMS, told
from tests.differential.mutations import cut, mutated
from tests.differential.request_differences import IN_ITS_LINE, LENIENT, STRICTER, agree, named
from tests.differential.request_readers import Front, h11s
from tests.differential.request_streams import requests

pytestmark = pytest.mark.timeout(60 + STREAMS // 50)
_EACH = 2  # a stream here is several requests, and a loop that answers them


@pytest.mark.req("F36", "ATK-37")
async def test_lawful_requests_are_read_as_they_are_meant() -> None:
    """One behind the other on a connection, in whatever segments, each has its own target and body."""
    chance, front = random.Random(SEED), Front()
    for _ in range(STREAMS // _EACH // 8):
        raw, said = requests(chance)
        seen = await front.reads(cut(chance, raw))
        assert [(one.method, one.target.removesuffix(b"?"), one.body) for one in seen if one.whole] == [
            (one.method, one.target.removesuffix(b"?"), one.body) for one in said
        ]
        assert agree(seen, h11s([raw])[0])


@pytest.mark.req("F36", "ATK-37")
async def test_what_the_application_sees_of_broken_requests_h11_sees_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Methods, targets, fields, bodies, and where one request ends and the next begins: no difference is nameless."""
    chance, front, seen = random.Random(SEED), Front(), Counter[str]()
    for _ in range(STREAMS // _EACH):
        (raw, _), (donor, _) = requests(chance), requests(chance)
        raw = mutated(chance, raw, donor)
        segments = cut(chance, raw)
        mine, (theirs, left) = await front.reads(segments), h11s(segments)
        name = named(raw, mine, theirs, left=left)
        assert name is not None, (segments, mine, theirs)
        seen[name or "both the same"] += 1
    told(capsys, "requests", seen)
    assert seen["both the same"] > STREAMS // _EACH // 2


_HOST = b"Host: app.example\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n"

SHOWN = {
    "empty lines before": b"\r\n\r\nGET / HTTP/1.1\r\n" + _HOST + b"\r\n",
    "spaces around": b"GET  /  HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a chunk size with twenty": _CHUNKED + b"0" * 30 + b"1\r\na\r\n0\r\n\r\n",
    "a line that ends in LF": b"GET / HTTP/1.1\n" + _HOST + b"\r\n",
    "a folded field": b"GET / HTTP/1.1\r\n" + _HOST + b"X: a\r\n b\r\n\r\n",
    "Content-Length twice": b"POST / HTTP/1.1\r\n" + _HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a length beyond": b"GET / HTTP/1.1\r\n"
    + _HOST
    + b"\r\nPOST / HTTP/1.1\r\n"
    + _HOST
    + b"Content-Length: 99999999999999999999\r\n\r\na",
    "Transfer-Encoding and": b"POST / HTTP/1.1\r\n"
    + _HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "whitespace behind a transfer": b"POST / HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n",
    "a request that asks": b"POST / HTTP/1.1\r\n"
    + _HOST
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na",
    "whitespace, or half": _CHUNKED + b"0 \r\n\r\n",
    "a field about framing": _CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a method that nobody": b"PoST / HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a target that is not": b"GET http://app.example/ HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a target with a byte": b"GET /a#b HTTP/1.1\r\n" + _HOST + b"\r\n",
    "another version": b"GET / HTTP/1.2\r\n" + _HOST + b"\r\n",
    "a control byte": b"GET / HTTP/1.1\r\n" + _HOST + b"X: a\x01b\r\n\r\n",
    "no Host, in": b"GET / HTTP/1.0\r\nX: y\r\n\r\n",
}


@pytest.mark.req("F36", "ATK-37")
@pytest.mark.parametrize("name", [*LENIENT, *STRICTER, *IN_ITS_LINE])
async def test_every_name_stands_for_a_difference(name: str) -> None:
    """No name explains what does not occur."""
    (raw,) = [raw for known, raw in SHOWN.items() if name.startswith(known)]
    mine, (theirs, left) = await Front().reads([raw]), h11s([raw])
    assert any(one.whole for one in mine) is (name in LENIENT)
    assert named(raw, mine, theirs, left=left) == name
