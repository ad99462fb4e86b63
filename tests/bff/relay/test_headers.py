"""What crosses, in each direction, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from bff.errors import MalformedRequest, ResourceAPIUnavailable, UpgradeRefused
from bff.relay.headers import Headers, bearer_challenge, crossing, outgoing, returned
from bff.relay.location import paging_links, rewritten
from bff.relay.route import Route
from tests.world.upstream import PLANTED


def route(**overrides: Any) -> Route:
    """Return the route of these tests, with overrides."""
    return Route(**{"path": "/api/", "upstream": "http://api.internal:3001/v1", **overrides})


def crossed(*fields: tuple[bytes, bytes], **overrides: Any) -> Headers:
    """What of these fields reaches the upstream."""
    return crossing(list(fields), route(**overrides)).headers


ALLOWED = [
    (b"accept", b"*/*"),
    (b"accept-language", b"de"),
    (b"accept-encoding", b"gzip, br"),
    (b"content-type", b"application/json"),
    (b"content-encoding", b"gzip"),
    (b"if-match", b'"1"'),
    (b"if-none-match", b'"1"'),
    (b"range", b"bytes=0-1"),
    (b"prefer", b"return=minimal"),
    (b"idempotency-key", b"7"),
    (b"user-agent", b"Mozilla/5.0"),
]


@pytest.mark.req("C13")
def test_what_an_api_needs_crosses_in_order() -> None:
    """Negotiation, conditions, ranges and the body's description reach the upstream unchanged."""
    assert crossed(*ALLOWED) == ALLOWED


DROPPED = [
    b"authorization",
    b"cookie",
    b"cookie2",
    b"proxy-authorization",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-uri",
    b"x-forwarded-user",
    b"x_forwarded_user",
    b"x-forwarded-prefix",
    b"x-real-ip",
    b"client-cert",
    b"x-auth-request-user",
    b"remote-user",
    b"dpop",
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
    b"x-original-url",
    b"x-rewrite-url",
    b"host",
    b"origin",
    b"referer",
    b"sec-fetch-site",
    b"sec-ch-ua",
    b"x-csrf",
    b"x-bff-session",
    b"x-bff-slide",
    b"x-anything",
    b"x_anything",
    b"keep-alive",
    b"te",
    b"trailer",
    b"expect",
    b"upgrade",
    b"proxy-connection",
    b"connection",
    b"via",
    b"accept_language",
    b"content_type",
    b"if_match",
    b"tracestate",
    b"baggage",
    b"cache-control",
    b"pragma",
    b"x-request-id",
    b"",
    b"http2-settings",
]  # fmt: skip — a corpus reads better dense


@pytest.mark.req("BCP-18", "BBA-16", "ATK-27", "ATK-35", "ATK-36", "H-1")
@pytest.mark.parametrize("name", DROPPED)
def test_nothing_else_crosses(name: bytes) -> None:
    """Credentials, identity, forwarding, override and hop-by-hop fields stay here, their underscored twins too."""
    assert crossed((name, b"1"), (b"accept", b"*/*")) == [(b"accept", b"*/*")]


@pytest.mark.req("H-2", "BCP-18")
def test_one_account_of_the_way_here_and_no_other() -> None:
    """The API learns the address once, from our socket: no Via, no Forwarded, nobody's list (RFC 9110 7.6.3)."""
    claimed = [
        (b"via", b"1.1 x"),
        (b"forwarded", b"for=6.6.6.6"),
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x-real-ip", b"6"),
    ]
    one = Route(path="/api/", upstream="http://api.example")
    sent = outgoing(crossing(claimed, one), one, [], client="192.0.2.7", token=None)
    assert sent == [(b"host", b"api.example"), (b"x-forwarded-for", b"192.0.2.7")]


@pytest.mark.req("C13")
def test_a_route_adds_names_of_its_own() -> None:
    """What a route declares crosses on that route; its twin with an underscore does not."""
    fields = ((b"x-tenant", b"7"), (b"x_tenant", b"8"))
    assert crossed(*fields, request_headers=frozenset({"x-tenant"})) == [(b"x-tenant", b"7")]
    assert crossed(*fields) == []


@pytest.mark.req("H-1", "ATK-34")
@pytest.mark.parametrize("nominates", [b"Accept", b"close, ACCEPT", b"keep-alive,\taccept ,x", b"x-unknown, accept"])
def test_what_the_browser_nominates_is_its_connections_own(nominates: bytes) -> None:
    """Fields that Connection lists are removed, whatever list they are on."""
    assert crossed((b"accept", b"*/*"), (b"prefer", b"x"), (b"connection", nominates)) == [(b"prefer", b"x")]


NOMINATED = [
    b"Authorization",
    b"X-Forwarded-For",
    b"close, cookie",
    b"Host",
    b"X-CSRF",
    b"Origin",
    b"Content-Length",
    b"Sec-Fetch-Site",
    b"x_forwarded_for",
    b"X-BFF-Session",
    b"Forwarded",
    b"DPoP",
]


@pytest.mark.req("ATK-34")
@pytest.mark.parametrize("nominates", NOMINATED)
def test_nominating_a_security_field_is_malformed(nominates: bytes) -> None:
    """Nobody asks us to forget a field that carries security, unless to deceive whoever is behind us."""
    with pytest.raises(MalformedRequest):
        crossed((b"connection", b"keep-alive"), (b"connection", nominates))


@pytest.mark.req("ATK-35")
@pytest.mark.parametrize(
    "name",
    [
        b"content-type",
        b"range",
        b"if-range",
        b"user-agent",
        b"idempotency-key",
        b"traceparent",
        b"x-bff-session",
        b"x-bff-slide",
        b"content-length",
        b"transfer-encoding",
    ],
)
def test_a_repeated_singleton_is_malformed(name: bytes) -> None:
    """Of two values of one meaning, we and the API might each take another."""
    with pytest.raises(MalformedRequest):
        crossed((name, b"1"), (name, b"1"))


@pytest.mark.req("H-3", "ATK-37")
@pytest.mark.parametrize(
    "framing",
    [
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"identity")],
        [(b"content-length", b"+5")],
        [(b"content-length", b"5, 5")],
        [(b"content-length", b"")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"5\n")],
        [(b"content-length", b"0x5")],
        [(b"content-length", b"1" * 16)],
        [(b"content-length", b"\xd9\xa5")],
    ],
)
def test_a_body_has_one_framing(framing: Headers) -> None:
    """Two framings, an unknown coding or a length that is no number are malformed, whatever the server let through."""
    with pytest.raises(MalformedRequest):
        crossed(*framing)


@pytest.mark.parametrize(
    ("framing", "length", "has_body"),
    [
        ([], 0, False),
        ([(b"content-length", b"0")], 0, False),
        ([(b"content-length", b"5")], 5, True),
        ([(b"transfer-encoding", b"Chunked")], None, True),
    ],
)
def test_the_framing_is_read(framing: Headers, length: int | None, has_body: bool) -> None:
    """A declared length, chunks, or no body at all (RFC 9112 6.3)."""
    head = crossing(framing, route())
    assert (head.length, head.has_body) == (length, has_body)


@pytest.mark.req("ATK-37")
@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"TLS/1.2"])
def test_an_upgrade_is_refused(protocol: bytes) -> None:
    """No connection of the browser becomes one that we do not read."""
    with pytest.raises(UpgradeRefused):
        crossed((b"connection", b"Upgrade, HTTP2-Settings"), (b"upgrade", protocol))


GOOD_TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (GOOD_TRACE, GOOD_TRACE),
        (GOOD_TRACE.upper(), None),
        (b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", None),
        (b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01", None),
        (GOOD_TRACE + b"-x", None),
        (b"x", None),
    ],
)
def test_a_trace_is_continued_only_where_it_is_one(value: bytes, expected: bytes | None) -> None:
    """A well-formed traceparent is the browser's to give; anything else is dropped (W3C Trace Context 3.2)."""
    assert crossing([(b"traceparent", value)], route()).traceparent == expected


@pytest.mark.req("BBA-16", "BCP-18", "ATK-36")
def test_ours_are_set_last() -> None:
    """Host, the token and the forwarding fields are ours alone, once each."""
    head = crossing([(b"accept", b"*/*"), (b"x-forwarded-for", b"6.6.6.6"), (b"authorization", b"Basic eA==")], route())
    ours = [(b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"app.example")]
    assert outgoing(head, route(), ours, client="192.0.2.7", token="secret") == [
        (b"host", b"api.internal:3001"),
        (b"accept", b"*/*"),
        *ours,
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"authorization", b"Bearer secret"),
    ]
    assert (b"authorization", b"Bearer secret") not in outgoing(head, route(), ours, client=None, token=None)


def back(*fields: tuple[bytes, bytes], status: int = 200, **overrides: Any) -> dict[bytes, bytes]:
    """What of these response fields, as an Upstream hands them on, reaches the browser; one that came twice fails."""
    given = [(name.lower(), value) for name, value in fields]
    headers = returned(given, status, route(**overrides), b"/v1/api/todolist")
    assert len({name for name, _ in headers}) == len(headers)
    return dict(headers)


JSON = (b"Content-Type", b"application/json")
RETURNS = [
    b"etag",
    b"last-modified",
    b"accept-ranges",
    b"content-range",
    b"content-language",
    b"content-encoding",
    b"content-disposition",
    b"retry-after",
    b"deprecation",
    b"sunset",
    b"x-request-id",
    b"ratelimit-limit",
    b"ratelimit",
    b"allow",
]


@pytest.mark.req("F38")
@pytest.mark.parametrize("name", RETURNS)
def test_what_a_page_needs_comes_back(name: bytes) -> None:
    """Validators, ranges, limits and deadlines of the API reach the page."""
    assert back(JSON, (name.title(), b"x"))[name] == b"x"


@pytest.mark.req("F38", "ATK-39", "C14")
def test_nothing_planted_comes_back() -> None:
    """Cookies, CORS, policies and orders to the server in front are dropped: our origin is not the upstream's."""
    planted = [(name, value.strip()) for name, value in (line.split(b":", 1) for line in PLANTED)]
    assert back(JSON, *planted) == {
        b"content-type": b"application/json",
        b"x-content-type-options": b"nosniff",
        b"cross-origin-resource-policy": b"same-origin",
        b"cache-control": b"no-store",
    }


@pytest.mark.req("F38")
def test_a_route_adds_names_that_come_back() -> None:
    """Pagination by Link is one declaration away."""
    assert back(JSON, (b"Link", b"<x>"), response_headers=frozenset({"link"}))[b"link"] == b"<x>"


@pytest.mark.req("F38")
@pytest.mark.parametrize(
    ("challenge", "crosses"),
    [
        (b'Bearer error="insufficient_scope"', True),
        (b"bearer", True),
        (b"Basic realm=x", False),
        (b"Negotiate", False),
        (b"BearerX", False),
        (b"Digest x, Bearer", False),
    ],
)
def test_only_a_bearer_challenge_comes_back(challenge: bytes, crosses: bool) -> None:
    """Any other scheme would open the browser's password box on our origin."""
    assert (b"www-authenticate" in back(JSON, (b"WWW-Authenticate", challenge), status=403)) is crosses
    assert bearer_challenge([(b"WWW-Authenticate", challenge)]) == (challenge.decode() if crosses else "")


@pytest.mark.req("F38", "H-4", "FM-2", "ATK-41", "C20")
@pytest.mark.parametrize("token", ["user", "user_or_none"])
def test_an_answer_to_a_person_is_never_stored(token: str) -> None:
    """The upstream's Cache-Control is replaced, whatever the path looks like; revalidation is a route's own choice."""
    cached = ((b"Cache-Control", b"public, max-age=60"), (b"Expires", b"x"), (b"Age", b"1"), (b"Vary", b"x"))
    plain = back(JSON, *cached, token=token)
    assert plain[b"cache-control"] == b"no-store"
    assert not {b"expires", b"age", b"vary"} & set(plain)
    kept = back(JSON, *cached, token=token, cacheable=True)
    assert (kept[b"cache-control"], kept[b"vary"]) == (b"private, no-cache", b"Cookie, Sec-Fetch-Site")


@pytest.mark.req("FM-2", "H-4")
@pytest.mark.parametrize(
    ("kind", "ours"), [("header", b"X-CSRF, Sec-Fetch-Site"), ("fetch-metadata", b"Sec-Fetch-Site")]
)
def test_an_answer_to_nobody_is_cached_as_its_upstream_says(kind: str, ours: bytes) -> None:
    """Without a token there is nothing personal to protect; but no cache may give it to a site that would get a 403."""
    open_to_all = route(token="none", antiforgery=kind, methods=frozenset({"GET"}))
    fields = [(b"cache-control", b"public, max-age=60"), (b"vary", b"accept")]
    public = returned(fields, 200, open_to_all, b"/api/x")
    assert [value for name, value in public if name == b"cache-control"] == [b"public, max-age=60"]
    assert [value for name, value in public if name == b"vary"] == [b"accept", ours]


@pytest.mark.req("ATK-40", "ATK-29")
@pytest.mark.parametrize(
    "kind",
    [
        b"text/html",
        b"image/svg+xml",
        b"application/xhtml+xml",
        b"",
        b"text/html; application/json",
        b"application/jsonx",
        b"application/pdf",
    ],
)
def test_a_document_of_the_upstream_is_sandboxed(kind: bytes) -> None:
    """What is not JSON gets no script, no origin and no frame, unless the route trusts it."""
    policy = b"default-src 'none'; frame-ancestors 'none'; sandbox"
    assert back((b"content-type", kind))[b"content-security-policy"] == policy
    assert b"content-security-policy" not in back((b"content-type", kind), sandbox=False)
    assert back((b"content-type", kind), sandbox=False)[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"application/problem+json",
        b"application/vnd.x.v1+json",
        b"text/event-stream",
    ],
)
def test_json_needs_no_sandbox(kind: bytes) -> None:
    """A browser renders none of these as a document of ours."""
    assert b"content-security-policy" not in back((b"content-type", kind))


@pytest.mark.parametrize(("status", "crosses"), [(200, True), (304, False), (204, False)])
def test_a_length_goes_with_a_body_only(status: int, crosses: bool) -> None:
    """A 304 names the length of what it does not send; our server would wait for it."""
    assert (b"content-length" in back(JSON, (b"Content-Length", b"5"), status=status)) is crosses


@pytest.mark.req("H-1")
def test_what_the_upstream_nominates_stays_there() -> None:
    """Fields that the upstream's Connection lists belong to its connection."""
    assert b"etag" not in back(JSON, (b"ETag", b"x"), (b"Connection", b"close, ETag"))


@pytest.mark.req("F38")
@pytest.mark.parametrize(
    "fields",
    [
        [JSON, (b"content-type", b"text/html")],
        [JSON, (b"etag", b"a\x01b")],
        [JSON, (b"etag", b"a\rb")],
        [JSON, (b"Location", b"/v1/api/a"), (b"Location", b"/v1/api/b")],
    ],
)
def test_an_ambiguous_head_is_the_upstreams_fault(fields: Headers) -> None:
    """A doubled singleton or a control character is a 502, not a guess."""
    with pytest.raises(ResourceAPIUnavailable):
        back(*fields)


INSIDE = {
    b"http://api.internal:3001/v1/api/todolist/7": b"/api/todolist/7",
    b"HTTP://API.INTERNAL:3001/v1/api/todolist/7?a=b#c": b"/api/todolist/7?a=b#c",
    b"/v1/api/todolist/7": b"/api/todolist/7",
    b"//api.internal:3001/v1/api/x": b"/api/x",
    b"todolist/7": b"/api/todolist/7",
    b"./7": b"/api/7",
    b"?page=2": b"/api/todolist?page=2",
    b"/v1/api/%C3%A9": b"/api/%C3%A9",
}
OUTSIDE = [
    b"https://evil.example/",
    b"http://evil.example/v1/api/x",
    b"http://evil.example:3001/v1/api/x",
    b"http://api.internal.evil.example:3001/v1/api/x",
    b"https://api.internal:3001/v1/api/x",
    b"http://api.internal/v1/api/x",
    b"http://user@api.internal:3001/v1/api/x",
    b"http://api.internal:3001/admin",
    b"http://api.internal:3001/v1/bff/logout",
    b"http://api.internal:3001/v1x/api/x",
    b"/api/x",
    b"/v1/bff/logout",
    b"../../../bff/logout",
    b"//evil.example/x",
    b"/v1/api//x",
    b"/v1/api/%2e%2e/bff",
    b"http://api.internal:99999/",
    b"http://[::1/",
]


@pytest.mark.req("F38", "ATK-33")
@pytest.mark.parametrize(("location", "expected"), INSIDE.items())
def test_a_location_below_the_upstream_becomes_ours(location: bytes, expected: bytes) -> None:
    """The internal name and prefix vanish; path, query and fragment stay."""
    assert rewritten(location, route(), b"/v1/api/todolist") == expected


@pytest.mark.req("F38", "ATK-33")
@pytest.mark.parametrize("location", OUTSIDE)
def test_a_location_elsewhere_is_502(location: bytes) -> None:
    """Neither another site, nor another scheme or port, nor another part of ours is a place to be sent to."""
    with pytest.raises(ResourceAPIUnavailable):
        rewritten(location, route(), b"/v1/api/todolist")


@pytest.mark.req("F38", "ATK-33")
@pytest.mark.parametrize(
    "location", [b"/\\evil", b"http://evil\x01/", b"", b"/v1/api/ x", b"\xff", b"javascript:alert(1)", b"data:,x"]
)
def test_a_location_that_is_no_place_never_passes(location: bytes) -> None:
    """Bytes that no URL has, and schemes that execute, stop even where redirects pass."""
    with pytest.raises(ResourceAPIUnavailable):
        rewritten(location, route(redirects="pass"), b"/v1/api/todolist")


PAGES = {
    b'</v1/api/todolist?limit=2&cursor=AAA>; rel="next"': b'</api/todolist?limit=2&cursor=AAA>; rel="next"',
    b'<?page=2>; rel=next; title="more"': b'</api/todolist?page=2>; rel="next"',
    b'<todolist?p=1>; rel="prev", <todolist?p=9> ; REL="last nofollow"': (
        b'</api/todolist?p=1>; rel="prev", </api/todolist?p=9>; rel="last"'
    ),
    b'</v1/api/a,b>; title="x, <y>; rel=prev"; rel="next first"': b'</api/a,b>; rel="next first"',
    b'<https://evil.example/>; rel="next", <?p=2>; rel="next"': b'</api/todolist?p=2>; rel="next"',
}
NO_PAGES = [
    b'<http://api.internal:3001/v1/api/todolist?p=2>; rel="next"',
    b'<//api.internal:3001/v1/api/todolist?p=2>; rel="next"',
    b'<//evil.example/x>; rel="next"',
    b'<javascript:alert(1)>; rel="next"',
    b'</api/todolist>; rel="next"',
    b'<../../../bff/logout>; rel="next"',
    b'</v1/bff/logout>; rel="next"',
    b'</v1/api/%2e%2e/bff>; rel="next"',
    b'</v1/api/a>; rel="preload"; as="script"',
    b'</v1/api/a>; rel="stylesheet"',
    b'</v1/api/a>; rel="modulepreload dns-prefetch"',
    b'</v1/api/a>; rel="preload"; rel="next"',
    b'</v1/api/a>; rel="next"; anchor="/elsewhere"',
    b"</v1/api/a>",
    b'</v1/api/a b>; rel="next"',
    b'</v1/api/\xff>; rel="next"',
    b'<http://[::1>; rel="next"',
    b'/v1/api/a; rel="next"',
    b'<?p=2>; rel="next" <?p=3>; rel="next"',
    b'<?p=2>; rel="ne\\"xt"',
    b'<?p=2>; rel="next',
    b"",
]


@pytest.mark.req("F38", "ATK-33")
@pytest.mark.parametrize(("link", "expected"), PAGES.items())
def test_the_way_to_the_next_page_becomes_ours(link: bytes, expected: bytes) -> None:
    """A relative Link to another page of a list crosses as a path of ours, and nothing else that the field says."""
    assert paging_links(link, route(), b"/v1/api/todolist") == expected
    assert back(JSON, (b"Link", link))[b"link"] == expected


@pytest.mark.req("F38", "ATK-33")
@pytest.mark.parametrize("link", NO_PAGES)
def test_any_other_link_is_left_out(link: bytes) -> None:
    """Absolute ones, those that leave the route, and those that a browser acts upon by itself never cross."""
    assert paging_links(link, route(), b"/v1/api/todolist") == b""
    assert back(JSON, (b"Link", link)) == back(JSON)


@pytest.mark.req("F38")
@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "link", [b"<a>" + b" " * 60_000, b"<a>" + b"; " * 30_000 + b'"', b"<" * 60_000, b"<a>," * 15_000]
)
def test_a_link_is_read_in_one_pass(link: bytes) -> None:
    """However a Link is written, reading it takes no longer than its length."""
    assert paging_links(link, route(), b"/v1/api/todolist") == b""


@pytest.mark.req("F38")
def test_a_route_may_let_redirects_pass() -> None:
    """With ``redirects = "pass"`` another site crosses as it is, and ours is still rewritten."""
    lenient = route(redirects="pass")
    assert rewritten(b"https://files.example/x?sig=1", lenient, b"/v1/api/x") == b"https://files.example/x?sig=1"
    assert rewritten(b"/v1/api/7", lenient, b"/v1/api/x") == b"/api/7"


@pytest.mark.req("F37", "ATK-33")
def test_a_location_may_hold_what_its_route_admits() -> None:
    """An API that redirects to an id with a slash does so on routes that take one."""
    assert rewritten(b"/v1/api/a%2Fb", route(encoded_slash=True), b"/v1/api/x") == b"/api/a%2Fb"
    with pytest.raises(ResourceAPIUnavailable):
        rewritten(b"/v1/api/a%2Fb", route(), b"/v1/api/x")
