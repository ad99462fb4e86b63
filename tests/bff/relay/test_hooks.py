"""What a team hangs on relayed calls: three moments, in order, and what each may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bff import errors
from bff.relay.headers import Headers
from bff.relay.hooks import HookedRelay, Hooks, RelayedCall
from bff.relay.relay import Relay
from bff.relay.route_table import Route
from tests.world.relaying import ACCESS_TOKEN, World
from tests.world.upstream import RawUpstream, closes_in_its_body, echo, response, says, stalls_before_its_head

pytestmark = pytest.mark.req("F41")


class Team:
    """Hooks that write down what they are told, and refuse where ``refusal`` is set."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.calls: list[RelayedCall] = []
        self.refusal = refusal
        self.hooks = Hooks(admitted=self._admitted, head=self._head, ended=self._ended)

    async def _admitted(self, call: RelayedCall) -> None:
        await asyncio.sleep(0)
        self.calls.append(call)
        call.notes["mine"] = True
        self.told.append(("admitted", call.method, call.path, call.route))
        if self.refusal is not None:
            raise self.refusal

    def _head(self, call: RelayedCall, status: int, headers: Headers) -> None:
        self.told.append(("head", status, call.notes["mine"]))
        headers.append((b"x-of-the-team", b"yes"))

    def _ended(self, call: RelayedCall, status: int | None, seconds: float) -> None:
        self.told.append(("ended", status, call.notes["mine"]))
        assert seconds >= 0


def world(upstream: RawUpstream, team: Team, **overrides: Any) -> World:
    """A relay with this team's hooks."""
    return World(Route(**{"path": "/api/", "upstream": upstream.url, **overrides}), hooks=team.hooks)


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    """An upstream that tells what it received."""
    async with RawUpstream(echo) as served:
        yield served


async def test_a_team_hears_of_each_moment_of_a_call(upstream: RawUpstream) -> None:
    """In order, with one object for the whole call, whose notes go from hook to hook."""
    team = Team()
    relayed = world(upstream, team)
    answer = await relayed.call(b"/api/a%20b", headers=[*await relayed.sign_in(), (b"accept", b"*/*")])
    assert team.told == [("admitted", "GET", "/api/a%20b", "/api/"), ("head", 200, True), ("ended", 200, True)]
    assert answer.one(b"x-of-the-team") == b"yes"
    (call,) = team.calls
    assert call.session is not None
    assert call.session.subject == "alice"
    assert (b"accept", b"*/*") in call.headers
    assert all(name != b"cookie" for name, _ in call.headers)
    assert relayed.observed == [("/api/", 200, 0.0)]


async def test_a_visitors_call_has_no_session(upstream: RawUpstream) -> None:
    """Nor has one on a route that reads none."""
    team = Team()
    await world(upstream, team, token="none").call(b"/api/x")
    assert [call.session for call in team.calls] == [None]


async def test_a_hook_may_stop_a_call_before_the_api_is_asked(upstream: RawUpstream) -> None:
    """What it raises is what the browser is told, and the call was none."""
    team = Team(errors.UnknownRoute("not for this person"))
    relayed = world(upstream, team)
    with pytest.raises(errors.UnknownRoute):
        await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert upstream.received == []
    assert [moment for moment, *_ in team.told] == ["admitted"]


async def test_what_is_refused_before_it_is_admitted_is_no_call(upstream: RawUpstream) -> None:
    """No hook runs for another site's request, or for one without a session."""
    team = Team()
    relayed = world(upstream, team)
    with pytest.raises(errors.NoSession):
        await relayed.call(b"/api/x")
    with pytest.raises(errors.AntiforgeryHeaderMissing):
        await relayed.call(b"/api/x", headers=await relayed.sign_in(), from_page=False)
    assert team.told == []


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (stalls_before_its_head, [("ended", 504, True)]),
        (closes_in_its_body, [("head", 200, True), ("ended", 502, True)]),
        (says(response(status=b"401 Unauthorized")), [("ended", 401, True)]),
    ],
    ids=["silence", "half an answer", "a refusal of the token"],
)
async def test_the_end_of_a_call_that_failed_is_told_too(act: Any, told: list[Any]) -> None:
    """By its problem's status, whether or not an answer had begun."""
    team = Team()
    async with RawUpstream(act) as upstream:
        relayed = world(upstream, team, timeout=0.1)
        with pytest.raises(errors.BFFError):
            await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert team.told[1:] == told


async def test_a_browser_that_left_got_no_status(upstream: RawUpstream) -> None:
    """The end is told all the same."""
    team, leaves = Team(), asyncio.Event()
    leaves.set()
    relayed = world(upstream, team)
    fields = [*await relayed.sign_in(), (b"content-length", b"2")]
    await relayed.call(b"/api/x", "POST", fields, body=[b"ab"], leaves=leaves)
    assert team.told[1:] == [("ended", None, True)]


async def test_each_hook_may_be_left_out(upstream: RawUpstream) -> None:
    """A relay with an empty list relays; one that is given no list is the plain class."""
    relayed = World(Route(path="/api/", upstream=upstream.url), hooks=Hooks())
    assert (await relayed.call(b"/api/x", headers=await relayed.sign_in())).status == 200
    assert type(relayed.relay) is HookedRelay
    assert type(World(Route(path="/api/", upstream=upstream.url)).relay) is Relay


async def test_a_call_shows_no_secret(upstream: RawUpstream) -> None:
    """Its repr, which ends up in logs, names neither the person nor the token."""
    team = Team()
    relayed = world(upstream, team)
    await relayed.call(b"/api/x", headers=await relayed.sign_in())
    assert ACCESS_TOKEN not in repr(team.calls)
    assert "alice" not in repr(team.calls)
