"""What a process tells its ledger again: what failed until it is taken, what was taken while it may get lost."""

from __future__ import annotations

import pytest
from structlog.testing import CapturingLogger

from bff.session import own_writes
from bff.session.own_writes import KEPT_SECONDS, OwnWrites
from tests.bff.session.session_world import NOW
from tests.world.clock import MovableClock

pytestmark = pytest.mark.req("F12")


class Store:
    """What a ledger heard, in order; it may be away."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.away = False

    async def take(self, word: str) -> None:
        """Hear it, or not."""
        if self.away:
            raise OSError
        self.heard.append(word)


@pytest.fixture
def clock() -> MovableClock:
    """It stands at NOW."""
    return MovableClock(NOW)


@pytest.fixture
def store() -> Store:
    """It answers."""
    return Store()


@pytest.fixture
def own(clock: MovableClock) -> OwnWrites:
    """Nothing was written yet."""
    return OwnWrites(clock)


async def say(own: OwnWrites, store: Store, word: str, *, until: float = NOW + 3600, ending: bool = False) -> None:
    """One write, whose name is its word."""
    try:
        with own.noted(lambda: store.take(word), until=until, name=word, ending=ending):
            await store.take(word)
    except OSError:
        pass


async def test_what_failed_is_told_until_it_is_taken_endings_first(own: OwnWrites, store: Store) -> None:
    """Once; and nothing is owed any more."""
    store.away = True
    await say(own, store, "successor")
    await say(own, store, "ending", ending=True)
    with pytest.raises(OSError):  # noqa: PT011 — the store's own
        await own.tell_again()
    assert own.unconfirmed
    store.away = False
    await own.tell_again()
    assert (store.heard, own.unconfirmed) == (["ending", "successor"], False)


async def test_an_ending_that_was_not_taken_is_never_dropped_but_when_it_is_needless(
    store: Store, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, and however much else; after its session's absolute end nobody needs it."""
    monkeypatch.setattr(own_writes, "MOST", 3)
    own = OwnWrites(clock)
    store.away = True
    for number in range(10):
        await say(own, store, f"ending {number}", until=NOW + 100 * (1 + number % 2), ending=True)
    for number in range(10):
        await say(own, store, f"other {number}")
    store.away = False
    clock.advance(100)
    await own.tell_again()
    assert [word for word in store.heard if word.startswith("ending")] == [f"ending {n}" for n in (1, 3, 5, 7, 9)]


async def test_what_is_dropped_is_said(
    clock: MovableClock, store: Store, log: CapturingLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first; the log tells at once, and then ever more rarely."""
    monkeypatch.setattr(own_writes, "MOST", 3)
    own = OwnWrites(clock)
    store.away = True
    for number in range(12):
        await say(own, store, str(number))
    store.away = False
    await own.tell_again()
    assert store.heard == ["9", "10", "11"]
    assert [(call.args[0], call.kwargs["dropped"]) for call in log.calls] == [
        ("own_writes_dropped", number) for number in (1, 2, 4, 8)
    ]


async def test_what_was_taken_is_told_again_for_a_minute(own: OwnWrites, store: Store, clock: MovableClock) -> None:
    """A store may have lost it; and one that still fails keeps no other from being forgotten."""
    store.away = True
    await say(own, store, "failed")
    store.away = False
    await say(own, store, "early")
    clock.advance(KEPT_SECONDS - 1)
    await say(own, store, "late", until=clock.now() + 0.5)
    await say(own, store, "later")
    store.heard.clear()
    clock.advance(2)
    await own.tell_again()
    assert store.heard == ["failed", "later"]


async def test_a_disk_is_told_once(clock: MovableClock, store: Store) -> None:
    """It loses nothing that it took, so nothing is kept for it but what failed."""
    own = OwnWrites(clock, kept_seconds=0.0)
    await say(own, store, "taken")
    store.away = True
    await say(own, store, "failed")
    store.away = False
    await own.tell_again()
    await own.tell_again()
    assert store.heard == ["taken", "failed"]


async def test_a_write_that_succeeds_at_last_is_owed_no_more(own: OwnWrites, store: Store) -> None:
    """Whoever asked for it asked again; and what was taken back is told by nobody."""
    store.away = True
    await say(own, store, "once")
    await say(own, store, "login")
    store.away = False
    await say(own, store, "once")
    own.forget("login")
    assert not own.unconfirmed
