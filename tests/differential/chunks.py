"""A chunked body as RFC 9112 7.1 spells it, for tests that spell it another way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]+)[^\r\n]*\r\n")
_DIGITS = 20  # of a chunk's size: more are beyond h11


def sizes(raw: bytes, at: int) -> Iterator[tuple[re.Match[bytes], int]]:
    """The line of each chunk's size, and where the next one is: at 0 behind the last one."""
    while line := _SIZE_LINE.match(raw, at):
        size = int(line[1], 16)
        at = min(line.end() + size + 2, len(raw)) if size else 0
        yield line, at
        if not size:
            return


def without_zeros(raw: bytes, at: int) -> tuple[bytes, int]:
    """The body that begins ``at`` there, no size of it with more leading zeros than h11 reads; and where it ends."""
    return _spelled(raw, at, lambda size: size.lstrip(b"0") if len(size) > _DIGITS else size, trailers=True)


def without_trailers(raw: bytes, at: int) -> tuple[bytes, int]:
    """The body that begins ``at`` there, and nothing behind its last chunk; and where it ends."""
    return _spelled(raw, at, lambda size: size, trailers=False)


def _spelled(raw: bytes, at: int, size: Callable[[bytes], bytes], *, trailers: bool) -> tuple[bytes, int]:
    parts = list[bytes]()
    for line, behind in sizes(raw, at):
        parts += [raw[at : line.start()], size(line[1]) or b"0", raw[line.end(1) : line.end()]]
        at = line.end()
        if not behind:
            end = raw.find(b"\r\n\r\n", at - 2) + 4
            if end >= at:
                return b"".join([*parts, raw[at:end] if trailers else b"\r\n"]), end
    return b"".join([*parts, raw[at:]]), len(raw)
