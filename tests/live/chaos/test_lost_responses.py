"""Responses that get lost, overtake each other, or answer what comes late: nobody is signed out by any of them.

The client leaves at a random point of a call that refreshes, and every process is restarted before it comes back. The
points are drawn from ``CHAOS_SEED``; a failure tells those that ended a session.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.world.chaos import LONG, RECOVERY, ROUNDS, SEED, SHORT, cases
from tests.world.chaos_site import Jar, Site
from tests.world.page_calls import Call

pytestmark = [pytest.mark.live, pytest.mark.timeout(900 if ROUNDS else 120)]

Stage = Literal["head", "before-send", "written", "sent", "answered"]
STAGES: tuple[Stage, ...] = ("head", "before-send", "written", "sent", "answered")
PASS = 40  # points between two restarts
HEAD_BYTES = {"sessions": 200, "ledger": 2000, "file": 2000}  # the shortest head is longer; cookies are most of it
SENDING, ANSWERED, WHILE_HELD = 0.006, 0.04, 0.05  # seconds over which the points of a stage are spread
UNANSWERED = 4.5  # seconds: half a second before a token call is given up, and its answer lost for good (F1)
HELD_BACK = 62.0 if ROUNDS else 1.0  # seconds: the way from an older cookie lapses after sixty
APART = 6.0 if ROUNDS else 0.0  # seconds: more than five between two that were evidence would end the session
PAGES, OVERTAKEN = 24, 1.0  # calls of a page at once, and seconds that an answer is late by at most
UPLOAD = b"todo=milk"


@dataclass(frozen=True, slots=True)
class Point:
    """Where a client leaves: a stage of the call, and how far into it, from 0 to 1."""

    stage: Stage
    share: float
    replica: int


def points(site: Site, count: int) -> list[Point]:
    """As many of each stage; the same ones for the same seed and mode."""
    chance = random.Random(f"{SEED}/{site.replicas.mode}")
    return [Point(STAGES[number % len(STAGES)], chance.random(), chance.randrange(3)) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Departure:
    """One client, and the point at which it leaves."""

    site: Site
    point: Point
    jar: Jar

    async def begin(self) -> Call:
        """Send the call."""
        return await self.site.begin(self.jar, self.point.replica)

    async def leave_within(self, seconds: float, call: Call | None = None) -> None:
        """Leave at this point's share of some time; ``call`` is under way, or begins now."""
        call = call or await self.begin()
        await asyncio.sleep(self.point.share * seconds)
        call.leave()

    async def leave_in_the_head(self) -> None:
        """Read as many bytes of the response as this point's share, and leave."""
        call = await self.begin()
        received = await call.beginning(1 + int(self.point.share * HEAD_BYTES[self.site.replicas.mode]))
        call.leave()
        assert b"\r\n\r\n" not in received, "the whole head came: nothing was lost"


async def depart(site: Site, drawn: list[tuple[Point, Jar]]) -> None:
    """Let all clients leave, each at its point, and restart every process while what they began is under way."""
    at = {stage: [Departure(site, point, jar) for point, jar in drawn if point.stage == stage] for stage in STAGES}
    authority, api = site.replicas.world, site.replicas.api_world
    await asyncio.gather(*(one.leave_in_the_head() for one in at["head"]))
    await asyncio.gather(*(one.leave_within(SENDING) for one in at["before-send"]))
    await asyncio.sleep(WHILE_HELD)  # what was heard of them is done, and is held nowhere
    with holding(api, "api"):
        await leave_while_held(site, at["written"])
        with holding(authority, "token"):
            since = time.monotonic()
            under_way = [(one, await one.begin()) for one in (*at["sent"], *at["answered"])]
            await site.held(authority, "token", len(under_way))
            sent = (one.leave_within(WHILE_HELD, call) for one, call in under_way if one.point.stage == "sent")
            await asyncio.gather(*sent)
        assert time.monotonic() - since < UNANSWERED, "the machine is so busy that these answers came too late"
        answered = (one.leave_within(ANSWERED, call) for one, call in under_way if one.point.stage == "answered")
        await asyncio.gather(asyncio.to_thread(site.replicas.restart), *answered)


@contextmanager
def holding(world: Callable[..., object], what: str) -> Iterator[None]:
    """A peer keeps such answers back while the block runs."""
    world("hold", what)
    try:
        yield
    finally:
        world("release", what)


async def leave_while_held(site: Site, departures: list[Departure]) -> None:
    """The successor is written, and the API keeps its answer back."""
    under_way = [(one, await one.begin()) for one in departures]
    await site.held(site.replicas.api_world, "api", len(under_way))
    await asyncio.gather(*(one.leave_within(WHILE_HELD, call) for one, call in under_way))


@pytest.mark.req("F1", "F2", "F4", "F6", "F9", "F13", "ADV-2")
@cases("lost-response")
async def test_a_response_that_is_lost_at_any_point_loses_nothing(site: Site, fault: str) -> None:
    """The client leaves, the BFF is restarted, and the old cookie works: one token call each, nobody signed out."""
    drawn = points(site, 4 * ROUNDS or 2 * len(STAGES))
    told = site.row(fault, len(drawn))
    before, refused = site.replicas.refreshes(), site.replicas.refusals()
    ended: list[tuple[Point, str]] = []
    for first in range(0, len(drawn), PASS):
        part = drawn[first : first + PASS]
        jars = await site.expired(len(part))
        await depart(site, list(zip(part, jars, strict=True)))
        fates = await site.fates(jars)
        told.recovered_in(max(fate.seconds for fate in fates))
        ended += [(point, fate.reason) for point, fate in zip(part, fates, strict=True) if fate.reason is not None]
    told.logouts, told.token_calls = len(ended), site.replicas.refreshes() - before
    assert not ended, f"seed {SEED}: {ended}"
    assert told.token_calls == told.rounds, f"seed {SEED}"
    assert site.replicas.refusals() == refused
    assert told.recovery_s <= RECOVERY
    told.keep()


@pytest.mark.req("F2", "F4", "F6", "ADV-2")
@cases("lost-response-order")
async def test_answers_that_overtake_each_other_sign_nobody_out(site: Site, fault: str) -> None:
    """The API answers out of order while tokens end twice: a jar may go back to an older cookie, and is led on."""
    told = site.row(fault, max(1, ROUNDS // 10))
    before, refused = site.replicas.refreshes(), site.replicas.refusals()
    site.replicas.api_world("delay", "api", OVERTAKEN)
    for _ in range(told.rounds):
        (jar,), statuses = await site.jars(1, lifetime=SHORT), list[int]()
        until = time.monotonic() + 2.5 * SHORT
        await asyncio.gather(*(page(site, jar, number, until, statuses) for number in range(PAGES)))
        told.logouts += sum(status == 401 for status in statuses)
        assert set(statuses) == {200}
    site.replicas.api_world("delay", "api", 0)
    told.token_calls = site.replicas.refreshes() - before
    assert told.token_calls >= 2 * told.rounds
    assert site.replicas.refusals() == refused
    told.keep()


async def page(site: Site, jar: Jar, number: int, until: float, statuses: list[int]) -> None:
    """One of many parts of a page, which all use one jar."""
    while time.monotonic() < until:
        statuses.append((await site.call(jar, number)).status)


@pytest.mark.req("F2", "F4", "F5", "F6")
@cases("lost-response-upload")
async def test_uploads_that_arrive_late_sign_nobody_out(site: Site, fault: str) -> None:
    """Sent before a refresh and finished after it, or held back by a proxy until the way from its cookie has lapsed.

    The first is served. The second is served while there is a way, and then it is refused softly, with no cookie
    touched: whoever repeats it, it is no evidence.
    """
    told = site.row(fault, max(2, ROUNDS // 10))
    before, refused = site.replicas.refreshes(), site.replicas.refusals()
    jars = await site.jars(told.rounds, lifetime=SHORT)
    old = [dict(jar) for jar in jars]
    slow = [await site.begin(jar, number, upload=2 * len(UPLOAD)) for number, jar in enumerate(jars)]
    for upload in slow:
        upload.send(UPLOAD)
    await asyncio.sleep(SHORT + 0.1)
    site.replicas.world("lifetime", LONG)
    for _ in range(2):  # the second acknowledges what the first one brought
        assert await site.logged_out(jars) == []
    for upload in slow:
        upload.send(UPLOAD)
    assert {(await upload.answer()).status for upload in slow} == {200}
    await asyncio.sleep(HELD_BACK)
    for wait in (APART, 0.0):
        await asyncio.gather(*(held_back(site, jar, number + 1) for number, jar in enumerate(old)))
        await asyncio.sleep(wait)
    told.logouts, told.token_calls = len(await site.logged_out(jars)), site.replicas.refreshes() - before
    assert (told.logouts, told.token_calls) == (0, told.rounds)
    assert site.replicas.refusals() == refused
    told.keep()


async def held_back(site: Site, older: Jar, replica: int) -> None:
    """An upload comes as a whole, with the cookie of long ago; where cookies never change it is nothing special."""
    upload = await site.begin(older, replica, upload=len(UPLOAD))
    upload.send(UPLOAD)
    reply = await upload.answer()
    if not ROUNDS or site.replicas.mode == "sessions":
        assert reply.status == 200
    else:
        assert (reply.status, reply.reason, reply.cookies) == (401, "urn:bff:problem:session-superseded", ())
