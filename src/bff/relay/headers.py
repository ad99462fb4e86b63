"""What may cross, in each direction: by allow-list, the connection's own names removed first, ours set last.

H-2: no ``Via`` and no ``Forwarded`` is sent. The upstream learns the browser's address and our public name from
``X-Forwarded-For``, ``-Proto`` and ``-Host``, made anew from the socket and the settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bff.errors import MalformedRequest, ResourceAPIUnavailable, UpgradeRefused
from bff.relay import header_names as names
from bff.relay.location import rewritten
from bff.relay.route import Route

Headers = list[tuple[bytes, bytes]]

_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
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
_NO_SNIFF = (b"x-content-type-options", b"nosniff")
_SAME_ORIGIN = (b"cross-origin-resource-policy", b"same-origin")
_BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Crossing:
    """What a request's head says: the fields that cross, and what is meant for us.

    ``length`` is the declared body length in bytes, None where the body is chunked; ``session_tag`` is the page's
    ``X-BFF-Session``; ``slides`` is False where the page asks not to count as activity (``X-BFF-Slide: 0``).
    """

    headers: Headers = field(repr=False)
    has_body: bool
    length: int | None
    traceparent: bytes | None
    session_tag: bytes | None
    slides: bool


def crossing(raw: Iterable[tuple[bytes, bytes]], route: Route) -> Crossing:
    """Read a request's head once. ``raw`` is ASGI's: lower-case names, raw values.

    Raises MalformedRequest for repeated singletons, double framing and a nominated security header, and UpgradeRefused.
    """
    kept: Headers = []
    noticed: dict[bytes, list[bytes]] = {}
    for name, value in raw:
        if name in names.REQUEST_ALLOWED or name in route.request_names:
            if name in names.REQUEST_SINGLE and any(name == other for other, _ in kept):
                raise MalformedRequest(f"{name.decode()} came twice")
            kept.append((name, value))
        elif name in _NOTICED:
            noticed.setdefault(name, []).append(value)
    nominated = _nominated(noticed.get(b"connection", ()))
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
        traceparent=traceparent if traceparent is not None and _TRACEPARENT.fullmatch(traceparent) else None,
        session_tag=_only(noticed, b"x-bff-session"),
        slides=_only(noticed, b"x-bff-slide") != b"0",
    )


def outgoing(crossed: Crossing, route: Route, ours: Headers, *, client: str | None, token: str | None) -> Headers:
    """Every field of the request to the upstream but its framing, which belongs to the connection.

    ``ours`` holds what we say about ourselves; ``client`` is the browser's address as the socket knows it.
    """
    headers = [(b"host", route.address.authority), *crossed.headers, *ours]
    if client is not None:
        headers.append((b"x-forwarded-for", client.encode("latin-1")))
    if token is not None:
        headers.append((b"authorization", b"Bearer " + token.encode("ascii")))
    return headers


def returned(headers: Headers, status: int, route: Route, target: bytes) -> Headers:
    """What of an upstream's response head the browser gets, and what we add to it.

    ``target`` is the path that was asked for. Raises ResourceAPIUnavailable where a singleton came twice, a value holds
    a control character, or Location leads off this site.
    """
    kept: Headers = []
    nominated = _nominated(value for name, value in headers if name.lower() == b"connection")
    for given_name, value in headers:
        name = given_name.lower()
        if name == b"location":
            kept.append((name, rewritten(value, route, target)))
        elif _returns(name, value, route) and name not in nominated:
            kept.append((name, value))
    if status in _BODILESS:
        kept = [(name, value) for name, value in kept if name != b"content-length"]
    _refuse_ambiguity(kept)
    return kept + _ours(kept, route)


def bearer_challenge(headers: Headers) -> str:
    """The upstream's Bearer challenge (RFC 6750 3), empty where it sent none that a browser may see."""
    for name, value in headers:
        if name.lower() == b"www-authenticate" and _BEARER.match(value) and _VALUE.fullmatch(value):
            return value.decode("latin-1")
    return ""


def _returns(name: bytes, value: bytes, route: Route) -> bool:
    if name in names.RESPONSE_ALLOWED or name in route.response_names or name.startswith(names.RATE_LIMIT):
        return True
    if name == b"www-authenticate":  # any other scheme opens a password box on our origin
        return _BEARER.match(value) is not None
    return route.token == "none" and name in names.RESPONSE_ALLOWED_PUBLIC  # noqa: S105 — the name of a policy


def _refuse_ambiguity(kept: Headers) -> None:
    seen = set()
    for name, value in kept:
        if name in seen and name in names.RESPONSE_SINGLE:
            raise ResourceAPIUnavailable(f"{name.decode()} came twice")
        if not _VALUE.fullmatch(value):
            raise ResourceAPIUnavailable(f"{name.decode()} holds a control character")
        seen.add(name)


def _ours(kept: Headers, route: Route) -> Headers:
    ours = [_NO_SNIFF, _SAME_ORIGIN]
    if route.token != "none":  # noqa: S105 — the name of a policy
        ours.append((b"cache-control", b"private, no-cache" if route.cacheable else b"no-store"))
        if route.cacheable:
            ours.append((b"vary", b"Cookie, Sec-Fetch-Site"))
    kind = next((value for name, value in kept if name == b"content-type"), b"")
    if route.sandbox and not _JSON.fullmatch(kind.split(b";", 1)[0].strip()):
        ours.append(_SANDBOX)
    return ours


def _nominated(values: Iterable[bytes]) -> frozenset[bytes]:
    """The field names that Connection lists, lower-case (RFC 9110 7.6.1); what names no field is left out."""
    listed = {token.strip(b" \t").lower() for value in values for token in value.split(b",")}
    return frozenset(listed - {b"", b"keep-alive", b"close"})


def _refuse_nominated_security(nominated: frozenset[bytes]) -> None:
    for name in nominated - names.HOP_BY_HOP:
        if names.never_crosses(name):
            raise MalformedRequest("Connection nominates a field that carries security")


def _framing(noticed: dict[bytes, list[bytes]]) -> tuple[int | None, bool]:
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


def _only(noticed: dict[bytes, list[bytes]], name: bytes) -> bytes | None:
    found = noticed.get(name)
    if found is None:
        return None
    if len(found) > 1:
        raise MalformedRequest(f"{name.decode()} came twice")
    return found[0]
