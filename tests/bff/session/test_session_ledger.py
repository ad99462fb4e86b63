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
from tests.bff.session.ledger_suite import DAY, LOGIN, SID, LedgerSuite, an_ending, successor
from tests.bff.session.session_world import NOW, a_session, tokens
from tests.world.clock import MovableClock


class TestMemoryLedger(LedgerSuite):
    """The suite, in memory."""

    @pytest.fixture
    def ledger(self, clock: MovableClock) -> Ledger:
        """An empty one."""
        return open_ledger("memory", clock)


class TestFileLedger(LedgerSuite):
    """The suite, in a file."""

    @pytest.fixture
    async def ledger(self, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Ledger]:
        """A new file."""
        opened = open_ledger(f"file:{tmp_path / 'ledger.sqlite'}", clock)
        yield opened
        await opened.aclose()


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


@pytest.mark.req("F3", "F8")
async def test_a_flight_outlives_its_process(tmp_path: Path) -> None:
    """Killed after it sent: the same six seconds for whoever comes after the restart, and the doubt stands."""
    clock = MovableClock(NOW)
    killed = a_file(tmp_path, clock)
    await killed.enter_flight(SID, 1, b"killed", NOW + DAY)
    await killed.flight_sent(SID, 1, b"killed")
    await killed.aclose()
    again = a_file(tmp_path, clock)
    assert await again.enter_flight(SID, 1, b"again", NOW + DAY) is False
    clock.advance(6)
    assert await again.enter_flight(SID, 1, b"again", NOW + DAY) is True
    assert await again.is_uncertain(SID, 1) is True
    await again.aclose()


@pytest.mark.req("F3")
async def test_a_flight_from_before_the_machines_last_start_has_lapsed(tmp_path: Path) -> None:
    """Monotonic time begins anew with the machine, and nobody is left who could hold it."""
    before, after = MovableClock(NOW), MovableClock(NOW + 60)
    before._monotonic = 500_000.0
    killed = a_file(tmp_path, before)
    await killed.enter_flight(SID, 1, b"killed", NOW + DAY)
    await killed.flight_sent(SID, 1, b"killed")
    await killed.aclose()
    again = a_file(tmp_path, after)
    assert await again.enter_flight(SID, 1, b"again", NOW + DAY) is True
    assert await again.is_uncertain(SID, 1) is True
    await again.aclose()


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
