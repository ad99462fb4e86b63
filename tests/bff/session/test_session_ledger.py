from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.endings import Ending, EndingsView, Reason
from bff.session.ledger import FileLedger, Ledger, MemoryLedger, open_ledger
from bff.session.marks import Marks, mark_of_login, mark_of_sid, tag
from bff.session.successor import Successor
from tests.bff.session.session_world import ISSUER, NOW, a_session, tokens
from tests.world.clock import MovableClock

SID, LOGIN = mark_of_sid("sid"), mark_of_login("state")
DAY = 86_400.0


@pytest.fixture
def clock() -> MovableClock:
    """It stands at NOW."""
    return MovableClock(NOW)


@pytest.fixture(params=["memory", "file"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Ledger]:
    """Each of the two, in turn."""
    setting = "memory" if request.param == "memory" else f"file:{tmp_path / 'ledger.sqlite'}"
    opened = open_ledger(setting, clock)
    yield opened
    await opened.aclose()


def successor(generation: int, newest: int, text: bytes = b"sealed") -> Successor:
    """An entry; what is sealed in it matters to nobody here."""
    return Successor(generation=generation, newest=newest, sealed=text)


def an_ending(mark: bytes = SID, *, reason: Reason = Reason.SIGNED_OUT, until: float = NOW + DAY) -> Ending:
    """The end of one session."""
    return Ending(mark=mark, reason=reason, at=NOW, until=until)


# The suite that every ledger runs.


@pytest.mark.req("F2", "F11")
async def test_an_ending_is_seen_at_once_and_its_first_reason_stands(ledger: Ledger) -> None:
    """Own writes are in the view when the call returns."""
    session = a_session(sid="sid")
    assert ledger.view.ended(Marks.of(session), NOW) is None
    await ledger.end(Ending.of_session(session, Reason.SIGNED_OUT, at=NOW))
    await ledger.end(Ending.of_session(session, Reason.IDLE, at=NOW))
    found = ledger.view.ended(Marks.of(session), NOW)
    assert found is not None
    assert found.reason is Reason.SIGNED_OUT


@pytest.mark.req("F11")
async def test_the_authorization_servers_sid_ends_whatever_began_in_it(ledger: Ledger) -> None:
    """Also sessions that nobody has kept yet, and none of another issuer."""
    await ledger.end(Ending.of_authority_sid(ISSUER, "as", Reason.BACKCHANNEL, at=NOW, until=NOW + DAY))
    hit, miss = a_session(authority_sid="as"), a_session(authority_sid="as", issuer="https://other.example")
    assert ledger.view.ended(Marks.of(hit), NOW) is not None
    assert ledger.view.ended(Marks.of(miss), NOW) is None
    assert ledger.view.ended(Marks.of(a_session(authority_sid=None)), NOW) is None


@pytest.mark.req("F11")
async def test_a_subject_is_signed_out_up_to_an_instant(ledger: Ledger) -> None:
    """Sessions whose ID token is older end, a later sign-in lives; the latest instant counts."""
    marks = Marks.of(a_session())
    for before in (NOW - 100, NOW, NOW - 50):
        ending = Ending.of_subject(ISSUER, "alice", Reason.BACKCHANNEL, before=before, at=NOW, until=NOW + DAY)
        await ledger.end(ending)
    assert ledger.view.ended(marks, NOW) is not None
    assert ledger.view.ended(marks, NOW + 1) is None


@pytest.mark.req("F18")
async def test_a_login_is_spent_once(ledger: Ledger, clock: MovableClock) -> None:
    """Until it is given back, or its ten minutes are over."""
    assert await ledger.spend_login(LOGIN, NOW + 600) is True
    assert await ledger.spend_login(LOGIN, NOW + 600) is False
    await ledger.release_login(LOGIN)
    assert await ledger.spend_login(LOGIN, NOW + 600) is True
    assert await ledger.spend_login(mark_of_login("other"), NOW + 600) is True
    clock.advance(700)
    assert await ledger.spend_login(LOGIN, clock.now() + 600) is True


@pytest.mark.req("F18")
async def test_a_landing_belongs_to_a_spent_login(ledger: Ledger, clock: MovableClock) -> None:
    """Nobody lands where nobody signed in; and not for ever."""
    await ledger.keep_landing(LOGIN, b"nowhere")
    assert await ledger.landing(LOGIN) is None
    await ledger.spend_login(LOGIN, NOW + 600)
    assert await ledger.landing(LOGIN) is None
    await ledger.keep_landing(LOGIN, b"there")
    assert await ledger.landing(LOGIN) == b"there"
    clock.advance(601)
    assert await ledger.landing(LOGIN) is None


@pytest.mark.req("F4")
async def test_a_successor_is_written_once(ledger: Ledger) -> None:
    """Whoever comes second learns it, and what stands does not change."""
    assert ledger.view.newest_generation(SID) == 0
    assert await ledger.keep_successor(SID, successor(1, 2, b"first"), NOW + DAY) is True
    assert await ledger.keep_successor(SID, successor(1, 2, b"second"), NOW + DAY) is False
    assert await ledger.successor(SID, 1) == successor(1, 2, b"first")
    assert ledger.view.newest_generation(SID) == 2
    assert await ledger.successor(mark_of_sid("other"), 1) is None
    assert await ledger.successor(SID, 2) is None


@pytest.mark.req("F4")
async def test_a_path_is_shortened_forward_only_and_never_created(ledger: Ledger) -> None:
    """An entry moves to newer generations; a missing one stays missing."""
    await ledger.keep_successor(SID, successor(1, 2), NOW + DAY)
    await ledger.shorten_path(SID, successor(1, 4, b"four"))
    await ledger.shorten_path(SID, successor(1, 3, b"three"))
    await ledger.shorten_path(SID, successor(3, 4))
    assert await ledger.successor(SID, 1) == successor(1, 4, b"four")
    assert await ledger.successor(SID, 3) is None


@pytest.mark.req("F4")
async def test_acknowledging_a_generation_lets_older_ones_lapse(ledger: Ledger, clock: MovableClock) -> None:
    """Sixty seconds, counted from the first time, and only for older generations of this session."""
    other = mark_of_sid("other")
    for sid in (SID, other):
        await ledger.keep_successor(sid, successor(1, 2), NOW + DAY)
    await ledger.keep_successor(SID, successor(2, 3), NOW + DAY)
    await ledger.acknowledge(SID, 2, NOW + 60)
    await ledger.acknowledge(SID, 2, NOW + 500)
    clock.advance(59)
    assert await ledger.successor(SID, 1) is not None
    clock.advance(2)
    assert await ledger.successor(SID, 1) is None
    assert await ledger.successor(SID, 2) is not None
    assert await ledger.successor(other, 1) is not None


def test_a_view_forgets_what_no_session_can_need() -> None:
    """Endings, instants and generations go when the last session they could touch is over."""
    view = EndingsView()
    view.learn(an_ending(until=NOW + 10))
    view.learn(Ending(mark=b"s", reason=Reason.ADMIN, at=NOW, until=NOW + 10, before=NOW))
    view.learn_generation(SID, 3, NOW + 10)
    view.learn_generation(SID, 2, NOW + 99)
    assert (view.newest_generation(SID), len(view)) == (3, 3)
    view.trim(NOW + 9)
    assert len(view) == 3
    view.trim(NOW + 10)
    assert len(view) == 0


# What only the file promises.


def a_file(tmp_path: Path, clock: MovableClock | None = None) -> FileLedger:
    """A ledger in the file of this test."""
    return FileLedger(tmp_path / "ledger.sqlite", clock or MovableClock(NOW))


@pytest.mark.req("F13")
async def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    """Endings, generations, successors and landings are there again, and the instance is the same."""
    first = a_file(tmp_path)
    await first.end(an_ending(mark_of_sid("dead")))
    await first.keep_successor(SID, successor(1, 2), NOW + DAY)
    await first.spend_login(LOGIN, NOW + 600)
    await first.keep_landing(LOGIN, b"there")
    await first.aclose()
    again = a_file(tmp_path)
    assert again.view.ended(Marks.of(a_session(sid="dead")), NOW) is not None
    assert again.view.newest_generation(SID) == 2
    assert await again.successor(SID, 1) == successor(1, 2)
    assert await again.landing(LOGIN) == b"there"
    assert await again.spend_login(LOGIN, NOW + 600) is False
    assert again.instance == first.instance
    await again.aclose()


@pytest.mark.req("F13", "F10")
async def test_two_processes_on_one_file_know_of_each_other_within_a_quarter_second(tmp_path: Path) -> None:
    """A warm call asks memory only; after 250 ms the file is read again."""
    clock = MovableClock(NOW)
    one, two = a_file(tmp_path, clock), a_file(tmp_path, clock)
    dead = Marks.of(a_session(sid="sid"))
    await one.end(an_ending())
    await one.keep_successor(mark_of_sid("alive"), successor(1, 2), NOW + DAY)
    await two.catch_up()
    assert two.view.ended(dead, NOW) is None
    clock.advance(0.26)
    await two.catch_up()
    assert two.view.ended(dead, NOW) is not None
    assert two.view.newest_generation(mark_of_sid("alive")) == 2
    assert await two.keep_successor(mark_of_sid("alive"), successor(1, 2, b"mine"), NOW + DAY) is False
    await one.aclose()
    await two.aclose()


@pytest.mark.req("F2")
async def test_who_asks_at_once_does_not_wait_for_a_quarter_second(tmp_path: Path) -> None:
    """Before and after a token call the file is asked, however fresh the view is."""
    clock = MovableClock(NOW)
    one, two = a_file(tmp_path, clock), a_file(tmp_path, clock)
    await one.end(an_ending())
    await two.catch_up(at_once=True)
    assert two.view.ended(Marks.of(a_session(sid="sid")), NOW) is not None
    await one.aclose()
    await two.aclose()


def _spend(path: str, start: Callable[[], None], results: multiprocessing.SimpleQueue[int]) -> None:
    import asyncio

    async def run() -> int:
        start()
        ledger = FileLedger(Path(path), MovableClock(NOW))
        wins = sum([await ledger.spend_login(mark_of_login(str(number)), NOW + 600) for number in range(50)])
        await ledger.aclose()
        return wins

    results.put(asyncio.run(run()))


@pytest.mark.req("F13", "F18")
def test_real_processes_share_one_file(tmp_path: Path) -> None:
    """Four workers open a new file in one moment: each login is spent by exactly one of them, and none fails."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.SimpleQueue()
    workers = [
        context.Process(target=_spend, args=(str(tmp_path / "ledger.sqlite"), barrier.wait, results)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert sum(results.get() for _ in workers) == 50


@pytest.mark.req("F10")
async def test_a_view_that_cannot_be_read_again_is_trusted_for_a_second(tmp_path: Path) -> None:
    """Then nobody may claim that a session is alive: it is an outage."""
    clock = MovableClock(NOW)
    ledger = a_file(tmp_path, clock)
    ledger._reading.close()
    clock.advance(0.5)
    await ledger.catch_up()
    clock.advance(0.6)
    with pytest.raises(SessionStoreUnavailable):
        await ledger.catch_up()
    with pytest.raises(SessionStoreUnavailable):
        await ledger.successor(SID, 1)
    ledger._writer.shutdown()
    ledger._writing.close()


@pytest.mark.req("F2", "F13")
async def test_an_ending_that_cannot_be_written_still_holds_here(tmp_path: Path) -> None:
    """The write fails loudly, and the session is dead in this process all the same."""
    ledger = a_file(tmp_path)
    ledger._writing.close()
    with pytest.raises(SessionStoreUnavailable):
        await ledger.end(an_ending())
    assert ledger.view.ended(Marks.of(a_session(sid="sid")), NOW) is not None
    await ledger.aclose()
    with pytest.raises(SessionStoreUnavailable):
        await ledger.end(an_ending())


@pytest.mark.req("F4")
async def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """The successor and the news of it become durable together."""
    ledger = a_file(tmp_path)
    ledger._writing.execute("DROP TABLE events")
    with pytest.raises(SessionStoreUnavailable):
        await ledger.keep_successor(SID, successor(1, 2), NOW + DAY)
    assert await ledger.successor(SID, 1) is None
    assert ledger.view.newest_generation(SID) == 0
    await ledger.aclose()


@pytest.mark.req("F13")
async def test_what_no_session_can_need_leaves_the_file(tmp_path: Path) -> None:
    """The file is trimmed by absolute ends while it is written."""
    clock = MovableClock(NOW)
    ledger = a_file(tmp_path, clock)
    await ledger.end(an_ending(until=NOW + 100))
    await ledger.keep_successor(SID, successor(1, 2), NOW + 100)
    await ledger.spend_login(LOGIN, NOW + 100)
    clock.advance(200)
    await ledger.end(an_ending(mark_of_sid("late"), until=clock.now() + 100))
    await ledger.aclose()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        statements = ("SELECT * FROM events", "SELECT * FROM successors", "SELECT * FROM logins")
        counts = [len(file.execute(statement).fetchall()) for statement in statements]
    file.close()
    assert counts == [1, 0, 0]


def _files(folder: Path) -> tuple[bytes, set[int]]:
    """All that lies there, and what others than the owner may do with it."""
    paths = list(folder.iterdir())
    return b"".join(path.read_bytes() for path in paths), {path.stat().st_mode & 0o077 for path in paths}


@pytest.mark.req("F13")
async def test_the_file_tells_nothing_of_a_session(tmp_path: Path) -> None:
    """Neither sid nor subject nor token lies in it, and nobody else may read it."""
    session = a_session(sid="the-sid-itself", subject="alice-herself", tokens=tokens(refresh_token="the-refresh-token"))
    ledger = a_file(tmp_path)
    await ledger.end(Ending.of_session(session, Reason.SIGNED_OUT, at=NOW))
    await ledger.keep_successor(SID, Successor.of(session, newest=2, value=b"the-cookie"), NOW + DAY)
    stored, modes = _files(tmp_path)
    await ledger.aclose()
    assert modes == {0}
    for secret in (b"the-sid-itself", b"alice-herself", b"the-refresh-token", b"the-cookie"):
        assert secret not in stored


def test_a_file_that_others_may_read_stops_the_start(tmp_path: Path) -> None:
    """It is the owner's alone, or it is not used."""
    (tmp_path / "ledger.sqlite").touch(0o644)
    (tmp_path / "ledger.sqlite").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        a_file(tmp_path)


@pytest.mark.parametrize("content", [b"not a database, but longer than its header would be" * 9])
def test_a_file_that_is_no_ledger_stops_the_start(tmp_path: Path, content: bytes) -> None:
    """Nothing foreign is overwritten."""
    path = tmp_path / "ledger.sqlite"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        a_file(tmp_path)
    assert path.read_bytes() == content


async def test_a_ledger_of_another_version_stops_the_start(tmp_path: Path) -> None:
    """A newer program's file is not read with older eyes."""
    await a_file(tmp_path).aclose()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        file.execute("PRAGMA user_version = 2")
    file.close()
    with pytest.raises(ConfigurationError, match="version 2"):
        a_file(tmp_path)


def test_a_missing_folder_stops_the_start(tmp_path: Path) -> None:
    """The path is named, with the setting."""
    with pytest.raises(ConfigurationError, match=r"session\.ledger"):
        FileLedger(tmp_path / "missing" / "ledger.sqlite", MovableClock(NOW))


@pytest.mark.parametrize("setting", ["", "file:", "redis", "file", "memory:", "sqlite:x"])
def test_only_known_ledgers_open(setting: str) -> None:
    """A word that names none is refused with the cure."""
    with pytest.raises(ConfigurationError, match="Cure"):
        open_ledger(setting, MovableClock(NOW))


def test_memory_is_not_durable_and_a_file_is(tmp_path: Path) -> None:
    """What a mode cannot promise, it says."""
    assert MemoryLedger(MovableClock(NOW)).durable is False
    assert FileLedger.durable is True


@pytest.mark.req("F19", "F32")
def test_a_tag_tells_nothing_and_counts_for_one_purpose() -> None:
    """It is the same everywhere and for ever, differs by purpose, and does not hold the sid."""
    assert tag("sid-of-alice", "idle") == tag("sid-of-alice", "idle")
    assert len({tag("sid-of-alice", purpose) for purpose in ("idle", "ended", "logout", "page")}) == 4
    assert "sid" not in tag("sid-of-alice", "page")


def test_a_session_without_a_refresh_token_has_no_successor() -> None:
    """Nothing is sealed under a secret that anybody could guess."""
    session = a_session(tokens=tokens(refresh_token=None))
    with pytest.raises(ValueError, match="refresh token"):
        Successor.of(session, newest=2, value=b"x")
    assert successor(1, 2).value_for(session) is None


@pytest.mark.req("F4")
def test_an_entry_leads_on_from_its_own_generation_only() -> None:
    """A server that does not rotate gives two generations one refresh token; their entries still cannot be swapped."""
    first = a_session()
    entry = Successor.of(first, newest=2, value=b"the-cookie")
    assert entry.value_for(first) == b"the-cookie"
    assert entry.value_for(replace(first, generation=2)) is None
    assert entry.value_for(replace(first, sid="another")) is None
