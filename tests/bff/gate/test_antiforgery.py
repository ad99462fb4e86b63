"""The anti-forgery table, line by line."""

from __future__ import annotations

import itertools

import pytest

from bff.errors import (
    AntiforgeryHeaderMissing,
    BFFError,
    CrossSiteRequest,
    ForeignOrigin,
    MalformedRequest,
    MethodNotAllowed,
    SpeculativeRequest,
)
from bff.gate.antiforgery import Antiforgery

OURS = b"https://app.example"
GATE = Antiforgery(OURS)
KINDS = ["header", "fetch-metadata", "websocket", "navigation", "callback", "ticket", "unauthenticated"]

HEADER = (b"x-csrf", b"1")
SAME = (b"sec-fetch-site", b"same-origin")
FROM_US = (b"origin", OURS)
Headers = list[tuple[bytes, bytes]]


def refusal(kind: str, method: str, headers: Headers) -> type[BFFError] | None:
    """Return the class of the refusal, or None where the request passes."""
    try:
        GATE.check(kind, method, headers)
    except BFFError as error:
        return type(error)
    return None


def site(value: bytes) -> Headers:
    """Return a Sec-Fetch-Site of this value."""
    return [(b"sec-fetch-site", value)]


def origin(value: bytes) -> Headers:
    """Return an Origin of this value."""
    return [(b"origin", value)]


FOREIGN_ORIGINS = [
    b"null",
    b"https://evil-app.example",
    b"https://app.example.evil",
    b"http://app.example",
    b"https://app.example:443",
    b"https://APP.example",
    b"https://app.example/",
    b"https://app.example ",
    b"",
]
OTHER_SITES = [b"same-site", b"cross-site", b"none"]


@pytest.mark.req("F27", "BBA-10", "BBA-11")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_our_own_page_passes(method: str) -> None:
    """A fetch of our page, with the header, is what every layer is made to let through."""
    assert refusal("header", method, [HEADER, SAME, FROM_US]) is None
    assert refusal("header", method, [HEADER, SAME]) is None
    assert refusal("header", method, [HEADER, FROM_US]) is None


@pytest.mark.req("F27", "BBA-11", "ATK-23")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("value", [None, b"", b"0", b"11", b" 1", b"true"])
def test_the_header_is_required_with_every_method(method: str, value: bytes | None) -> None:
    """Without ``X-CSRF: 1`` nothing passes the header rule, reading included."""
    headers = [SAME, FROM_US] if value is None else [(b"x-csrf", value), SAME, FROM_US]
    assert refusal("header", method, headers) is AntiforgeryHeaderMissing


@pytest.mark.req("F27", "BBA-10", "ATK-24")
@pytest.mark.parametrize("value", OTHER_SITES)
def test_a_sibling_site_is_another_site(value: bytes) -> None:
    """``same-site`` is refused like ``cross-site``: SameSite cookies do not stop a sibling sub-domain."""
    assert refusal("header", "GET", [HEADER, *site(value)]) is CrossSiteRequest
    assert refusal("header", "POST", [HEADER, *site(value), FROM_US]) is CrossSiteRequest


@pytest.mark.req("F27", "ATK-25")
@pytest.mark.parametrize("value", FOREIGN_ORIGINS)
@pytest.mark.parametrize("kind", ["header", "fetch-metadata", "websocket"])
def test_an_origin_is_ours_byte_for_byte(kind: str, value: bytes) -> None:
    """No prefix, suffix, scheme, port or ``null`` stands for our origin."""
    assert refusal(kind, "GET", [HEADER, SAME, *origin(value)]) is ForeignOrigin


@pytest.mark.req("F27", "ATK-23")
@pytest.mark.parametrize(
    ("method", "expected"), [("GET", None), ("HEAD", None), ("POST", ForeignOrigin), ("DELETE", ForeignOrigin)]
)
def test_an_unsafe_method_proves_its_origin_one_way_or_the_other(method: str, expected: type[BFFError] | None) -> None:
    """With the header alone one may read; to write, Origin or Sec-Fetch-Site must be there."""
    assert refusal("header", method, [HEADER]) is expected


@pytest.mark.req("F27")
@pytest.mark.parametrize("value", [b"", b"same-origin ", b"SAME-ORIGIN", b"future-word"])
def test_an_unknown_site_counts_as_absent(value: bytes) -> None:
    """A word outside the specification proves nothing: neither here nor elsewhere."""
    assert refusal("header", "GET", [HEADER, *site(value)]) is None
    assert refusal("header", "POST", [HEADER, *site(value)]) is ForeignOrigin
    assert refusal("fetch-metadata", "GET", site(value)) is CrossSiteRequest


@pytest.mark.req("F27")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("twice", [HEADER, SAME, FROM_US])
def test_a_repeated_signal_is_malformed(kind: str, twice: tuple[bytes, bytes]) -> None:
    """Two of one signal are refused even where they agree: the next reader may take the other one."""
    assert refusal(kind, "GET", [HEADER, SAME, FROM_US, twice]) is MalformedRequest


@pytest.mark.req("F27", "BBA-10")
@pytest.mark.parametrize("value", [None, *OTHER_SITES])
def test_fetch_metadata_must_be_sent(value: bytes | None) -> None:
    """Where no header can be sent, Sec-Fetch-Site must be there and say same-origin."""
    assert refusal("fetch-metadata", "GET", [] if value is None else site(value)) is CrossSiteRequest
    assert refusal("fetch-metadata", "GET", [SAME]) is None


@pytest.mark.req("F27")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_fetch_metadata_is_for_reading(method: str) -> None:
    """A route of this kind takes GET and HEAD only, whatever it declares."""
    assert refusal("fetch-metadata", method, [HEADER, SAME, FROM_US]) is MethodNotAllowed


@pytest.mark.req("F27", "H-5")
def test_a_websocket_must_name_our_origin() -> None:
    """Browsers send Origin with every handshake, so its absence is a refusal too."""
    assert refusal("websocket", "GET", [FROM_US]) is None
    assert refusal("websocket", "GET", []) is ForeignOrigin
    assert refusal("websocket", "GET", [*site(b"cross-site"), FROM_US]) is CrossSiteRequest


NAVIGATIONS: list[tuple[Headers, type[BFFError] | None]] = [
    ([], None),
    ([(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document"), *site(b"cross-site")], None),
    ([(b"sec-fetch-mode", b"no-cors"), (b"sec-fetch-dest", b"image")], CrossSiteRequest),
    ([(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"iframe")], CrossSiteRequest),
    ([(b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty")], CrossSiteRequest),
]


@pytest.mark.req("F27", "ATK-9")
@pytest.mark.parametrize(("headers", "expected"), NAVIGATIONS)
def test_a_login_begins_in_a_top_level_document(headers: Headers, expected: type[BFFError] | None) -> None:
    """A link from any site may start a sign-in; an image, a frame or a script may not."""
    assert refusal("navigation", "GET", headers) is expected


@pytest.mark.req("F27")
@pytest.mark.parametrize("kind", ["callback", "unauthenticated"])
@pytest.mark.parametrize("headers", [[], site(b"cross-site"), origin(b"null"), origin(b"https://login.example")])
def test_where_something_else_decides_any_caller_passes(kind: str, headers: Headers) -> None:
    """The callback is judged by its state and transaction, public pages by nothing."""
    assert refusal(kind, "POST", headers) is None


@pytest.mark.req("F27", "ATK-28")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b"same-origin", None),
        (b"none", None),
        (b"same-site", CrossSiteRequest),
        (b"cross-site", CrossSiteRequest),
    ],
)
def test_a_sign_out_link_of_another_site_is_refused(value: bytes | None, expected: type[BFFError] | None) -> None:
    """A sign-out ticket is followed from our own page or typed, never from elsewhere."""
    assert refusal("ticket", "GET", [] if value is None else site(value)) is expected


@pytest.mark.req("F27")
@pytest.mark.parametrize("purpose", [b"prefetch", b"prefetch;prerender", b"prefetch;anonymous-client-ip"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_guess_of_the_browser_has_no_effect(kind: str, purpose: bytes) -> None:
    """Prefetch and prerender are refused wherever a session could be touched, and only there."""
    headers = [HEADER, SAME, FROM_US, (b"sec-purpose", purpose)]
    harmless = kind in {"fetch-metadata", "unauthenticated"}
    assert refusal(kind, "GET", headers) is (None if harmless else SpeculativeRequest)


@pytest.mark.req("F27", "ATK-65")
def test_no_other_header_opens_a_layer() -> None:
    """Neither a User-Agent, nor a method override, nor a path-like header changes any verdict."""
    bribes = [(b"user-agent", b"kube-probe/1.0"), (b"x-http-method-override", b"GET"), (b"x-original-url", b"/livez")]
    for kind, method in itertools.product(["header", "fetch-metadata", "websocket"], ["GET", "POST"]):
        assert refusal(kind, method, []) is refusal(kind, method, bribes)
        assert refusal(kind, method, bribes) is not None


def test_an_unknown_kind_is_a_mistake_of_ours() -> None:
    """A kind outside the table is never taken for a permission."""
    with pytest.raises(KeyError):
        GATE.check("headers", "GET", [HEADER, SAME, FROM_US])
