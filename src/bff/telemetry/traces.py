"""One trace id a request (W3C Trace Context): taken over where a caller sends a valid one, made where none is sent."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

from bff.fields import fields_of

TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_random = random.Random()  # noqa: S311 — because ids of traces are no secrets, and a system call for each is dear


def new_span_id() -> str:
    """The 16 hexadecimal digits of a span of our own."""
    return (_random.getrandbits(64) or 1).to_bytes(8).hex()


def new_trace_id() -> str:
    """The 32 hexadecimal digits of a trace of our own."""
    return (_random.getrandbits(128) or 1).to_bytes(16).hex()


def trace_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The 32 hexadecimal digits that name this request in logs and problems."""
    sent = fields_of(headers).only(b"traceparent")
    match = None if sent is None else TRACEPARENT.fullmatch(sent)
    return new_trace_id() if match is None else match[1].decode()
