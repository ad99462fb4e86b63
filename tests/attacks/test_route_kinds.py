"""Rule F27, line by line: every condition of its table, absent, wrong and right, on every kind of route.

The table below is the rule's own, written again; what the house does is compared with it, not with the gate's code.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from bff.pytest_plugin import in_process
from tests.world.house import API_ORIGIN, BFF_ORIGIN, House, opened_house, problem_of

NOBODY = "http://127.0.0.1:1"  # where nothing listens: a WebSocket that may be opened ends there
ROUTES = [
    {"path": "/api/", "upstream": API_ORIGIN},
    {"path": "/files/", "upstream": API_ORIGIN, "methods": ["GET"], "antiforgery": "fetch-metadata"},
    {"path": "/live/", "upstream": NOBODY, "methods": ["GET"], "websocket": True},
]
CSRF = (None, "0", "1")
SITE = (None, "same-origin", "same-site", "cross-site", "none", "somewhere")
ORIGIN = (None, BFF_ORIGIN, "https://evil.example", "null")
GATE = {"antiforgery-header", "antiforgery-cross-site", "antiforgery-origin"}


@dataclass(frozen=True)
class Sent:
    """What a request says about itself; None: nothing."""

    csrf: str | None
    site: str | None
    origin: str | None

    @property
    def headers(self) -> list[tuple[str, str]]:
        said = {"x-csrf": self.csrf, "sec-fetch-site": self.site, "origin": self.origin}
        return [(name, value) for name, value in said.items() if value is not None]

    @property
    def known_site(self) -> str | None:
        """A word that is none of the specification's says nothing (Fetch Metadata 2.4)."""
        return None if self.site == "somewhere" else self.site


EVERYTHING = [Sent(*said) for said in itertools.product(CSRF, SITE, ORIGIN)]


def by_header(sent: Sent, *, safe: bool) -> bool:
    """Line 1: the header; Sec-Fetch-Site same-origin and Origin equal, if sent; one of the two for unsafe methods."""
    return (
        sent.csrf == "1"
        and sent.known_site in {None, "same-origin"}
        and sent.origin in {None, BFF_ORIGIN}
        and (safe or sent.known_site is not None or sent.origin is not None)
    )


def by_fetch_metadata(sent: Sent) -> bool:
    """Line 2: Sec-Fetch-Site must be sent and be same-origin; Origin equal, if sent."""
    return sent.known_site == "same-origin" and sent.origin in {None, BFF_ORIGIN}


def by_websocket(sent: Sent) -> bool:
    """Line 3: Origin must be sent and be ours; Sec-Fetch-Site same-origin, if sent."""
    return sent.origin == BFF_ORIGIN and sent.known_site in {None, "same-origin"}


def by_ticket(sent: Sent) -> bool:
    """Line 6: same-origin, none, or not sent."""
    return sent.known_site in {None, "same-origin", "none"}


@pytest.fixture
async def kinds(tmp_path: Path) -> AsyncIterator[House]:
    """A house with a route of every kind."""
    async with opened_house(tmp_path, settings={"route": ROUTES}) as house:
        yield house


async def cookie_of_somebody(house: House) -> tuple[str, str]:
    """The cookies of somebody who is signed in."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    return house.cookie_header(tab.browser)


async def passes(house: House, method: str, path: str, sent: Sent, *more: tuple[str, str]) -> bool:
    """Whether the gate let a request through, whatever was made of it behind the gate."""
    answer = await house.sends(path, *sent.headers, *more, method=method)
    if answer.status_code != 403:
        return True
    assert problem_of(answer) in GATE
    assert answer.headers.get_list("set-cookie") == []
    return False


HEADER_ROUTES = [
    ("GET", "/api/todolist"),
    ("HEAD", "/api/todolist"),
    ("POST", "/api/todolist"),
    ("PUT", "/api/todolist/1"),
    ("PATCH", "/api/todolist/1"),
    ("DELETE", "/api/todolist/1"),
    ("GET", "/bff/user"),
    ("GET", "/bff/sessions"),
    ("DELETE", "/bff/sessions/x"),
    ("POST", "/bff/logout"),
    ("POST", "/bff/probe"),
]


@pytest.mark.req("F27", "BBA-10", "BBA-11", "FM-1")
@pytest.mark.parametrize(("method", "path"), HEADER_ROUTES)
async def test_a_route_of_kind_header(kinds: House, method: str, path: str) -> None:
    """Line 1, for every method, on relayed routes and on ours, with the cookies of somebody who is signed in."""
    cookie, safe = await cookie_of_somebody(kinds), method in {"GET", "HEAD"}
    wrong = [
        sent for sent in EVERYTHING if await passes(kinds, method, path, sent, cookie) != by_header(sent, safe=safe)
    ]
    assert wrong == []


@pytest.mark.req("F27", "F28", "FM-1")
async def test_the_stream_of_events(kinds: House) -> None:
    """Line 1 holds for ``/bff/events``; without a session, for an open stream would not answer."""
    wrong = [s for s in EVERYTHING if await passes(kinds, "GET", "/bff/events", s) != by_header(s, safe=True)]
    assert wrong == []


@pytest.mark.req("F27", "FM-1")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_route_of_kind_fetch_metadata(kinds: House, method: str) -> None:
    """Line 2; the custom header says nothing there, for whoever loads an image cannot send it."""
    cookie = await cookie_of_somebody(kinds)
    wrong = [s for s in EVERYTHING if await passes(kinds, method, "/files/x", s, cookie) != by_fetch_metadata(s)]
    assert wrong == []


@pytest.mark.req("F27")
async def test_what_a_route_of_kind_fetch_metadata_answers(kinds: House) -> None:
    """Line 2, "also": no other site embeds it, no browser guesses what it is, and a document of it runs no script."""
    cookie = await cookie_of_somebody(kinds)

    async def picture(_: Any, __: Any, send: Any) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/svg+xml")]}
        await send(head)
        await send({"type": "http.response.body", "body": b"<svg/>"})

    kinds.internet.put(API_ORIGIN, picture)
    answer = await kinds.sends("/files/x", *Sent(None, "same-origin", None).headers, cookie)
    assert (answer.status_code, answer.content) == (200, b"<svg/>")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.req("F27", "D10")
@pytest.mark.parametrize(
    ("path", "sent", "layer"),
    [
        ("/api/todolist", Sent(None, "same-origin", None), "antiforgery-header"),
        ("/api/todolist", Sent("1", "cross-site", None), "antiforgery-cross-site"),
        ("/api/todolist", Sent("1", None, "https://evil.example"), "antiforgery-origin"),
        ("/bff/user", Sent("0", None, None), "antiforgery-header"),
        ("/bff/user", Sent("1", "same-site", None), "antiforgery-cross-site"),
        ("/bff/user", Sent("1", "same-origin", "null"), "antiforgery-origin"),
        ("/files/x", Sent("1", None, None), "antiforgery-cross-site"),
        ("/files/x", Sent(None, "same-origin", "https://evil.example"), "antiforgery-origin"),
        ("/live/x", Sent("1", "same-origin", None), "antiforgery-origin"),
        ("/live/x", Sent(None, "cross-site", BFF_ORIGIN), "antiforgery-cross-site"),
    ],
)
async def test_a_refusal_names_the_layer(kinds: House, path: str, sent: Sent, layer: str) -> None:
    """403 says which of the three was missing or wrong, on each kind of route."""
    cookie = await cookie_of_somebody(kinds)
    if path == "/live/x":
        status, body = await handshake(kinds, path, *sent.headers, cookie)
        assert (status, json.loads(body)["type"]) == (403, f"urn:bff:problem:{layer}")
    else:
        answer = await kinds.sends(path, *sent.headers, cookie)
        assert (answer.status_code, problem_of(answer)) == (403, layer)


@pytest.mark.req("F27", "ATK-42")
@pytest.mark.parametrize("path", ["/bff/callback", "/bff/backchannel-logout"])
async def test_a_form_has_a_size(kinds: House, path: str) -> None:
    """Lines 5 and 7, for whoever sends one: 16 KiB are read, one byte more is malformed."""
    kind = ("content-type", "application/x-www-form-urlencoded")
    sent = [await kinds.sends(path, kind, method="POST", body=b"state=" + b"a" * size) for size in (16_378, 16_379)]
    assert problem_or_page(sent[0]) != problem_or_page(sent[1])
    assert sent[1].status_code == 400


def problem_or_page(answer: httpx.Response) -> str:
    """What a refusal says, to a script or to a person."""
    if answer.headers["content-type"].startswith("application/problem+json"):
        return problem_of(answer)
    return answer.text.partition("<h1")[2].partition("</h1>")[0]


@pytest.mark.req("F27")
async def test_every_route_of_ours_is_in_the_table(kinds: House) -> None:
    """A new route below /bff/ needs a line, and this file a test for it."""
    known = {path.partition("?")[0] for _, path in HEADER_ROUTES if path.startswith("/bff/")}
    known |= {"/bff/events", "/bff/login", "/bff/callback", "/bff/logout", "/bff/logout/continue", "/bff/logged-out"}
    known |= {"/bff/backchannel-logout", "/bff/frontchannel-logout"}
    known |= {"/bff/picture", "/bff/picture/source/{path:path}"}  # pages of a development machine, line 8
    assert {path for _, path in own_paths(kinds)} == known


@pytest.mark.req("F27")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_route_of_kind_fetch_metadata_is_for_reading(kinds: House, method: str) -> None:
    """No other method is taken there, whatever the request says about itself."""
    cookie = await cookie_of_somebody(kinds)
    answer = await kinds.sends("/files/x", *Sent("1", "same-origin", BFF_ORIGIN).headers, cookie, method=method)
    assert answer.status_code == 405


async def handshake(house: House, path: str, *headers: tuple[str, str]) -> tuple[int, bytes]:
    """Status and body of a WebSocket's handshake, as our server hands it to the application."""
    told: dict[str, Any] = {}

    async def send(message: Any) -> None:
        told.update(message)

    events = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if events:
            return events.pop()
        return await asyncio.Event().wait()

    given = [("host", "localhost:3000"), ("connection", "Upgrade"), ("upgrade", "websocket"), *headers]
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given],
        "subprotocols": [],
        "client": ("127.0.0.1", 50000),
        "extensions": {"websocket.http.response": {}},
    }
    await in_process(house.bff)(scope, receive, send)
    return told["status"], told["body"]


@pytest.mark.req("F27", "ATK-26", "H-5", "FM-1")
async def test_a_websocket(kinds: House) -> None:
    """Line 3: what may be opened gets as far as an upstream that is not there; all else ends at the gate."""
    cookie = await cookie_of_somebody(kinds)
    for sent in EVERYTHING:
        status, body = await handshake(kinds, "/live/x", *sent.headers, cookie)
        assert (status == 502) is by_websocket(sent), sent
        assert status == 502 or any(slug.encode() in body for slug in GATE), sent


@pytest.mark.req("F27", "ATK-26")
@pytest.mark.parametrize(("path", "status"), [("/api/x", 400), ("/files/x", 400), ("/bff/user", 404), ("/", 404)])
async def test_no_websocket_elsewhere(kinds: House, path: str, status: int) -> None:
    """A route that does not say so takes none, though everything about the handshake is right."""
    cookie = await cookie_of_somebody(kinds)
    assert (await handshake(kinds, path, *Sent("1", "same-origin", BFF_ORIGIN).headers, cookie))[0] == status


@pytest.mark.req("F27")
async def test_a_sign_in_begins_from_anywhere_by_navigation(kinds: House) -> None:
    """Line 4: site and Origin do not matter; what says that it is no navigation, or no document, is refused."""
    assert all([await passes(kinds, "GET", "/bff/login", sent) for sent in EVERYTHING])
    nothing = Sent(None, None, None)
    for mode, dest in itertools.product((None, "navigate", "cors", "no-cors"), (None, "document", "iframe", "image")):
        said = {"sec-fetch-mode": mode, "sec-fetch-dest": dest}
        told = [(name, value) for name, value in said.items() if value is not None]
        right = mode in {None, "navigate"} and dest in {None, "document"}
        answer = await kinds.sends("/bff/login", *nothing.headers, *told)
        assert (answer.status_code == 303) is right, (mode, dest)
        assert answer.status_code in {303, 403}


@pytest.mark.req("F27")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/bff/callback?code=x&state=y"),
        ("POST", "/bff/callback"),
        ("GET", "/bff/logged-out?state=y"),
        ("POST", "/bff/backchannel-logout"),
        ("GET", "/bff/frontchannel-logout?sid=x"),
        ("GET", "/"),
        ("GET", "/todos"),
        ("GET", "/docs"),
        ("GET", "/assets/bff.js"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/bff/picture"),
    ],
)
async def test_where_the_caller_says_nothing_of_worth(kinds: House, method: str, path: str) -> None:
    """Lines 5, 7 and 8: whatever a request says about its origin decides nothing there; state and tokens do."""
    answers = [await kinds.sends(path, *sent.headers, method=method) for sent in EVERYTHING]
    assert {answer.status_code for answer in answers} == {answers[0].status_code}
    assert answers[0].status_code != 403


@pytest.mark.req("F27", "F32")
@pytest.mark.parametrize("path", ["/bff/logout?ticket=x", "/bff/logout/continue"])
async def test_a_sign_out_link(kinds: House, path: str) -> None:
    """Line 6: a link of another site leads nowhere, and one of ours, or a typed one, on."""
    for sent in EVERYTHING:
        answer = await kinds.sends(path, *sent.headers)
        assert (answer.status_code != 403) is by_ticket(sent), sent


@pytest.mark.req("F27")
@pytest.mark.parametrize("name", ["x-csrf", "sec-fetch-site", "origin"])
@pytest.mark.parametrize("path", ["/api/todolist", "/files/x", "/bff/user", "/live/x"])
async def test_what_is_said_twice_is_said_in_two_ways(kinds: House, path: str, name: str) -> None:
    """A second one of the three is 400, also where both are right."""
    right = {"x-csrf": "1", "sec-fetch-site": "same-origin", "origin": BFF_ORIGIN}
    cookie = await cookie_of_somebody(kinds)
    said = [*right.items(), (name, right[name]), cookie]
    answer = await handshake(kinds, path, *said) if path == "/live/x" else (await kinds.sends(path, *said)).status_code
    assert answer == 400 or (isinstance(answer, tuple) and answer[0] == 400)


@pytest.mark.req("F27", "F19")
async def test_what_reads_no_session_renews_none(kinds: House) -> None:
    """Lines 7 and 8: with a session that is due a new stamp, only the kinds that read it set a cookie."""
    cookie = await cookie_of_somebody(kinds)
    kinds.clock.advance(120)
    for method, path in [
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/assets/bff.js"),
        ("GET", "/livez"),
        ("GET", "/bff/frontchannel-logout?sid=x"),
        ("POST", "/bff/backchannel-logout"),
    ]:
        assert "set-cookie" not in (await kinds.sends(path, cookie, method=method)).headers, path
    assert "set-cookie" in (await kinds.sends("/bff/user", cookie, ("x-csrf", "1"))).headers


def own_paths(house: House) -> list[tuple[str, str]]:
    """Every method and path that the BFF itself answers below /bff/."""
    found = []
    for route in iter_route_contexts(house.bff.routes):
        path = str(route.path)
        if path.startswith("/bff/"):
            found += [(method, path.replace("{tag}", "x")) for method in sorted(route.methods or ())]
    return found


@pytest.mark.req("F27", "ATK-23")
@pytest.mark.parametrize(
    "purpose", [("sec-purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")]
)
async def test_a_guess_of_the_browser_has_no_effect(kinds: House, purpose: tuple[str, str]) -> None:
    """Anything below /bff/ answers 503 to a prefetch, sets no cookie, and the session lives on."""
    cookie = await cookie_of_somebody(kinds)
    asked = own_paths(kinds)
    assert {("GET", "/bff/login"), ("GET", "/bff/logout"), ("POST", "/bff/logout")} < set(asked)
    for method, path in asked:
        answer = await kinds.sends(path, *Sent("1", "same-origin", BFF_ORIGIN).headers, purpose, cookie, method=method)
        assert answer.status_code == 503, (method, path)
        assert "set-cookie" not in answer.headers, (method, path)
    assert (await kinds.sends("/bff/user", cookie, ("x-csrf", "1"))).json()["authenticated"] is True


@pytest.mark.req("F27", "ATK-25", "ATK-65")
@pytest.mark.parametrize(
    "path", ["/api/todolist", "/files/x", "/live/x", "/bff/user", "/bff/logout", "/bff/login", "/"]
)
async def test_a_preflight_is_answered_here_and_grants_nothing(kinds: House, path: str) -> None:
    """OPTIONS is 204 with the methods and without a CORS field, whoever asks, and no upstream hears of it."""
    before = len(kinds.internet.to(API_ORIGIN))
    for sent in (Sent(None, "cross-site", "https://evil.example"), Sent("1", "same-origin", BFF_ORIGIN)):
        asked = [("access-control-request-method", "POST"), ("access-control-request-headers", "x-csrf")]
        answer = await kinds.sends(path, *sent.headers, *asked, method="OPTIONS")
        assert answer.status_code == 204
        assert answer.headers["allow"]
        assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert len(kinds.internet.to(API_ORIGIN)) == before
