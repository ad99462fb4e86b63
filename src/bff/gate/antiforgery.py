"""Who may call: the anti-forgery table, one rule per kind of route (draft-ietf-oauth-browser-based-apps 6.1).

Three layers, because each has a hole that another one closes: a custom header (a form, an image and a navigation
cannot send it), Sec-Fetch-Site (a page cannot forge it; old browsers do not send it) and Origin (compared exactly).

    kind             X-CSRF: 1  Sec-Fetch-Site                  Origin              also
    header           required   if sent: same-origin            if sent: ours       unsafe methods: one of the two
    fetch-metadata   -          must be sent: same-origin       if sent: ours       GET and HEAD only
    websocket        -          if sent: same-origin            must be sent: ours
    navigation       -          any                             -                   a top-level document, if told
    callback         -          any                             -                   state and transaction decide
    ticket           -          same-origin, none, or not sent  -                   the ticket decides
    unauthenticated  -          any                             -                   reads no session
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bff.errors import (
    AntiforgeryHeaderMissing,
    CrossSiteRequest,
    ForeignOrigin,
    MalformedRequest,
    MethodNotAllowed,
    SpeculativeRequest,
)
from bff.fields import fields_of
from bff.gate.speculation import PURPOSES, is_speculative

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
READING: Final = frozenset({"GET", "HEAD"})
RELAYED_KINDS: Final = frozenset({"header", "fetch-metadata"})

_SITES = frozenset({b"same-origin", b"same-site", b"cross-site", b"none"})
_WATCHED = PURPOSES | {b"x-csrf", b"sec-fetch-site", b"origin", b"sec-fetch-mode", b"sec-fetch-dest"}
# Where a guess of the browser would act on a session. A speculative read of a page or an image harms nobody.
_UNSPECULATIVE = frozenset({"header", "websocket", "navigation", "callback", "ticket"})

Signals = Mapping[bytes, bytes]


class Antiforgery:
    """The table above, for one public origin (``https://app.example``, as browsers serialise it, RFC 6454 6.2)."""

    def __init__(self, origin: bytes) -> None:
        self._origin = origin
        self._rules: dict[str, Callable[[str, Signals], None]] = {
            "header": self._header,
            "fetch-metadata": self._fetch_metadata,
            "websocket": self._websocket,
            "navigation": _navigation,
            "callback": _anybody,
            "ticket": _ticket,
            "unauthenticated": _anybody,
        }

    def check(self, kind: str, method: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Pass, or raise the refusal that names its layer. ``headers`` are ASGI's: lower-case names, raw values.

        MalformedRequest for a repeated signal, SpeculativeRequest for prefetch and prerender, KeyError for a kind that
        the table does not have.
        """
        signals = fields_of(headers)
        if not signals.repeated.isdisjoint(_WATCHED):
            raise MalformedRequest("a field that says where the call comes from came twice")
        if not PURPOSES.isdisjoint(signals) and kind in _UNSPECULATIVE and is_speculative(signals.items()):
            raise SpeculativeRequest
        self._rules[kind](method, signals)

    def _header(self, method: str, signals: Signals) -> None:
        if signals.get(b"x-csrf") != b"1":
            raise AntiforgeryHeaderMissing
        site, origin = _site(signals), signals.get(b"origin")
        if site is not None and site != b"same-origin":
            raise CrossSiteRequest(f"Sec-Fetch-Site: {site.decode()}")
        self._ours_if_sent(origin)
        if method not in SAFE_METHODS and site is None and origin is None:
            raise ForeignOrigin("neither Origin nor Sec-Fetch-Site was sent with an unsafe method")

    def _fetch_metadata(self, method: str, signals: Signals) -> None:
        if method not in READING:
            raise MethodNotAllowed(READING)
        if _site(signals) != b"same-origin":
            raise CrossSiteRequest("Sec-Fetch-Site is not same-origin")
        self._ours_if_sent(signals.get(b"origin"))

    def _websocket(self, _: str, signals: Signals) -> None:
        """Browsers send no Sec-Fetch-Site with a WebSocket handshake, but always Origin (RFC 6455 10.2)."""
        if _site(signals) not in {None, b"same-origin"}:
            raise CrossSiteRequest("Sec-Fetch-Site is not same-origin")
        if signals.get(b"origin") is None:
            raise ForeignOrigin("no Origin was sent")
        self._ours_if_sent(signals[b"origin"])

    def _ours_if_sent(self, origin: bytes | None) -> None:
        if origin is not None and origin != self._origin:
            raise ForeignOrigin


def _navigation(_: str, signals: Signals) -> None:
    """A link from anywhere may lead here; an image, a frame or a script may not (ATK-9)."""
    if signals.get(b"sec-fetch-mode", b"navigate") != b"navigate":
        raise CrossSiteRequest("Sec-Fetch-Mode is not navigate")
    if signals.get(b"sec-fetch-dest", b"document") != b"document":
        raise CrossSiteRequest("Sec-Fetch-Dest is not document")


def _ticket(_: str, signals: Signals) -> None:
    if _site(signals) not in {None, b"same-origin", b"none"}:
        raise CrossSiteRequest("a link of another site")


def _anybody(_: str, __: Signals) -> None:
    """Nothing about the caller decides here: something else does, or there is nothing to decide."""


def _site(signals: Signals) -> bytes | None:
    """Sec-Fetch-Site, or None where it is absent or no word of the specification (Fetch Metadata 2.4)."""
    value = signals.get(b"sec-fetch-site")
    return value if value in _SITES else None
