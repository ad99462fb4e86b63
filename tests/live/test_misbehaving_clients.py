"""Browsers that break HTTP, stall, or leave, over real sockets: each is told so, and nobody else ever notices.

Every test runs on both implementations of the upstream, against a whole BFF on its own server. Where the two differ,
``tests/world/upstream_differences.py`` says how, and why that is safe.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.world.clients import (
    CHUNKED,
    DEPARTURES,
    FRAMING_FAULTS,
    HOST,
    LAST,
    STALLS,
    Fault,
    Stop,
    echoed,
    read_all,
    resets,
    status_of,
)
from tests.world.peered_house import STALL_SECONDS, House, peered_house, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(30)]


@pytest.fixture(scope="module", params=["httptools", "httpx"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for each implementation of the upstream."""
    with peered_house(request.param, tmp_path_factory.mktemp(request.param)) as opened:
        yield opened


def seen_of(house: House, since: int) -> list[bytes]:
    """The targets of the whole requests that reached the upstream."""
    return [request.target for request in house.upstream.received[since:]]


@pytest.mark.req("F35", "F36", "ATK-31", "ATK-32", "ATK-35", "ATK-37", "ATK-38", "ATK-42")
@pytest.mark.parametrize("fault", FRAMING_FAULTS.values(), ids=FRAMING_FAULTS.keys())
def test_a_request_that_breaks_http_is_refused_and_disturbs_nobody(house: House, fault: Fault) -> None:
    """Each fault has the status that its rule names, never reaches the upstream whole, and poisons no connection."""
    before = len(house.upstream.received)
    for _ in range(3):
        assert status_of(house.mallory.says(fault.request(house.mallory))) == fault.status
        house.bob_is_undisturbed(1)
    assert set(seen_of(house, before)) == {b"/api/of-bob-0"}
    house.nothing_is_left()


@pytest.mark.req("F35", "F36", "BCP-18")
def test_trailers_cross_nothing(house: House) -> None:
    """A body with trailers is one body; its trailers are neither fields of this request nor of the next one."""
    head = house.mallory.head(b"POST /api/mine HTTP/1.1", CHUNKED + b"Trailer: Authorization\r\n" + LAST)
    evil = b"Authorization: Bearer evil\r\nCookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\n"
    mine = echoed(house.mallory.says(head + b"5\r\nhello\r\n0\r\n" + evil + b"\r\n"))
    assert (mine.token, mine.told["body"]) == ("token-of-mallory", "hello")
    assert "evil" not in str(mine.told)
    assert "6.6.6.6" not in str(mine.told)
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("F35", "ATK-37")
def test_pipelined_requests_are_each_their_own(house: House) -> None:
    """Three requests in one segment, one of them with a body, get three answers in their order."""
    mallory = house.mallory
    many = (
        mallory.head(b"GET /api/1 HTTP/1.1")
        + mallory.head(b"POST /api/2 HTTP/1.1", b"Content-Length: 5\r\n")
        + b"hello"
        + mallory.head(b"GET /api/3 HTTP/1.1", LAST)
    )
    answer = mallory.says(many)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    places = [answer.index(b'"target": "/api/%d"' % turn) for turn in (1, 2, 3)]
    assert places == sorted(places)
    assert answer.count(b'"body": "hello"') == 1
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("F35", "ATK-37")
def test_a_body_longer_than_declared_is_cut_at_its_length(house: House) -> None:
    """What follows the declared length is a next request, or none; here it is none, and never reaches anybody."""
    before = len(house.upstream.received)
    head = house.mallory.head(b"POST /api/mine HTTP/1.1", b"Content-Length: 5\r\n")
    answer = house.mallory.says(head + b"helloGET /api/stolen HTTP/1.1\r\nX-A: ")
    house.bob_is_undisturbed()
    assert b"/api/stolen" not in seen_of(house, before)
    assert {request.body for request in house.upstream.received[before:]} <= {b"hello", b""}
    assert status_of(answer) in {0, 200}
    house.nothing_is_left()


@pytest.mark.req("F35", "ATK-37")
@pytest.mark.parametrize("leave", [socket.socket.close, resets], ids=["close", "reset"])
def test_a_body_shorter_than_declared_is_never_completed(house: House, leave: Callable[[socket.socket], None]) -> None:
    """A browser that leaves in its body leaves no request behind which the next person's head could complete."""
    before = len(house.upstream.received)
    for _ in range(5):
        peer = house.mallory.connect()
        peer.sendall(house.mallory.head(b"POST /api/half HTTP/1.1", b"Content-Length: 5000\r\n") + b"half")
        leave(peer)
        house.bob_is_undisturbed(1)
    assert b"/api/half" not in seen_of(house, before)
    house.nothing_is_left()


@pytest.mark.req("F36")
def test_a_browser_that_expects_100_is_told_to_go_on(house: House) -> None:
    """The interim answer is ours to give, and Expect does not cross."""
    head = house.mallory.head(b"POST /api/mine HTTP/1.1", b"Expect: 100-continue\r\nContent-Length: 5\r\n" + LAST)
    with house.mallory.connect() as peer:
        peer.sendall(head)
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"hello")
        mine = echoed(read_all(peer))
    assert mine.told["body"] == "hello"
    assert "expect" not in [name for name, _ in mine.told["fields"]]
    house.nothing_is_left()


@pytest.mark.req("ATK-42", "F36")
@pytest.mark.parametrize("stall", STALLS.values(), ids=STALLS.keys())
def test_a_browser_that_stalls_is_given_up(house: House, stall: Stop) -> None:
    """Half a head, half a body and half a chunk are answered 408 in their time, and hold nothing afterwards.

    Their connections end with it, whatever a browser said about them (RFC 9110 15.5.9), and so do the upstream's.
    """
    before, began = len(house.upstream.received), time.monotonic()
    house.upstream.broken.clear()
    peers = [stall.begin(house.mallory) for _ in range(3)]
    house.bob_is_undisturbed()
    for peer in peers:
        with peer:
            assert status_of(read_all(peer)) == stall.status
    if not stall.ends_in_head:
        until(house.upstream.broken.is_set, "the upstream's connections", seconds=1.0)
    assert STALL_SECONDS * 0.9 < time.monotonic() - began < STALL_SECONDS + 1.0
    assert b"/api/stop" not in seen_of(house, before)
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("ATK-42")
@pytest.mark.parametrize("path", [b"/bff/callback", b"/bff/backchannel-logout"])
@pytest.mark.parametrize("fields", [b"Content-Length: 100\r\n", CHUNKED], ids=["length", "chunks"])
def test_a_form_that_stalls_is_given_up(house: House, path: bytes, fields: bytes) -> None:
    """Nobody need be signed in to send one of these: 408, and the connection ends."""
    kind, began = b"Content-Type: application/x-www-form-urlencoded\r\n", time.monotonic()
    with house.mallory.connect() as peer:
        peer.sendall(b"POST %b HTTP/1.1\r\n%b%b%b\r\n" % (path, HOST, kind, fields) + b"5\r\nstate")
        assert status_of(read_all(peer)) == 408
    assert time.monotonic() - began < STALL_SECONDS + 1.0
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("ATK-42", "C16")
def test_a_browser_that_reads_slowly_stops_the_upstream(house: House) -> None:
    """What it does not take is not piled up here: the upstream's own socket fills, and others are served meanwhile."""
    peer = house.mallory.connect(receives=4096)
    peer.sendall(house.mallory.head(b"GET /api/floods HTTP/1.1"))
    assert peer.recv(15) == b"HTTP/1.1 200 OK"
    seen = -1
    while seen != house.acting.flooded:
        seen = house.acting.flooded
        time.sleep(0.2)
    assert 0 < seen < 32 * 1024 * 1024
    house.bob_is_undisturbed()
    resets(peer)
    house.nothing_is_left()


@pytest.mark.req("C10", "F35", "ATK-42")
@pytest.mark.parametrize("leave", [socket.socket.close, resets], ids=["close", "reset"])
@pytest.mark.parametrize("departure", DEPARTURES.values(), ids=DEPARTURES.keys())
def test_a_browser_that_leaves_takes_everything_with_it(
    house: House, departure: Stop, leave: Callable[[socket.socket], None]
) -> None:
    """Wherever it leaves, its call, its tasks and its upstream connection are gone within a second or so.

    ``close`` with unread bytes is a reset as well; without them it is a FIN, which uvicorn takes for a departure.
    """
    peers = [departure.begin(house.mallory) for _ in range(3)]
    if departure.status == 200:
        for peer in peers:
            assert peer.recv(15) == b"HTTP/1.1 200 OK"
    else:
        time.sleep(0.05)
    for peer in peers:
        leave(peer)
    house.bob_is_undisturbed()
    house.nothing_is_left()


@pytest.mark.req("F35", "F39")
def test_good_calls_share_a_connection_with_ours_and_none_with_httpx(house: House) -> None:
    """Row KEPT of the table of differences: httpcore would read one person's surplus as another's answer.

    So with httpx each call has a connection of its own, while ours are used again, refusals in between or not.
    """
    house.bob_is_undisturbed(1)
    before = house.upstream.connections
    for _ in range(5):
        house.bob_is_undisturbed(1)
        house.mallory.says(FRAMING_FAULTS["CL and TE"].request(house.mallory))
    assert house.upstream.connections - before == (0 if house.ours else 5)


@pytest.mark.req("ATK-42")
def test_fifty_browsers_that_misbehave_at_once_leave_nothing(house: House) -> None:
    """Faults, stalls and departures, all together and in any order, and others are served all the while."""
    stopped = [stop.begin(house.mallory) for stop in DEPARTURES.values() for _ in range(4)]
    for fault in list(FRAMING_FAULTS.values())[::4]:
        with house.mallory.connect() as peer, suppress(ConnectionError):
            peer.sendall(fault.request(house.mallory))
            resets(peer)
    house.bob_is_undisturbed(5)
    for peer in stopped:
        resets(peer)
    house.bob_is_undisturbed(5)
    house.nothing_is_left()
