"""Whose token a call carries, and what happens when the API refuses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from bff import errors
from bff.oidc.messages import Narrow
from bff.relay.fair_use import FairUse
from bff.relay.route_table import Route
from bff.relay.second_chance import ROUTE_CALLS, SESSION_SECONDS, speaks_of_the_token
from tests.world.relaying import ACCESS_TOKEN, World, token_set

INVALID = 'Bearer error="invalid_token"'


class Api:
    """An API that refuses what it is told to, and remembers which tokens came."""

    def __init__(self, refuses: Callable[[str], bool] = lambda _: False, challenge: str = INVALID) -> None:
        self.refuses, self.challenge = refuses, challenge
        self.tokens: list[str] = []
        self.bodies: list[bytes] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.tokens.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        self.bodies.append(await request.aread())
        await asyncio.sleep(0)
        if self.refuses(self.tokens[-1]):
            return httpx.Response(401, headers={"www-authenticate": self.challenge})
        return httpx.Response(200, json={})


def world(api: Api, *routes: Route, **overrides: Any) -> World:
    """A relay to this API, by default with one route for the user's token."""
    return World(*(routes or (route(),)), transport=httpx.MockTransport(api), **overrides)


def route(path: str = "/api/", **overrides: Any) -> Route:
    """Return a route to the API."""
    return Route(**{"path": path, "upstream": "http://api.example", **overrides})


@pytest.mark.req("F16", "C6")
@pytest.mark.parametrize(
    ("policy", "anonymous", "signed_in", "token"),
    [
        ("user", False, True, ACCESS_TOKEN),
        ("user", False, False, None),
        ("client", False, True, "of-the-application.1"),
        ("client", False, False, None),
        ("client", True, True, "of-the-application.1"),
        ("client", True, False, "of-the-application.1"),
        ("user_or_client", False, True, ACCESS_TOKEN),
        ("user_or_client", False, False, None),
        ("user_or_client", True, True, ACCESS_TOKEN),
        ("user_or_client", True, False, "of-the-application.1"),
        ("user_or_none", False, True, ACCESS_TOKEN),
        ("user_or_none", False, False, ""),
        ("none", False, True, ""),
        ("none", False, False, ""),
    ],
)
async def test_each_policy_sends_its_own_token(
    policy: str, *, anonymous: bool, signed_in: bool, token: str | None
) -> None:
    """No visitor gets the application's token along, unless the route says so in as many words."""
    api = Api()
    relayed = world(api, route(token=policy, anonymous=anonymous, methods=frozenset({"GET"})))
    cookie = await relayed.sign_in() if signed_in else []
    if token is None:
        with pytest.raises(errors.NoSession):
            await relayed.call(b"/api/x", headers=cookie)
        assert (api.tokens, relayed.endpoint.client_calls) == ([], [])
    else:
        await relayed.call(b"/api/x", headers=cookie)
        assert api.tokens == [token]


@pytest.mark.req("F16", "A-38")
@pytest.mark.parametrize("policy", ["client", "user_or_client"])
async def test_the_applications_own_token_needs_a_living_session(policy: str) -> None:
    """A session that has ended opens no route with the application's token, and none is asked for."""
    api = Api()
    relayed = world(api, route(token=policy))
    cookie = await relayed.sign_in()
    relayed.clock.advance(13 * 3600)
    with pytest.raises(errors.SessionEnded):
        await relayed.call(b"/api/x", headers=cookie)
    assert (api.tokens, relayed.endpoint.client_calls) == ([], [])


@pytest.mark.req("C6", "C7", "BBA-18")
async def test_each_api_gets_its_own_token() -> None:
    """One token call serves every caller of one scope, resource and audience; another target has another token."""
    api = Api()
    relayed = world(
        api,
        route("/one/", token="client", scope="one.read", resource="https://one.example"),
        route("/two/", token="client", audience="two"),
    )
    cookie = await relayed.sign_in()
    await asyncio.gather(*(relayed.call(b"/one/x", headers=cookie) for _ in range(20)))
    await relayed.call(b"/two/x", headers=cookie)
    assert relayed.endpoint.client_calls == [("one.read", "https://one.example", ""), ("", "", "two")]
    assert set(api.tokens[:20]) == {"of-the-application.1"}
    assert api.tokens[20:] == ["of-the-application.2"]


@pytest.mark.req("C6", "C7", "BBA-18")
async def test_each_api_sees_a_persons_token_for_itself_alone() -> None:
    """A route that names a scope, a resource or an audience gets no other token, and no other route gets its token."""
    api = Api()
    relayed = world(
        api,
        route("/one/", scope="one.read", resource="https://one.example"),
        route("/two/", token="user_or_none", audience="two"),
        route("/own/"),
    )
    cookie = await relayed.sign_in()
    for path in (b"/one/x", b"/two/x", b"/own/x", b"/one/y"):
        assert (await relayed.call(path, headers=cookie)).status == 200
    assert api.tokens == [f"{ACCESS_TOKEN}.1", f"{ACCESS_TOKEN}.2", ACCESS_TOKEN, f"{ACCESS_TOKEN}.1"]
    one = Narrow(scope="one.read", resource="https://one.example")
    assert relayed.endpoint.narrow_calls == [one, Narrow(audience="two")]


@pytest.mark.req("F15", "C6", "C18")
async def test_a_refused_narrow_token_is_replaced_once() -> None:
    """As any other: the call is repeated with a new one; an API that refuses them all is not asked for ever."""
    api = Api(lambda token: token == f"{ACCESS_TOKEN}.1")
    relayed = world(api, route(scope="one.read"))
    cookie = await relayed.sign_in()
    assert (await relayed.call(b"/api/x", headers=cookie)).status == 200
    assert api.tokens == [f"{ACCESS_TOKEN}.1", f"{ACCESS_TOKEN}.2"]
    api.refuses = lambda _: True
    for _ in range(3):
        with pytest.raises(errors.UpstreamUnauthorized):
            await relayed.call(b"/api/x", headers=cookie)
    assert len(relayed.endpoint.narrow_calls) == 2


@pytest.mark.req("C6")
async def test_the_applications_token_is_renewed_before_it_ends() -> None:
    """A minute before its end there is a new one; an outage is survived with the old one while it lives."""
    api = Api()
    relayed = world(api, route(token="client"))
    cookie = await relayed.sign_in()
    for ahead, token in [(0, 1), (3530, 1), (30, 2)]:
        relayed.clock.advance(ahead)
        if ahead == 3530:
            cookie = await relayed.sign_in("alice", now=relayed.clock.now())
            relayed.endpoint.failure = errors.AuthorizationServerUnavailable("down")
        if ahead == 30:
            relayed.endpoint.failure = None
        await relayed.call(b"/api/x", headers=cookie)
        assert api.tokens[-1] == f"of-the-application.{1 if token == 1 else len(relayed.endpoint.client_calls)}"


@pytest.mark.req("C6")
async def test_an_outage_is_told_and_not_asked_again_at_once() -> None:
    """Without a token there is no call; for a second nobody asks again, then somebody does."""
    relayed = world(Api(), route(token="client"))
    cookie = await relayed.sign_in()
    relayed.endpoint.failure = errors.AuthorizationServerUnavailable("down")
    for _ in range(3):
        with pytest.raises(errors.AuthorizationServerUnavailable):
            await relayed.call(b"/api/x", headers=cookie)
    assert len(relayed.endpoint.client_calls) == 1
    relayed.clock.advance(1.1)
    relayed.endpoint.failure = None
    assert (await relayed.call(b"/api/x", headers=cookie)).status == 200


@pytest.mark.req("F15", "C18")
async def test_a_refused_token_is_replaced_and_the_call_repeated() -> None:
    """The page sees the answer to the new token; its response carries the renewed session."""
    api = Api(lambda token: token == ACCESS_TOKEN)
    relayed = world(api)
    answer = await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert answer.status == 200
    assert api.tokens == [ACCESS_TOKEN, f"{ACCESS_TOKEN}.1"]
    assert answer.all_of(b"set-cookie")


@pytest.mark.req("F15")
async def test_parallel_refusals_share_one_refresh() -> None:
    """However many calls are refused at once, one token call is made, and each call is repeated once."""
    api = Api(lambda token: token == ACCESS_TOKEN)
    relayed = world(api)
    cookie = await relayed.sign_in()
    answers = await asyncio.gather(*(relayed.call(b"/api/x", headers=cookie) for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert relayed.endpoint.calls == 1
    assert len(api.tokens) <= 200


@pytest.mark.req("F15", "C18")
async def test_an_api_that_always_refuses_costs_one_refresh_a_minute() -> None:
    """The page learns that the API refused; neither the token endpoint nor the cookie pays for every call."""
    api = Api(lambda _: True)
    relayed = world(api)
    cookie = await relayed.sign_in()
    for _ in range(20):
        with pytest.raises(errors.UpstreamUnauthorized) as refused:
            await relayed.call(b"/api/x", headers=cookie)
        assert refused.value.challenge == INVALID
    assert relayed.endpoint.calls == 1
    relayed.clock.advance(SESSION_SECONDS)
    with pytest.raises(errors.UpstreamUnauthorized):
        await relayed.call(b"/api/x", headers=cookie)
    assert relayed.endpoint.calls == 2


@pytest.mark.req("F15")
async def test_a_route_that_refuses_everybody_is_left_alone() -> None:
    """The eleventh session in a minute is not refreshed for this route, but for another one it is."""
    api = Api(lambda _: True)
    relayed = world(api, route(), route("/other/"))
    for number in range(ROUTE_CALLS + 3):
        cookie = await relayed.sign_in(f"person-{number}")
        with pytest.raises(errors.UpstreamUnauthorized):
            await relayed.call(b"/api/x", headers=cookie)
    assert relayed.endpoint.calls == ROUTE_CALLS
    with pytest.raises(errors.UpstreamUnauthorized):
        await relayed.call(b"/other/x", headers=cookie)
    assert relayed.endpoint.calls == ROUTE_CALLS + 1


@pytest.mark.req("F15")
@pytest.mark.parametrize(
    "challenge",
    ["", "Bearer", 'Bearer error="insufficient_scope"', "Basic realm=x", 'Bearer realm="x", my_error="invalid_token"'],
)
async def test_only_a_bad_token_is_replaced(challenge: str) -> None:
    """Where the challenge speaks of anything else, a new token would cure nothing."""
    api = Api(lambda _: True, challenge)
    relayed = world(api)
    with pytest.raises(errors.UpstreamUnauthorized):
        await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert (len(api.tokens), relayed.endpoint.calls) == (1, 0)


@pytest.mark.parametrize(
    "challenge",
    [INVALID, "Bearer error=invalid_token", 'bearer realm="a", error="invalid_token", error_description="expired"'],
)
def test_the_challenge_is_understood_in_its_spellings(challenge: str) -> None:
    """Quoted or not, first or later (RFC 9110 11.2)."""
    assert speaks_of_the_token(challenge)


@pytest.mark.req("F15")
@pytest.mark.parametrize(("size", "repeated"), [(1000, True), (64 * 1024, True), (64 * 1024 + 1, False)])
async def test_a_body_is_sent_again_only_where_all_of_it_is_held(size: int, *, repeated: bool) -> None:
    """A small upload is repeated byte for byte; a large one is gone, and the refusal is told."""
    api = Api(lambda token: token == ACCESS_TOKEN)
    relayed = world(api)
    body = [b"a" * (size // 2), b"b" * (size - size // 2)]
    headers = [*await relayed.sign_in(), (b"content-length", b"%d" % size), (b"content-type", b"text/plain")]
    if repeated:
        assert (await relayed.call(b"/api/x", "POST", headers, body=body)).status == 200
        assert api.bodies == [b"".join(body)] * 2
    else:
        with pytest.raises(errors.UpstreamUnauthorized):
            await relayed.call(b"/api/x", "POST", headers, body=body)
        assert relayed.endpoint.calls == 0


@pytest.mark.req("F15")
async def test_without_a_refresh_token_the_refusal_is_told() -> None:
    """Nothing can be fetched, so nothing is repeated, and the session lives on."""
    api = Api(lambda _: True)
    relayed = world(api)
    tokens = token_set()
    bare = type(tokens)(access_token=tokens.access_token, expires_at=tokens.expires_at)
    cookie = await relayed.sign_in(tokens=bare)
    with pytest.raises(errors.UpstreamUnauthorized):
        await relayed.call(b"/api/x", headers=cookie)
    assert len(api.tokens) == 1
    api.refuses = lambda _: False
    assert (await relayed.call(b"/api/x", headers=cookie)).status == 200


@pytest.mark.req("F15")
async def test_the_applications_own_token_is_replaced_once_too() -> None:
    """A key rotation at the API costs one token call, and a broken API not one for each call."""
    api = Api(lambda token: token.endswith(".1"))
    relayed = world(api, route(token="client"))
    cookie = await relayed.sign_in()
    assert (await relayed.call(b"/api/x", headers=cookie)).status == 200
    assert api.tokens == ["of-the-application.1", "of-the-application.2"]
    api.refuses = lambda _: True
    for _ in range(5):
        with pytest.raises(errors.UpstreamUnauthorized):
            await relayed.call(b"/api/x", headers=cookie)
    assert len(relayed.endpoint.client_calls) == 2


@pytest.mark.req("ATK-42", "ATK-63")
async def test_a_session_makes_only_so_many_calls_at_a_time() -> None:
    """The third call beside two is refused; when one ends there is room; another session has its own."""
    gate = asyncio.Event()

    async def waits(_: httpx.Request) -> httpx.Response:
        await gate.wait()
        return httpx.Response(200, json={})

    relayed = World(route(), transport=httpx.MockTransport(waits), fair_use=FairUse(concurrency=2))
    alice, bob = await relayed.sign_in("alice"), await relayed.sign_in("bob")
    under_way = [asyncio.create_task(relayed.call(b"/api/x", headers=alice)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(errors.TooManyRequests):
        await relayed.call(b"/api/x", headers=alice)
    under_way.append(asyncio.create_task(relayed.call(b"/api/x", headers=bob)))
    gate.set()
    assert [answer.status for answer in await asyncio.gather(*under_way)] == [200] * 3
    assert (await relayed.call(b"/api/x", headers=alice)).status == 200


@pytest.mark.req("ATK-63")
@pytest.mark.parametrize("limit", ["per_session", "per_address"])
async def test_a_session_and_an_address_make_only_so_many_calls(limit: str) -> None:
    """Beyond the rate a call is refused, with the seconds after which it may be tried again; nobody else's is."""
    relayed = world(Api(), fair_use=FairUse(**{limit: "3/minute"}))  # type: ignore[arg-type]  # both are rates
    cookie = await relayed.sign_in()
    for _ in range(3):
        await relayed.call(b"/api/x", headers=cookie)
    with pytest.raises(errors.TooManyRequests) as refused:
        await relayed.call(b"/api/x", headers=cookie)
    assert 1 <= refused.value.retry_after <= 61
    if limit == "per_session":
        other = await relayed.call(b"/api/x", headers=await relayed.sign_in("bob"))
    else:
        other = await relayed.call(b"/api/x", headers=cookie, address="192.0.2.8")
    assert other.status == 200


@pytest.mark.req("ATK-63")
@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("a socket of Unix:", "192.0.2.7", False),
    ],
)
def test_what_counts_as_one_address(first: str, second: str, *, together: bool) -> None:
    """An IPv4 address however it is written, and an IPv6 network of 64 bits, which one machine may use whole."""
    fair_use = FairUse(per_address="1/minute")
    fair_use.admit_address(first)
    if together:
        with pytest.raises(errors.TooManyRequests):
            fair_use.admit_address(second)
    else:
        fair_use.admit_address(second)
