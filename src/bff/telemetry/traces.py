"""One trace id a request (W3C Trace Context): taken over where a caller sends a valid one, made where none is sent."""

from __future__ import annotations

import random
import re

TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_random = random.Random()  # noqa: S311 — because ids of traces are no secrets, and a system call for each is dear


def new_span_id() -> str:
    """The 16 hexadecimal digits of a span of our own."""
    return f"{_random.getrandbits(64) or 1:016x}"


def trace_id_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The 32 hexadecimal digits that name this request in logs and problems."""
    sent = [value for name, value in headers if name == b"traceparent"]
    match = TRACEPARENT.fullmatch(sent[0]) if len(sent) == 1 else None
    return f"{_random.getrandbits(128) or 1:032x}" if match is None else match[1].decode()
