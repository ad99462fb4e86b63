"""Upstreams that break off, stall, or break their framing, over real sockets: the browser is told, and nobody else is.

Every test runs on both implementations of the upstream, behind a whole BFF on its own server. Where the two differ,
``tests/world/upstream_differences.py`` says how, and why that is safe.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping

import pytest

from tests.world.clients import LAST, read_all, status_of
from tests.world.peered_house import STALL_SECONDS, House, peered_house
from tests.world.upstream import FRAMING_FAULTS, Act, says
from tests.world.upstream_differences import BROKEN_OFF, DIFFERENCES, PASSED_ON, REFUSED
from tests.world.upstream_stops import (
    BODY_FAULTS,
    UPSTREAM_STOPS,
    WITHOUT_A_LENGTH,
    Leave,
    UpstreamStop,
    breaks_its_body,
    closes,
    resets,
    stalls,
)

pytestmark = [pytest.mark.live, pytest.mark.timeout(30)]


@pytest.fixture(scope="module", params=["httptools", "httpx"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for each implementation of the upstream."""
    with peered_house(request.param, tmp_path_factory.mktemp(request.param)) as opened:
        yield opened


def told(house: House, acts: Mapping[str, Act], *, at_once: bool = False) -> dict[str, bytes]:
    """What a browser receives from each of these upstreams, asked one after the other, or all at once."""
    answers, waiting = dict[str, bytes](), dict[str, socket.socket]()
    for number, (name, act) in enumerate(acts.items()):
        path = b"/api/act/%d" % number
        house.acting.acts[path] = act
        waiting[name] = house.mallory.connect()
        waiting[name].sendall(house.mallory.head(b"GET %b HTTP/1.1" % path, LAST))
        if not at_once:
            answers[name] = _rest_of(waiting.pop(name))
    return answers | {name: _rest_of(peer) for name, peer in waiting.items()}


def _rest_of(peer: socket.socket) -> bytes:
    with peer:
        return read_all(peer)


def outcome(answer: bytes) -> tuple[int, bytes | None]:
    """The status, and what came of a body; None where the body has ended, so that a browser takes it for all of it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"content-length:" in head:
        declared = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        return status_of(answer), None if len(body) >= declared else body
    if body.endswith(b"0\r\n\r\n"):
        return status_of(answer), None
    _, _, block = body.partition(b"\r\n")
    return status_of(answer), block.removesuffix(b"\r\n")


def owed(stop: UpstreamStop, refusal: int) -> tuple[int, bytes | None]:
    """A refusal of ours, whole, where nothing had begun; else the part that had, visibly broken off."""
    return (refusal, None) if stop.begun is None else (200, stop.begun)


@pytest.mark.req("F35", "C10", "ATK-42")
@pytest.mark.parametrize(("leave", "refusal"), [(stalls, 504), (closes, 502), (resets, 502)])
def test_an_upstream_that_stops_anywhere_is_told_for_what_it_is(house: House, leave: Leave, refusal: int) -> None:
    """Silence is 504, an end is 502; what had begun breaks off before the browser's eyes, and never ends well."""
    began = time.monotonic()
    acts = {name: stop.act(leave) for name, stop in UPSTREAM_STOPS.items()}
    answers = told(house, acts, at_once=leave is stalls)
    expected = {name: owed(stop, refusal) for name, stop in UPSTREAM_STOPS.items()}
    if leave is closes:
        expected[WITHOUT_A_LENGTH] = (200, None)  # RFC 9112 6.3: such a body ends where its connection does
    assert {name: outcome(answer) for name, answer in answers.items()} == expected
    if leave is stalls:
        assert time.monotonic() - began < STALL_SECONDS + 1.0
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("F35", "ATK-37")
def test_a_body_that_breaks_its_framing_breaks_off(house: House) -> None:
    """Behind a good chunk comes what is none: the browser sees that it does not have everything."""
    answers = told(house, {name: breaks_its_body(fault) for name, fault in BODY_FAULTS.items()})
    for name, answer in answers.items():
        status, part = outcome(answer)
        assert (status, (part or b"")[:5]) == (200, b"half."), name
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("F35", "ATK-37")
def test_a_head_that_breaks_its_framing_is_502(house: House) -> None:
    """Not a byte of it is passed on, and the connection serves nobody again."""
    answers = told(house, {name: says(raw, closes=True) for name, raw in FRAMING_FAULTS.items()})
    assert {name: status_of(answer) for name, answer in answers.items()} == dict.fromkeys(FRAMING_FAULTS, 502)
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("F35", "F41")
def test_the_two_implementations_differ_where_the_table_says_so(house: House) -> None:
    """Each response of the table is passed on, refused or broken off by the one as it says, and by the other too."""
    shown = {one.what: says(one.shown, closes=True) for one in DIFFERENCES if one.shown is not None}
    expected = {one.what: one.ours if house.ours else one.httpx for one in DIFFERENCES if one.what in shown}
    words = {(200, True): PASSED_ON, (200, False): BROKEN_OFF, (502, True): REFUSED}
    found = {name: outcome(answer) for name, answer in told(house, shown).items()}
    assert {name: words[status, part is None] for name, (status, part) in found.items()} == expected
    house.bob_is_undisturbed()
    house.nothing_is_left()
