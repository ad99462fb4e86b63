"""What the ledger's file does not take is kept and told again, and until then nobody is signed out by it (F4, F8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bff.errors import (
    AuthorizationServerUnavailable,
    RefreshRefused,
    SessionEnded,
    SessionStoreUnavailable,
    SessionSuperseded,
)
from bff.session import owed_writes, refresher
from bff.session.access_tokens import AccessTokens
from bff.session.endings import Reason
from bff.session.ledger import FileLedger
from bff.session.marks import mark_of_sid
from bff.session.model import Session
from bff.session.vault import Presented
from tests.bff.session.ledger_suite import DAY, SID, an_ending, successor
from tests.bff.session.session_house import House
from tests.bff.session.session_world import NOW, Process, TokenServer, until
from tests.world.clock import MovableClock
from tests.world.disk import full_disk, refusing

OpenLedger = Callable[[], FileLedger]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting takes no time of a test's."""
    monkeypatch.setattr(owed_writes, "TRY_AGAIN", 0.01)
    monkeypatch.setattr(refresher, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(refresher, "GRACE_SECONDS", 0.3)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Workers of one machine, with one file."""
    opened: list[FileLedger] = []

    def a_ledger(clock: MovableClock) -> FileLedger:
        opened.append(FileLedger(tmp_path / "ledger.sqlite", clock))
        return opened[-1]

    built = House(a_ledger)
    yield built
    await built.access.aclose()
    await built.process.vault.aclose()
    for ledger in opened:
        await ledger.aclose()


@pytest.fixture
def clock() -> MovableClock:
    """It stands at NOW."""
    return MovableClock(NOW)


@pytest.fixture
async def another(tmp_path: Path, clock: MovableClock) -> AsyncIterator[OpenLedger]:
    """Opens one more process's view of one file."""
    opened: list[FileLedger] = []

    def a_ledger() -> FileLedger:
        opened.append(FileLedger(tmp_path / "ledger.sqlite", clock))
        return opened[-1]

    yield a_ledger
    for ledger in opened:
        await ledger.aclose()


def file_of(process: Process) -> FileLedger:
    """The ledger of one worker, to fill its disk."""
    assert isinstance(process.ledger, FileLedger)
    return process.ledger


def doubted(house: House, session: Session) -> bool:
    """Whether the file itself says that the refresh token of this generation may be spent."""
    found = file_of(house.process)._one("SELECT 1 FROM uncertain WHERE sid = ?", mark_of_sid(session.sid))
    return found is not None


# The ledger alone.


@pytest.mark.req("F2", "F13")
async def test_an_ending_that_was_not_taken_is_written_as_soon_as_it_can_be(another: OpenLedger) -> None:
    """Nobody calls meanwhile; every other process hears of it, and a restart knows it."""
    ledger = another()
    with full_disk(ledger):
        with pytest.raises(SessionStoreUnavailable):
            await ledger.end(an_ending())
        await asyncio.sleep(0.03)
        assert not another().view.has_ended(SID)
    await until(lambda: another().view.has_ended(SID))
    await until(lambda: ledger.fresh)


@pytest.mark.req("F10")
async def test_who_owes_the_file_something_claims_nothing(another: OpenLedger, clock: MovableClock) -> None:
    """Not fresh; asked, it tries at once; and where that fails it is an outage, which is soon over."""
    ledger = another()
    with full_disk(ledger):
        with pytest.raises(SessionStoreUnavailable):
            await ledger.end(an_ending())
        assert not ledger.fresh
        for _ in range(2):
            with pytest.raises(SessionStoreUnavailable):
                await ledger.catch_up()
    clock.advance(1)
    await ledger.catch_up()
    await until(lambda: ledger.fresh)
    assert another().view.has_ended(SID)


@pytest.mark.req("F2", "F13")
async def test_what_is_owed_is_tried_once_more_at_the_end(another: OpenLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that leaves in good order leaves nothing behind that can be written."""
    monkeypatch.setattr(owed_writes, "TRY_AGAIN", 60.0)
    ledger = another()
    with full_disk(ledger), pytest.raises(SessionStoreUnavailable):
        await ledger.end(an_ending())
    await ledger.aclose()
    assert another().view.has_ended(SID)


@pytest.mark.req("F4", "F8")
async def test_a_flight_is_not_left_before_the_file_knows_what_it_brought(
    another: OpenLedger, clock: MovableClock
) -> None:
    """Neither an answer nor a doubt: while it owes them, nobody may take over what it sent."""
    ledger, other = another(), another()

    async def flown(generation: int, write: Awaitable[object]) -> None:
        assert await ledger.enter_flight(SID, generation, b"mine", NOW + DAY)
        assert await ledger.flight_sent(SID, generation, b"mine")
        with full_disk(ledger):
            for broken in (write, ledger.leave_flight(SID, generation, b"mine")):
                with pytest.raises(SessionStoreUnavailable):
                    await broken
        assert not await other.enter_flight(SID, generation, b"other", NOW + DAY)
        clock.advance(1)
        await ledger.leave_flight(SID, generation, b"mine")
        assert await other.enter_flight(SID, generation, b"other", NOW + DAY)

    await flown(1, ledger.keep_successor(SID, successor(1, 2), NOW + DAY))
    await flown(2, ledger.note_uncertain(SID, 2, NOW + DAY))
    assert await other.successor(SID, 1) == successor(1, 2)
    assert await other.is_uncertain(SID, 2)


# What that means for a session.


async def refreshing(house: House, presented: Presented | None = None) -> tuple[asyncio.Task[Session], asyncio.Event]:
    """A call whose refresh token was sent; and what lets its answer come."""
    answers = house.server.held = asyncio.Event()
    call = asyncio.create_task(house.call() if presented is None else house.access.fresh(presented))
    await until(lambda: house.server.calls)
    return call, answers


@pytest.mark.req("F4", "F10")
async def test_a_successor_that_was_not_taken_signs_nobody_out(house: House) -> None:
    """The answer under way carries it; whoever still holds the old cookie meets an outage, and then finds the way."""
    session = await house.sign_in()
    old = house.browser.jar()
    house.until_the_token_ends()
    presented = await house.present()
    call, answers = await refreshing(house, presented)
    with full_disk(file_of(house.process)):
        answers.set()
        await call
        assert house.answer(presented) == ["__Host-Http-bff"]
        for _ in range(3):
            house.clock.advance(7)
            with pytest.raises(SessionStoreUnavailable):
                await house.process.vault.find_session(old, bodiless=True)
    other = house.another()
    for process in (house.process, other):
        house.clock.advance(1)
        found = await process.vault.find_session(old, bodiless=True)
        assert (found.require().generation, found.require().sid) == (2, session.sid)
    assert house.server.calls == [session.tokens.refresh_token]


@pytest.mark.req("F4", "F3")
async def test_nobody_spends_again_what_a_successor_that_was_not_taken_was_bought_with(house: House) -> None:
    """Another worker waits for it, with the disk mended and the access token dead."""
    await house.sign_in()
    old = house.browser.jar()
    house.until_the_token_ends(left=-1)
    other = house.another()
    early = await other.vault.find_session(old)
    call, answers = await refreshing(house)
    with full_disk(file_of(house.process)):
        answers.set()
        with pytest.raises(SessionStoreUnavailable):
            await call
        slower = asyncio.create_task(other.tokens_from(house.server).fresh(early))
        await asyncio.sleep(0.05)
        assert not slower.done()
    house.clock.advance(1)
    assert (await slower).generation == 2
    assert (len(house.server.calls), house.server.reused) == (1, False)


@pytest.mark.req("F4", "F1")
async def test_after_an_outage_longer_than_a_flight_the_answer_is_told_before_anybody_sends_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is back for both at once, and the worker without the answer is the first to be called."""
    monkeypatch.setattr(owed_writes, "TRY_AGAIN", 0.05)
    await house.sign_in()
    house.until_the_token_ends(left=-1)
    other = house.another()
    early = await other.vault.find_session(house.browser.jar())
    call, answers = await refreshing(house)
    with full_disk(file_of(house.process)), full_disk(file_of(other)):
        answers.set()
        with pytest.raises(SessionStoreUnavailable):
            await call
        house.clock.advance(60)
    assert (await other.tokens_from(house.server).fresh(early)).generation == 2
    assert (len(house.server.calls), house.server.reused) == (1, False)


@pytest.mark.req("F4")
async def test_who_presents_a_generation_proves_that_it_exists(house: House) -> None:
    """Whoever made it was killed before the ledger took it, and the browser has it: the old one is older than that."""
    await house.sign_in()
    old = house.browser.jar()
    house.until_the_token_ends()
    call, answers = await refreshing(house)
    killed, other = house.process, house.another()
    with full_disk(file_of(killed)):
        answers.set()
        await call
        await other.vault.find_session(house.browser.jar())
        with pytest.raises(SessionSuperseded):
            (await other.vault.find_session(old)).require()


@pytest.mark.req("F8", "F1")
async def test_a_doubt_that_was_not_taken_is_no_permission_to_send_again(house: House) -> None:
    """Strict rotation, the answer lost, a disk that failed once: while the access token lives nobody sends it again."""
    session = await house.sign_in()
    house.until_the_token_ends(left=40)
    early = await house.present()
    other = house.another()
    late = await other.vault.find_session(house.browser.jar())
    call, answers = await refreshing(house, early)
    with refusing(file_of(house.process), "uncertain"):
        house.server.down = AuthorizationServerUnavailable("timeout")
        answers.set()
        assert (await call).generation == 1
    house.server.down = None
    elsewhere = asyncio.create_task(other.tokens_from(house.server).fresh(late))
    house.clock.advance(6.1)
    assert (await elsewhere).generation == 1
    assert len(house.server.calls) == 1
    await until(lambda: doubted(house, session))


@pytest.mark.req("F2", "F13")
async def test_a_sign_out_that_was_not_taken_is_an_outage_until_it_holds_everywhere(house: House) -> None:
    """Never a 200 for what a restart would forget: asked again, it is over in every worker."""
    session = await house.sign_in()
    jar = house.browser.jar()
    with full_disk(file_of(house.process)):
        with pytest.raises(SessionStoreUnavailable):
            await house.process.vault.end_session(session, Reason.SIGNED_OUT, jar)
        with pytest.raises(SessionStoreUnavailable):
            await house.present(jar)
    other = house.another()
    for process in (house.process, other):
        house.clock.advance(1)
        with pytest.raises(SessionEnded, match="signed_out"):
            (await process.vault.find_session(jar)).require()


# Flights that others took over, or wait for.


@pytest.mark.req("F8", "F3")
async def test_who_lost_the_flight_ends_no_session(house: House) -> None:
    """A refusal that comes after another took the flight over, whose answer is under way: that answer is waited for."""
    await house.sign_in()
    other = house.another()
    house.until_the_token_ends(left=-10)
    early = await other.vault.find_session(house.browser.jar())
    refusal = asyncio.Event()
    strict = TokenServer(house.clock, refuses=RefreshRefused(), held=refusal)
    slower = asyncio.create_task(AccessTokens(strict, other.vault, other.ledger, other.clock).fresh(early))
    await until(lambda: strict.calls)
    house.clock.advance(6.1)
    call, answers = await refreshing(house)
    refusal.set()
    await asyncio.sleep(0.05)
    answers.set()
    assert (await call).generation == 2
    assert (await slower).generation == 2


@pytest.mark.req("F3")
async def test_who_waits_for_a_flight_hears_of_its_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as this process learns of the new generation, however long it would be to the next look."""
    monkeypatch.setattr(refresher, "POLL_SECONDS", 30.0)
    await house.sign_in()
    other = house.another()
    house.until_the_token_ends(left=-10)
    early = await other.vault.find_session(house.browser.jar())
    call, answers = await refreshing(house)
    slower = asyncio.create_task(other.tokens_from(house.server).fresh(early))
    await asyncio.sleep(0.05)
    answers.set()
    await call
    await other.ledger.catch_up(at_once=True)  # as its other calls do
    async with asyncio.timeout(5):
        assert (await slower).generation == 2
