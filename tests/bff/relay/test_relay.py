"""The path of one call: who passes, what reaches the API, what comes back, and whose fault it is when nothing does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx

from bff import errors
from bff.relay.relay import PRESENTED
from bff.relay.route_table import Route
from bff.session.cookies import Jar
from bff.session.endings import Reason
from bff.telemetry.logs import trace_id
from tests.world.relaying import ACCESS_TOKEN, Answer, World, session_of, token_set
from tests.world.upstream import (
    PLANTED,
    Act,
    RawUpstream,
    closes_before_its_head,
    closes_in_its_body,
    echo,
    response,
    says,
    stalls_before_its_head,
)

JSON_BODY = [(b"content-type", b"application/json"), (b"content-length", b"5")]


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    """An upstream that tells what it received."""
    async with RawUpstream(echo) as served:
        yield served


def world(upstream: RawUpstream, **overrides: Any) -> World:
    """Return a relay whose only route leads to this upstream."""
    return World(Route(**{"path": "/api/", "upstream": upstream.url, **overrides}))


def fields_of(answer: Answer) -> list[tuple[str, str]]:
    """The fields that the echo received, our own connection's left out."""
    return [(name, value) for name, value in json.loads(answer.body)["fields"] if name != "connection"]


@pytest.mark.req("BBA-16", "BCP-18", "ATK-36")
async def test_the_cookie_stays_and_the_token_goes(upstream: RawUpstream) -> None:
    """What the API receives, byte for byte: a bearer token, our forwarding fields, and nothing of the browser's own."""
    relayed = world(upstream)
    browser = [
        *await relayed.sign_in(),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer mine"),
        (b"x-forwarded-for", b"6.6.6.6"),
    ]
    answer = await relayed.call(b"/api/todolist", headers=browser, query=b"a=\"<'>&b=%2F")
    head = upstream.received[0].head
    assert answer.status == 200
    assert head.startswith(b"GET /api/todolist?a=\"<'>&b=%2F HTTP/1.1\r\n")
    assert b"bff-3000" not in head
    received = dict(fields_of(answer))
    traceparent = received.pop("traceparent")
    assert len(traceparent) == 55
    assert received == {
        "host": f"127.0.0.1:{upstream.port}",
        "accept": "*/*",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "localhost:3000",
        "x-forwarded-for": "192.0.2.7",
        "authorization": f"Bearer {ACCESS_TOKEN}",
    }


@pytest.mark.req("F35", "BBA-16")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"content-length", b"11")], [("content-length", "11")]),
        (
            [(b"transfer-encoding", b"chunked"), (b"trailer", b"x"), (b"expect", b"100-continue")],
            [("transfer-encoding", "chunked")],
        ),
    ],
    ids=["declared", "chunked"],
)
async def test_a_body_is_framed_by_us(upstream: RawUpstream, headers: Any, expected: list[tuple[str, str]]) -> None:
    """The body arrives whole under exactly one framing, which is ours."""
    relayed = world(upstream)
    answer = await relayed.call(
        b"/api/todolist", "POST", [*await relayed.sign_in(), *headers], body=[b"hello", b"", b" world"]
    )
    assert upstream.received[0].body == b"hello world"
    framing = [
        pair for pair in fields_of(answer) if pair[0] in {"content-length", "transfer-encoding", "trailer", "expect"}
    ]
    assert framing == expected


async def test_a_body_that_is_none_is_said_to_be_none(upstream: RawUpstream) -> None:
    """A POST without a body says so; a GET says nothing."""
    relayed = world(upstream)
    cookie = await relayed.sign_in()
    assert ("content-length", "0") in fields_of(await relayed.call(b"/api/x", "POST", cookie))
    assert not [name for name, _ in fields_of(await relayed.call(b"/api/x", "GET", cookie)) if name == "content-length"]


@pytest.mark.req("BBA-10", "BBA-11", "ATK-23", "ATK-24", "ATK-25", "F27")
@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ([], errors.AntiforgeryHeaderMissing),
        ([(b"x-csrf", b"1"), (b"sec-fetch-site", b"same-site")], errors.CrossSiteRequest),
        ([(b"x-csrf", b"1"), (b"origin", b"http://localhost:3001")], errors.ForeignOrigin),
        ([(b"x-csrf", b"1"), (b"origin", b"null")], errors.ForeignOrigin),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_no_call_of_another_page_reaches_the_api(
    upstream: RawUpstream, method: str, headers: Any, refusal: type[errors.BFFError]
) -> None:
    """Anti-forgery is asked before the session, with every method, and the API hears nothing of it."""
    relayed = world(upstream)
    with pytest.raises(refusal):
        await relayed.call(b"/api/todolist", method, [*await relayed.sign_in(), *headers], from_page=False)
    assert upstream.connections == 0
    assert PRESENTED not in relayed.state


@pytest.mark.req("F27")
async def test_a_download_needs_no_header_but_fetch_metadata(upstream: RawUpstream) -> None:
    """A route of kind fetch-metadata serves an image or a link of our page, and nobody else's."""
    relayed = world(upstream, antiforgery="fetch-metadata", methods=frozenset({"GET"}))
    cookie = await relayed.sign_in()
    assert (
        await relayed.call(b"/api/x", headers=[*cookie, (b"sec-fetch-site", b"same-origin")], from_page=False)
    ).status == 200
    with pytest.raises(errors.CrossSiteRequest):
        await relayed.call(b"/api/x", headers=cookie, from_page=False)


@pytest.mark.req("F37", "BBA-13", "BBA-15", "ATK-31")
@pytest.mark.parametrize(
    ("path", "method", "refusal"),
    [
        (b"/api/../bff/user", "GET", errors.MalformedRequest),
        (b"/api/%2e%2e/admin", "GET", errors.MalformedRequest),
        (b"/api//x", "GET", errors.MalformedRequest),
        (b"/api", "GET", errors.UnknownRoute),
        (b"/api/x", "TRACE", errors.MethodNotAllowed),
        (b"/api/x", "CONNECT", errors.MethodNotAllowed),
    ],
)
async def test_only_permitted_paths_and_methods_are_relayed(
    upstream: RawUpstream, path: bytes, method: str, refusal: type[errors.BFFError]
) -> None:
    """Path first, then route, then method: each refusal before anything is looked up or sent."""
    relayed = world(upstream)
    with pytest.raises(refusal):
        await relayed.call(path, method, await relayed.sign_in())
    assert upstream.connections == 0


@pytest.mark.req("F37")
@pytest.mark.parametrize("query", [b"a#b", b"a\xff", b"a b"])
async def test_a_query_is_printable(upstream: RawUpstream, query: bytes) -> None:
    """A query with any other byte is malformed."""
    relayed = world(upstream)
    with pytest.raises(errors.MalformedRequest):
        await relayed.call(b"/api/x", headers=await relayed.sign_in(), query=query)


@pytest.mark.req("ATK-65", "ATK-25", "F27")
async def test_options_is_answered_here(upstream: RawUpstream) -> None:
    """A preflight gets the methods and no CORS field, so it fails; the API never sees it."""
    relayed = world(upstream, methods=frozenset({"GET", "POST"}))
    preflight = [(b"origin", b"https://evil"), (b"access-control-request-method", b"POST")]
    answer = await relayed.call(b"/api/x", "OPTIONS", preflight, from_page=False)
    assert answer.status == 204
    assert answer.headers == [(b"allow", b"GET, HEAD, OPTIONS, POST"), (b"cache-control", b"no-store")]
    assert upstream.connections == 0
    with pytest.raises(errors.UnknownRoute):
        await relayed.call(b"/other", "OPTIONS")


async def test_an_upgrade_is_refused_before_the_session(upstream: RawUpstream) -> None:
    """No route of this kind takes a protocol upgrade."""
    relayed = world(upstream)
    upgrade = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    with pytest.raises(errors.UpgradeRefused):
        await relayed.call(b"/api/x", headers=[*await relayed.sign_in(), *upgrade])
    assert PRESENTED not in relayed.state


async def test_without_a_session_nothing_is_sent(upstream: RawUpstream) -> None:
    """No cookie, and one that does not open, are NoSession: the API is not asked."""
    relayed = world(upstream)
    for cookie in [], [(b"cookie", b"bff-3000=AAAA")]:
        with pytest.raises(errors.NoSession):
            await relayed.call(b"/api/x", headers=cookie)
    assert upstream.connections == 0


async def test_an_ended_session_is_refused_and_its_cookies_are_due(upstream: RawUpstream) -> None:
    """A session that ended says why; what was presented is there for whoever renders the refusal."""
    relayed = world(upstream)
    cookie = await relayed.sign_in()
    await relayed.vault.end_session(session_of("alice"), Reason.SIGNED_OUT)
    with pytest.raises(errors.SessionEnded):
        await relayed.call(b"/api/x", headers=cookie)
    due = relayed.vault.cookies_due(relayed.state[PRESENTED], slides=True)
    assert due
    assert all(cookie.max_age == 0 for cookie in due)


async def test_a_route_without_token_reads_no_session(upstream: RawUpstream) -> None:
    """With ``token = "none"`` neither a session nor a token is asked for or sent."""
    relayed = world(upstream, token="none")
    answer = await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert "authorization" not in dict(fields_of(answer))
    assert PRESENTED not in relayed.state


async def test_a_route_may_serve_visitors_too(upstream: RawUpstream) -> None:
    """With ``user_or_none`` a visitor goes without a token and a person with theirs; an ended session is no visitor."""
    relayed = world(upstream, token="user_or_none")
    assert "authorization" not in dict(fields_of(await relayed.call(b"/api/x")))
    cookie = await relayed.sign_in()
    assert dict(fields_of(await relayed.call(b"/api/x", headers=cookie)))["authorization"] == f"Bearer {ACCESS_TOKEN}"
    with pytest.raises(errors.NoSession):
        await relayed.call(b"/api/x", headers=[(b"x-bff-session", b"tag")])
    await relayed.vault.end_session(session_of("alice"), Reason.SIGNED_OUT)
    with pytest.raises(errors.SessionEnded):
        await relayed.call(b"/api/x", headers=cookie)


@pytest.mark.req("F30")
async def test_no_tab_writes_into_another_account(upstream: RawUpstream) -> None:
    """A page that speaks for another session than the cookie's is told so, and the API hears nothing."""
    relayed = world(upstream)
    bob = await relayed.sign_in("bob")
    for tag in relayed.vault.tag(session_of("alice")).encode(), b"", b"\xff\xfe":
        with pytest.raises(errors.SessionChanged):
            await relayed.call(b"/api/x", "POST", [*bob, *JSON_BODY, (b"x-bff-session", tag)], body=[b"hello"])
    assert upstream.connections == 0
    own = (b"x-bff-session", relayed.vault.tag(session_of("bob")).encode())
    assert (await relayed.call(b"/api/x", headers=[*bob, own])).status == 200


@pytest.mark.req("F2", "F6")
async def test_a_refreshed_session_travels_with_the_response(upstream: RawUpstream) -> None:
    """A token near its end is refreshed before the call, and the response carries the new session's cookie."""
    relayed = world(upstream)
    cookie = await relayed.sign_in(tokens=token_set(expires_in=100.0))
    relayed.clock.advance(95)
    answer = await relayed.call(b"/api/x", headers=[*cookie, (b"x-bff-slide", b"0")])
    assert dict(fields_of(answer))["authorization"] == f"Bearer {ACCESS_TOKEN}.1"
    (new,) = answer.all_of(b"set-cookie")
    renewed = new.split(b";", 1)[0]
    again = await relayed.call(b"/api/x", headers=[(b"cookie", renewed), (b"x-bff-slide", b"0")])
    assert dict(fields_of(again))["authorization"] == f"Bearer {ACCESS_TOKEN}.1"
    assert again.all_of(b"set-cookie") == []
    assert relayed.endpoint.calls == 1


@pytest.mark.req("F2")
async def test_cookies_are_decided_when_the_response_starts() -> None:
    """A session that ends while the API thinks is deleted by that very response, not kept alive by it."""
    thinking, go_on = asyncio.Event(), asyncio.Event()

    async def thinks(*_: Any) -> None:
        thinking.set()
        await go_on.wait()
        _[2].write(response())

    async with RawUpstream(thinks) as slow:
        relayed = world(slow)
        call = asyncio.create_task(relayed.call(b"/api/x", headers=await relayed.sign_in()))
        await thinking.wait()
        await relayed.vault.end_session(session_of("alice"), Reason.SIGNED_OUT)
        go_on.set()
        answer = await call
    assert answer.all_of(b"set-cookie")
    assert all(b"Max-Age=0" in cookie for cookie in answer.all_of(b"set-cookie"))


@pytest.mark.req("F19")
@pytest.mark.parametrize(("slide", "stamps"), [([], 1), ([(b"x-bff-slide", b"0")], 0), ([(b"x-bff-slide", b"1")], 1)])
async def test_a_poll_does_not_slide(upstream: RawUpstream, slide: Any, stamps: int) -> None:
    """After a minute a call renews the idle stamp, unless the page says that nobody is there."""
    relayed = world(upstream)
    cookie = await relayed.sign_in()
    relayed.clock.advance(120)
    answer = await relayed.call(b"/api/x", headers=[*cookie, *slide])
    assert len(answer.all_of(b"set-cookie")) == stamps


@pytest.mark.req("C18")
async def test_the_apis_own_401_is_a_problem_of_its_own() -> None:
    """The API refusing a token is neither an outage nor a lost session; its challenge is kept for who renders it."""
    challenge = b'WWW-Authenticate: Bearer error="invalid_token"'
    async with RawUpstream(says(response(b"{}", challenge, status=b"401 Unauthorized"))) as refusing:
        relayed = world(refusing)
        with pytest.raises(errors.UpstreamUnauthorized) as refused:
            await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert refused.value.challenge == 'Bearer error="invalid_token"'
    assert not isinstance(refused.value, errors.SessionError | errors.Unavailable)


@pytest.mark.parametrize(
    "status", [b"200 OK", b"403 Forbidden", b"404 Not Found", b"422 Unprocessable", b"500 Oops", b"503 Busy"]
)
async def test_any_other_answer_is_the_apis_own(status: bytes) -> None:
    """Status and body of the API reach the page, problems included."""
    problem = b'{"type":"urn:resource-api:problem:forbidden"}'
    async with RawUpstream(says(response(problem, status=status, kind=b"application/problem+json"))) as refusing:
        relayed = world(refusing)
        answer = await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert (answer.status, answer.body) == (int(status[:3]), problem)
    assert answer.one(b"content-type") == b"application/problem+json"


@pytest.mark.req("ATK-33", "ATK-32", "F38")
async def test_a_redirect_is_passed_on_and_never_followed(upstream: RawUpstream) -> None:
    """The browser is told where to go, on our own origin; the token goes nowhere."""
    redirect = response(b"", b"Location: " + b"http://127.0.0.1:%d/api/elsewhere" % upstream.port, status=b"307 Go")
    async with RawUpstream(says(redirect)) as redirecting:
        away = world(redirecting)
        with pytest.raises(errors.ResourceAPIUnavailable):
            await away.call(b"/api/x", headers=await away.sign_in())
    assert upstream.connections == 0
    async with RawUpstream(says(response(b"", b"Location: /api/todolist/7", status=b"303 See Other"))) as redirecting:
        relayed = world(redirecting)
        answer = await relayed.call(b"/api/x", "POST", await relayed.sign_in())
        assert (answer.status, answer.one(b"location")) == (303, b"/api/todolist/7")
        assert redirecting.connections == 1


@pytest.mark.req("F38", "ATK-39")
async def test_no_cookie_of_an_upstream_reaches_anybody() -> None:
    """One person's planted Set-Cookie is neither returned to them nor sent with another person's call."""
    async with RawUpstream(says(response(b"{}", *PLANTED))) as planting:
        relayed = world(planting)
        first = await relayed.call(b"/api/x", headers=await relayed.sign_in("alice"))
        await relayed.call(b"/api/x", headers=await relayed.sign_in("bob"))
        assert first.all_of(b"set-cookie") == []
        assert {name for name, _ in first.headers} == {
            b"content-type",
            b"content-length",
            b"x-content-type-options",
            b"cross-origin-resource-policy",
            b"cache-control",
        }
        assert all(not request.all_of("cookie") for request in planting.received)


@pytest.mark.req("ATK-43")
async def test_encoded_bytes_are_passed_as_they_are() -> None:
    """What the upstream compressed stays compressed: a bomb is not opened here."""
    async with RawUpstream(says(response(b"\x1f\x8bnot really gzip", b"Content-Encoding: gzip"))) as compressing:
        relayed = world(compressing)
        answer = await relayed.call(b"/api/x", headers=[*await relayed.sign_in(), (b"accept-encoding", b"gzip")])
        assert (answer.body, answer.one(b"content-encoding")) == (b"\x1f\x8bnot really gzip", b"gzip")
        assert compressing.received[0].all_of("accept-encoding") == ["gzip"]


@pytest.mark.req("ATK-32")
async def test_the_environment_names_no_proxy(upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable does not see the token."""
    for name in "HTTP_PROXY", "http_proxy", "ALL_PROXY":
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    relayed = world(upstream)
    assert (await relayed.call(b"/api/x", headers=await relayed.sign_in())).status == 200


async def test_a_trace_goes_on(upstream: RawUpstream) -> None:
    """The request's own trace id, or the browser's traceparent, reaches the API."""
    relayed = world(upstream)
    cookie = await relayed.sign_in()
    sent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await relayed.call(b"/api/x", headers=[*cookie, (b"traceparent", sent)])
    assert dict(fields_of(answer))["traceparent"] == sent.decode()
    token = trace_id.set("c0ffee" + "0" * 26)
    try:
        answer = await relayed.call(b"/api/x", headers=cookie)
    finally:
        trace_id.reset(token)
    assert dict(fields_of(answer))["traceparent"].startswith("00-c0ffee" + "0" * 26 + "-")


@pytest.mark.req("F37")
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_an_id_with_a_slash_reaches_the_api_as_it_was_sent(upstream: RawUpstream, method: str) -> None:
    """Where its route says ``encoded_slash``; without that it is malformed, as ever."""
    relayed = world(upstream, encoded_slash=True)
    signed_in = await relayed.sign_in()
    answer = await relayed.call(b"/api/files/a%2Fb", method, signed_in)
    assert answer.status == (200 if method == "GET" else 204)
    assert [request.target for request in upstream.received] == [b"/api/files/a%2Fb"] * (method == "GET")
    with pytest.raises(errors.MalformedRequest):
        await world(upstream).call(b"/api/files/a%2Fb", method, signed_in)


async def test_a_relayed_call_is_observed_once(upstream: RawUpstream) -> None:
    """Route, status and seconds of a finished call are reported; a refused one is not a relayed one."""
    relayed = world(upstream)
    await relayed.call(b"/api/x", headers=await relayed.sign_in())
    with pytest.raises(errors.NoSession):
        await relayed.call(b"/api/x")
    assert relayed.observed == [("/api/", 200, 0.0)]


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (closes_before_its_head, 502),
        (stalls_before_its_head, 504),
        (closes_in_its_body, 502),
        (says(response(status=b"401 Unauthorized")), 401),
    ],
    ids=["no answer", "silence", "half an answer", "a refusal of the token"],
)
async def test_a_call_that_failed_is_observed_once_too(act: Act, status: int) -> None:
    """What an outage does to calls is in the numbers: each counts by the status that its error has."""
    async with RawUpstream(act) as upstream:
        relayed = world(upstream, timeout=0.1)
        with pytest.raises(errors.BFFError):
            await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert [(path, counted) for path, counted, _ in relayed.observed] == [("/api/", status)]


async def test_a_call_whose_browser_left_is_no_failure(upstream: RawUpstream) -> None:
    """Nobody was answered, and nothing went wrong."""
    leaves = asyncio.Event()
    leaves.set()
    relayed = world(upstream)
    await relayed.call(
        b"/api/x", "POST", [*await relayed.sign_in(), (b"content-length", b"2")], body=[b"ab"], leaves=leaves
    )
    assert relayed.observed == []


@pytest.mark.req("F41")
async def test_respx_sees_every_relayed_call() -> None:
    """The httpx implementation stays one that a team's respx intercepts."""
    relayed = World(Route(path="/api/", upstream="https://api.example/v1"))
    cookie = await relayed.sign_in()
    with respx.mock(assert_all_called=True) as mocked:
        asked = mocked.get("https://api.example/v1/api/todolist?x=1").respond(200, json=[{"id": 1}])
        answer = await relayed.call(b"/api/todolist", headers=cookie, query=b"x=1")
    assert json.loads(answer.body) == [{"id": 1}]
    assert asked.calls.last.request.headers["authorization"] == f"Bearer {ACCESS_TOKEN}"
    assert asked.calls.last.request.headers["host"] == "api.example"


@pytest.mark.req("F41")
async def test_an_application_may_stand_in_for_the_network() -> None:
    """With ``transport`` given, an ASGI application answers in the upstream's place."""

    async def api(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": scope["raw_path"] + b" " + body})

    relayed = World(Route(path="/api/", upstream="http://api.example"), transport=httpx.ASGITransport(api))
    answer = await relayed.call(b"/api/x", "POST", [*await relayed.sign_in(), *JSON_BODY], body=[b"hello"])
    assert (answer.status, answer.body) == (201, b"/api/x hello")


def test_what_is_the_relays() -> None:
    """Calls below a route, and every WebSocket, for nobody else takes one; other paths are left to the rest."""
    relayed = World(Route(path="/api/", upstream="http://api.example"))
    assert relayed.relay.matches({"type": "http", "raw_path": b"/api/x"})
    assert relayed.relay.matches({"type": "websocket", "raw_path": b"/bff/user"})
    assert not relayed.relay.matches({"type": "http", "raw_path": b"/bff/user"})


async def test_nothing_of_a_call_shows_a_secret(upstream: RawUpstream) -> None:
    """Neither the head that crosses nor the request to the upstream shows its values when it is printed."""
    relayed = world(upstream)
    presented = await relayed.vault.find_session(Jar.read(await relayed.sign_in()))
    assert ACCESS_TOKEN not in repr(presented.require())
    assert ACCESS_TOKEN not in repr(relayed.relay)
