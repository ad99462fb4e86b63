"""The same response, read by us and by h11, and told in the same words."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

from bff.errors import ResourceAPIUnavailable
from bff.relay.response_reader import ResponseReader

WHOLE, REFUSED, BROKEN_OFF = "whole", "refused", "broken off"
_ROOM = 1 << 20  # of h11 for one head: the bound that is judged is ours


@dataclass(slots=True)
class Reading:
    """What one reader made of a response up to the end of its connection.

    ``verdict``: the response came whole, was refused, or broke off. ``status`` and ``fields`` (as far as they are no
    framing of ours to redo) stand once its head did, ``body`` is what was given out of it. ``kept``: another response
    could follow on the connection.
    """

    verdict: str = BROKEN_OFF
    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    kept: bool = False


def ours(method: str, segments: list[bytes]) -> Reading:
    """By the relay's own reader."""
    reader, reading = ResponseReader(method), Reading()
    try:
        for segment in segments:
            reader.feed(segment)
        reading.kept = reader.complete and reader.reusable
        reading.verdict = BROKEN_OFF
        try:
            reader.end()
        except ResourceAPIUnavailable:
            pass
        else:
            reading.verdict = WHOLE
    except ResourceAPIUnavailable:
        reading.verdict = REFUSED
    if reader.begun:
        reading.status, reading.fields = reader.status, list(reader.headers)
    reading.body = reader.take()
    reader.close()
    return reading


def h11s(method: str, segments: list[bytes]) -> Reading:
    """By an independent reader."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ROOM)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    reading = Reading()
    for segment in segments:
        if not segment:
            continue
        try:
            connection.receive_data(segment)
            _events(connection, reading)
        except h11.RemoteProtocolError:
            reading.verdict = REFUSED
        if reading.verdict == REFUSED:
            return reading
    behind, _ = connection.trailing_data
    reading.kept = reading.verdict == WHOLE and connection.their_state is h11.DONE and not behind
    if reading.verdict != WHOLE:
        try:
            connection.receive_data(b"")
            _events(connection, reading)
        except h11.RemoteProtocolError:
            pass
    return reading


def _events(connection: h11.Connection, reading: Reading) -> None:
    while reading.verdict != WHOLE:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            reading.status, reading.fields = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            reading.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reading.verdict = WHOLE
        elif not isinstance(event, h11.InformationalResponse):
            return
