"""Ways in which a stream of HTTP/1.1 goes wrong: single bytes, whole lines, and the fields that frame a message.

    broken = mutated(chance, whole, donor)      # ``donor``: another stream, of which a piece may be spliced in

Everything is drawn from ``chance``, so a seed is a stream.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
Mutation = Callable[[random.Random, bytes], bytes]

FRAMING_LINES: Final = (
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: 05",
    b"Content-Length: +5",
    b"Content-Length: -1",
    b"Content-Length: 5, 5",
    b"Content-Length: 5,6",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: ",
    b"Content-Length: 99999999999999999999",
    b"Content-Length : 5",
    b"Content-Length\t: 5",
    b"Content_Length: 5",
    b" Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: chunked ",
    b"Transfer-Encoding:chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked;a=b",
    b"Transfer-Encoding: ,chunked",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\r\n : chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Keep-Alive, CLOSE",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Trailer: Content-Length",
)

PIECES: Final = (
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\r\n", b"\n\r", b"\0", b"\t", b" ", b"\x0b", b"\x0c", b"\x7f"),
    *(b"\x80", b"\xff", b"\xc2\xa0", b"\xe2\x80\xa8", b":", b";", b",", b"=", b'"', b"0", b"1", b"f", b"x", b"-", b"+"),
    *(b"0\r\n\r\n", b"5\r\nhello\r\n", b"0\r\nX-Late: y\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 Continue"),
    *(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.0", b"HTTP/2.0"),
)

LINE_ENDS: Final = (
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\r",
    b" \r\n",
    b"\t\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\r\n\r\n",
    b"\0\r\n",
    b"",
)

_SIZE = re.compile(rb"(?<=\n)([0-9a-fA-F]{1,8})(?=[;\r])")
_COLON = re.compile(rb": ")
_DIGITS = re.compile(rb"[0-9]+")


def mutated(chance: random.Random, raw: bytes, donor: bytes) -> bytes:
    """The stream with a few things wrong, more often few than many."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        raw = _crossed(chance, raw, donor) if chance.random() < 0.06 else chance.choice(MUTATIONS)(chance, raw)
    return raw


def cut(chance: random.Random, raw: bytes) -> list[bytes]:
    """The same bytes as the network may deliver them."""
    kind = chance.random()
    if kind < 0.3 or len(raw) < 2:
        return [raw]
    if kind < 0.4:
        return [raw[at : at + 1] for at in range(len(raw))]
    places = sorted(chance.sample(range(1, len(raw)), min(len(raw) - 1, chance.randrange(1, 6))))
    return [raw[start:stop] for start, stop in zip([0, *places], [*places, len(raw)], strict=True)]


def _flip(chance: random.Random, raw: bytes) -> bytes:
    """One bit of one byte."""
    at = chance.randrange(len(raw) or 1)
    return raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :] if raw else raw


def _replace(chance: random.Random, raw: bytes) -> bytes:
    """One byte by another one."""
    at = chance.randrange(len(raw) or 1)
    return raw[:at] + chance.randbytes(1) + raw[at + 1 :]


def _delete(chance: random.Random, raw: bytes) -> bytes:
    """A few bytes less."""
    at = chance.randrange(len(raw) or 1)
    return raw[:at] + raw[at + chance.choice((1, 1, 2, 4, 20)) :]


def _double(chance: random.Random, raw: bytes) -> bytes:
    """A few bytes twice."""
    at = chance.randrange(len(raw) or 1)
    piece = raw[at : at + chance.choice((1, 2, 8, 40))]
    return raw[:at] + piece + raw[at:]


def _insert(chance: random.Random, raw: bytes) -> bytes:
    """Something that means something to a parser, anywhere."""
    at = chance.randrange(len(raw) + 1)
    return raw[:at] + chance.choice(PIECES) + raw[at:]


def _framing(chance: random.Random, raw: bytes) -> bytes:
    """A field that frames, between two lines of the head."""
    return _at_a_line(chance, raw, chance.choice(FRAMING_LINES) + b"\r\n")


def _fold(chance: random.Random, raw: bytes) -> bytes:
    """A line that continues the one before it (RFC 9112 5.2)."""
    return _at_a_line(chance, raw, chance.choice((b" folded\r\n", b"\tfolded: y\r\n", b" \r\n", b"  5\r\n")))


def _line_end(chance: random.Random, raw: bytes) -> bytes:
    """Another end of one line, or of all of them."""
    new = chance.choice(LINE_ENDS)
    if chance.random() < 0.2:
        return raw.replace(b"\r\n", new)
    at = _pick(chance, [found.start() for found in re.finditer(b"\r\n", raw)])
    return raw if at is None else raw[:at] + new + raw[at + 2 :]


def _chunk_size(chance: random.Random, raw: bytes) -> bytes:
    """Another spelling of a chunk's size, or another size."""
    found = _pick(chance, list(_SIZE.finditer(raw)))
    if found is None:
        return raw
    size = found[0]
    other = chance.choice((int(size, 16) + 1, max(0, int(size, 16) - 1)))
    spelled = chance.choice(
        (
            *(before + size for before in (b"0", b"0x", b"+", b"-", b" ", b"0" * 20)),
            *(size + behind for behind in (b" ", b"\t", b";", b";a=b", b' ; a="b"', b";\n", b"g", b"\x0b", b"\0")),
            *(b"%x" % other, size.upper(), b"f" * 17, b"", b"1_0"),
        )
    )
    return raw[: found.start()] + spelled + raw[found.end() :]


def _whitespace(chance: random.Random, raw: bytes) -> bytes:
    """Other whitespace around a colon."""
    found = _pick(chance, list(_COLON.finditer(raw)))
    odd = chance.choice(
        (b" : ", b"\t: ", b":", b":\t", b":  ", b":\x0b", b":\x0c", b":\xa0", b":\x85", b"::", b" ", b"")
    )
    return raw if found is None else raw[: found.start()] + odd + raw[found.end() :]


def _number(chance: random.Random, raw: bytes) -> bytes:
    """Another number: a status, a version, a length."""
    found = _pick(chance, list(_DIGITS.finditer(raw)))
    other = chance.choice((b"0", b"1", b"2", b"99", b"100", b"101", b"199", b"204", b"304", b"600", b"999", b"10", b""))
    return raw if found is None else raw[: found.start()] + other + raw[found.end() :]


def _line_twice(chance: random.Random, raw: bytes) -> bytes:
    """A whole line once more, somewhere else."""
    return _at_a_line(chance, raw, chance.choice(raw.split(b"\r\n")) + b"\r\n")


def _line_gone(chance: random.Random, raw: bytes) -> bytes:
    """A whole line less."""
    lines = raw.split(b"\r\n")
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def _lines_swapped(chance: random.Random, raw: bytes) -> bytes:
    """Two lines in the other order."""
    lines = raw.split(b"\r\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def _truncate(chance: random.Random, raw: bytes) -> bytes:
    """An end before the end."""
    return raw[: chance.randrange(len(raw) + 1)]


def _surplus(chance: random.Random, raw: bytes) -> bytes:
    """Bytes behind the end."""
    return raw + chance.choice((*PIECES, raw))


def _crossed(chance: random.Random, raw: bytes, donor: bytes) -> bytes:
    """The beginning of one stream, and the end of another."""
    return raw[: chance.randrange(len(raw) + 1)] + donor[chance.randrange(len(donor) + 1) :]


def _at_a_line(chance: random.Random, raw: bytes, line: bytes) -> bytes:
    at = _pick(chance, [found.end() for found in re.finditer(b"\r\n", raw)])
    return raw if at is None else raw[:at] + line + raw[at:]


def _pick(chance: random.Random, found: list[T]) -> T | None:
    return chance.choice(found) if found else None


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(_flip, _replace, _delete, _double, _insert, _framing, _framing, _fold, _line_end, _line_end, _chunk_size),
    *(_whitespace, _number, _line_twice, _line_gone, _lines_swapped, _truncate, _surplus),
)
