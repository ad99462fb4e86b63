"""What may cross, in each direction: by allow-list, the connection's own names removed first, ours set last.

H-2: no ``Via`` and no ``Forwarded`` is sent. The upstream learns the browser's address and our public name from
``X-Forwarded-For``, ``-Proto`` and ``-Host``, made anew from the socket and the settings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from bff.errors import MalformedRequest, ResourceAPIUnavailable, UpgradeRefused
from bff.fields import Fields, fields_of
from bff.relay import header_names as names
from bff.relay.location import paging_links, rewritten
from bff.relay.route import Route
from bff.telemetry.traces import TRACEPARENT

Headers = list[tuple[bytes, bytes]]

_LENGTH = re.compile(rb"[0-9]{1,15}")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_BEARER = re.compile(rb"bearer(?: |\Z)", re.IGNORECASE)
_JSON = re.compile(rb"application/(?:[a-z0-9.!#$&^_-]+\+)?json|text/event-stream", re.IGNORECASE)
_NOTICED = frozenset(
    {
        b"connection",
        b"upgrade",
        b"content-length",
        b"transfer-encoding",
        b"traceparent",
        b"x-bff-session",
        b"x-bff-slide",
    }
)
_SANDBOX = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
_UNBUFFERED = (b"x-accel-buffering", b"no")  # what a nginx in front would otherwise do to a stream
_PLAIN_JSON = b"application/json"
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
_BODILESS = frozenset({204, 304})
_REQUEST_SINGLE, _RESPONSE_SINGLE = names.REQUEST_SINGLE, names.RESPONSE_SINGLE
_NOMINATES_NOTHING = frozenset({b"keep-alive", b"close"})
_JUDGED = frozenset({b"location", b"link", b"www-authenticate"})
_NONE: frozenset[bytes] = frozenset()


def ends_a_line(text: bytes) -> bool:
    """Whether a text that becomes part of a head would end its line early, or be cut short (ATK-37)."""
    # find, not in: "bytes in bytes" first tries the needle as a number, and its TypeError costs more than the search.
    return text.find(b"\r") >= 0 or text.find(b"\n") >= 0 or text.find(b"\0") >= 0


class Crossing(Struct, frozen=True):
    """What a request's head says: the fields that cross, and what is meant for us.

    ``length`` is the declared body length in bytes, None where the body is chunked; ``session_tag`` is the page's
    ``X-BFF-Session``; ``slides`` is False where the page asks not to count as activity (``X-BFF-Slide: 0``).
    """

    headers: Headers
    has_body: bool
    length: int | None
    traceparent: bytes | None
    session_tag: bytes | None
    slides: bool

    def __repr__(self) -> str:
        """Tell no header."""
        return f"Crossing(has_body={self.has_body})"


def crossing(raw: Headers, route: Route) -> Crossing:
    """Read a request's head once. ``raw`` is ASGI's: lower-case names, raw values.

    Raises MalformedRequest for repeated singletons, double framing and a nominated security header, and UpgradeRefused.
    """
    crossing_names, fields = route.crossing_names, fields_of(raw)
    kept = [field for field in raw if field[0] in crossing_names]
    if fields.repeated:
        for name in fields.repeated & crossing_names & _REQUEST_SINGLE:
            raise MalformedRequest(f"{name.decode()} came twice")
    if _NOTICED.isdisjoint(fields):
        return Crossing(kept, False, 0, None, None, True)  # noqa: FBT003 — a plain GET
    return _understood(kept, fields, [value for name, value in raw if name == b"connection"])


def _understood(kept: Headers, noticed: Fields, connection: Sequence[bytes]) -> Crossing:
    nominated = _nominated(connection)
    if b"upgrade" in nominated and b"upgrade" in noticed:
        raise UpgradeRefused
    if nominated:
        _refuse_nominated_security(nominated)
        kept = [(name, value) for name, value in kept if name not in nominated]
    length, has_body = _framing(noticed)
    traceparent = _only(noticed, b"traceparent")
    return Crossing(
        headers=kept,
        has_body=has_body,
        length=length,
        traceparent=traceparent if traceparent is not None and TRACEPARENT.fullmatch(traceparent) else None,
        session_tag=_only(noticed, b"x-bff-session"),
        slides=_only(noticed, b"x-bff-slide") != b"0",
    )


def outgoing(crossed: Crossing, route: Route, ours: Headers, *, client: str | None, token: str | None) -> Headers:
    """Every field of the request to the upstream but its framing, which belongs to the connection.

    ``ours`` holds what we say about ourselves; ``client`` is the browser's address as the socket knows it.
    """
    headers = [route.host, *crossed.headers, *ours]
    if client is not None:
        headers.append((b"x-forwarded-for", client.encode("latin-1")))
    if token is not None:
        headers.append((b"authorization", b"Bearer " + token.encode("ascii")))
    return headers


def returned(headers: Headers, status: int, route: Route, target: bytes) -> Headers:
    """What of an upstream's response head the browser gets, and what we add to it.

    ``headers`` have lower-case names; ``target`` is the path that was asked for. Raises ResourceAPIUnavailable where a
    singleton came twice, a value holds a control character, or Location leads off this site.
    """
    kept: Headers = []
    nominating, returned_names = [], route.returned_names
    for field in headers:
        name = field[0]
        if name in returned_names:
            kept.append(field)
        elif name == b"connection":
            nominating.append(field[1])
        elif name in _JUDGED:
            value = _judged(name, field[1], route, target)
            if value:
                kept.append((name, value))
        elif name.startswith(names.RATE_LIMIT):
            kept.append(field)
    fields = Fields.read(kept)
    for name in fields.repeated & _RESPONSE_SINGLE:
        raise ResourceAPIUnavailable(f"{name.decode()} came twice")
    return _completed(_without(kept, _nominated(nominating), status), fields.get(b"content-type", b""), route)


def _judged(name: bytes, value: bytes, route: Route, target: bytes) -> bytes:
    """The value of a field that no list lets through as it is, as the browser may see it; empty where it may not."""
    if name == b"location":
        return rewritten(value, route, target)
    if name == b"link":
        return paging_links(value, route, target)
    if name == b"www-authenticate":  # any other scheme opens a password box on our origin
        return value if _BEARER.match(value) else b""
    return value


def bearer_challenge(headers: Headers) -> str:
    """The upstream's Bearer challenge (RFC 6750 3), empty where it sent none that a browser may see."""
    for name, value in headers:
        if name.lower() == b"www-authenticate" and _BEARER.match(value) and _VALUE.fullmatch(value):
            return value.decode("latin-1")
    return ""


def _without(kept: Headers, nominated: frozenset[bytes], status: int) -> Headers:
    if nominated or status in _BODILESS:
        left_out = nominated | {b"content-length"} if status in _BODILESS else nominated
        return [field for field in kept if field[0] not in left_out]
    return kept


def _completed(kept: Headers, kind: bytes, route: Route) -> Headers:
    values = b"".join([value for _, value in kept])
    if len(values.translate(None, _CONTROLS)) != len(values):
        raise ResourceAPIUnavailable("a header holds a control character")
    kept += route.own_response_headers
    if kind[:17].lower() == b"text/event-stream":
        kept.append(_UNBUFFERED)
    if route.sandbox and kind != _PLAIN_JSON and not _JSON.fullmatch(kind.split(b";", 1)[0].strip()):
        kept.append(_SANDBOX)
    return kept


def _nominated(values: Sequence[bytes]) -> frozenset[bytes]:
    """The field names that Connection lists, lower-case (RFC 9110 7.6.1); what names no field is left out."""
    if not values or (len(values) == 1 and values[0] in _NOMINATES_NOTHING):
        return _NONE
    listed = {token.strip(b" \t").lower() for value in values for token in value.split(b",")}
    return frozenset(listed - {b"", b"keep-alive", b"close"})


def _refuse_nominated_security(nominated: frozenset[bytes]) -> None:
    for name in nominated - names.HOP_BY_HOP:
        if names.never_crosses(name):
            raise MalformedRequest("Connection nominates a field that carries security")


def _framing(noticed: Fields) -> tuple[int | None, bool]:
    """Return the declared length and whether there is a body at all (RFC 9112 6.3)."""
    coding, declared = _only(noticed, b"transfer-encoding"), _only(noticed, b"content-length")
    if coding is not None:
        if declared is not None or coding.lower() != b"chunked":
            raise MalformedRequest("the body is framed in two ways, or in one that is unknown")
        return None, True
    if declared is None:
        return 0, False
    if not _LENGTH.fullmatch(declared):
        raise MalformedRequest("Content-Length is no number")
    return int(declared), int(declared) > 0


def _only(noticed: Fields, name: bytes) -> bytes | None:
    if name in noticed.repeated:
        raise MalformedRequest(f"{name.decode()} came twice")
    return noticed.get(name)
