from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from bff.errors import NoSession, SessionEnded, SessionStoreUnavailable, SessionTooLarge
from bff.session.cookies import Jar
from bff.session.endings import Ending, Reason
from bff.session.key_ring import Key, KeyRing
from bff.session.ledger import FileLedger
from bff.session.marks import Marks
from bff.session.model import Session
from bff.session.opened import OpenedSession, OpenedSessions
from bff.session.vault import CookieBudget, Lifetimes, SessionVault
from tests.bff.session.session_world import (
    ISSUER,
    NOW,
    Browser,
    Process,
    a_process,
    a_session,
    a_transaction,
    jwt,
    said,
    settle,
    tokens,
    words,
)
from tests.world.clock import MovableClock


async def signed_in(process: Process, browser: Browser, **overrides: object) -> Session:
    """A session that this browser was given at a callback, where no Strict cookie arrives."""
    session = a_session(**overrides)
    browser.take(await process.vault.keep_session(session, browser.jar(from_another_site=True)))
    return session


async def found(process: Process, browser: Browser) -> Session:
    """The session that this browser has."""
    return (await process.vault.find_session(browser.jar())).require()


async def reason(process: Process, browser: Browser) -> str:
    """Why it has none any more."""
    with pytest.raises(SessionEnded) as ended:
        await found(process, browser)
    return ended.value.reason


def test_the_cookie_vault_keeps_every_promise_of_a_vault() -> None:
    """The protocol and the class have one shape."""
    vault: SessionVault = a_process().vault
    assert vault.lifetimes == Lifetimes(idle=1800, absolute=43200)


@pytest.mark.req("BBA-9")
@pytest.mark.parametrize(("size", "cookies"), [(40, 1), (3500, 2)])
async def test_a_session_that_was_kept_is_found(size: int, cookies: int) -> None:
    """In one cookie or in two, warm or by another process with the same keys."""
    ring = KeyRing.generate()
    process, browser = a_process(ring=ring), Browser()
    session = await signed_in(process, browser, tokens=tokens(refresh_token=words(size)))
    for asked in (process, process, a_process(ring=ring)):
        presented = await asked.vault.find_session(browser.jar())
        assert presented.require() == session
        assert presented.presented_generation == 1
    assert len(browser.kept) == cookies + 1


@pytest.mark.req("ATK-2", "CK-3", "ATK-12", "F21")
@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{n}=",
        b"{n}=known-id",
        b"{n}={v}; {n}={v}",
        b"{n}={v}; {n}.1=a; {n}.1=b",
        b"{n}={v}; {n}-out=a; {n}-out=b",
    ],
)
async def test_what_is_no_session_is_refused_and_kept(line: bytes) -> None:
    """Absent, offered, tossed or repeated: nobody is signed in, and no cookie is touched, since it may be another's."""
    process, browser = a_process(), Browser()
    await signed_in(process, browser)
    cookie = browser.kept[process.vault.policy.session]
    line = line.replace(b"{n}", cookie.name.encode()).replace(b"{v}", cookie.value)
    presented = await process.vault.find_session(Jar.read([(b"cookie", line)]))
    with pytest.raises(NoSession):
        presented.require()
    assert process.vault.cookies_due(presented, slides=True) == []


@pytest.mark.req("ATK-14", "B4")
async def test_chunks_of_two_sessions_never_mix() -> None:
    """A set that does not open is no session; surplus chunks do not matter and go with the next write."""
    process, alice, bob = a_process(), Browser(), Browser()
    for browser in (alice, bob):
        await signed_in(process, browser, tokens=tokens(refresh_token=words(3500)))
    second = process.vault.policy.chunk(1)
    mixed = Browser()
    mixed.kept = {**alice.kept, second: bob.kept[second]}
    with pytest.raises(NoSession):
        await found(process, mixed)
    alice.take([process.vault.policy.cookie(process.vault.policy.chunk(2), bob.kept[second].value)])
    await found(process, alice)
    await signed_in(process, alice)
    assert [name for name in alice.kept if "." in name] == []


@pytest.mark.req("ATK-14")
async def test_the_number_of_chunks_is_sealed_too() -> None:
    """A value that claims another number of cookies than it was cut into does not count."""
    process = a_process()
    opened = process.vault._sessions.seal(a_session())
    lying = process.vault._sessions._sealer.seal(b"\x02" + b"not the point")
    assert process.vault._sessions.opened(Jar({process.vault.policy.session: lying})) is None
    opened.chunks = 2
    assert process.vault._sessions.opened(Jar({process.vault.policy.session: opened.value})) is None


@pytest.mark.req("F21", "B4")
@pytest.mark.parametrize(("total", "fits", "cookies"), [(4096, 1500, 1), (7 * 1024, 4000, 2), (20_480, 14_000, 4)])
async def test_a_session_over_the_budget_is_refused_with_its_largest_parts(total: int, fits: int, cookies: int) -> None:
    """Never cut short, never more cookies than there is room for; who must make it smaller reads what is large."""
    process = a_process(budget=CookieBudget(total=total))
    kept = await process.vault.keep_session(a_session(tokens=tokens(refresh_token=words(fits))), Jar({}))
    weights = [len(cookie.name) + 1 + len(cookie.value) for cookie in kept if cookie.max_age != 0]
    assert len(weights) == cookies + 1
    assert sum(weights) <= total
    with pytest.raises(SessionTooLarge):
        await process.vault.keep_session(a_session(tokens=tokens(refresh_token=words(fits * 3 // 2))), Jar({}))
    groups = {"groups": [words(30) for _ in range(total // 20)], "name": "Alice"}
    with pytest.raises(SessionTooLarge, match=r"claims\.groups \d+ bytes"):
        await process.vault.keep_session(a_session(claims=groups), Jar({}))


@pytest.mark.req("F22", "ATK-15")
async def test_another_application_cannot_open_our_cookie() -> None:
    """Client and origin belong to the key, though the ring be shared."""
    ring, browser = KeyRing.generate(), Browser()
    await signed_in(a_process(ring=ring), browser)
    with pytest.raises(NoSession):
        await found(a_process(ring=ring, client_id="other"), browser)
    with pytest.raises(NoSession):
        await found(a_process(ring=ring, public_url="https://other.example"), browser)


# Lifetimes and the idle stamp (rule F19).


@pytest.mark.req("B8")
async def test_an_idle_session_ends_and_an_active_one_does_not() -> None:
    """Activity is stamped at most once a minute, and half an hour without any is the end."""
    process, browser = a_process(), Browser()
    await signed_in(process, browser)
    for _ in range(5):
        process.clock.advance(1700)
        presented = await process.vault.find_session(browser.jar())
        assert presented.refusal is None
        assert browser.take(process.vault.cookies_due(presented, slides=True)) == ["__Host-Http-bff-idle"]
        again = await process.vault.find_session(browser.jar())
        assert process.vault.cookies_due(again, slides=True) == []
        assert process.vault.idle_end(again) == process.clock.now() + 1800
    process.clock.advance(1801)
    assert await reason(process, browser) == "idle"


@pytest.mark.req("F19", "B8")
@pytest.mark.parametrize("idle", [8.0, 20.0, 60.0, 90.0])
async def test_a_short_idle_time_slides_with_activity_too(idle: float) -> None:
    """Whoever acts three times in an idle time stays, however short it is; whoever stops for as long is out."""
    process, browser = a_process(lifetimes=Lifetimes(idle=idle)), Browser()
    await signed_in(process, browser)
    for _ in range(12):
        process.clock.advance(idle / 3)
        presented = await process.vault.find_session(browser.jar())
        assert presented.refusal is None
        browser.take(process.vault.cookies_due(presented, slides=True))
    process.clock.advance(idle + 1)
    assert await reason(process, browser) == "idle"


@pytest.mark.req("F19", "B8")
async def test_a_request_that_does_not_slide_keeps_nobody_alive() -> None:
    """A poll sees the session and leaves it as idle as it was."""
    process, browser = a_process(), Browser()
    await signed_in(process, browser)
    for _ in range(3):
        process.clock.advance(590)
        assert process.vault.cookies_due(await process.vault.find_session(browser.jar()), slides=False) == []
    process.clock.advance(40)
    assert await reason(process, browser) == "idle"


@pytest.mark.req("B8")
async def test_no_activity_outlives_the_absolute_end() -> None:
    """Twelve hours after the sign-in it is over, and the page is told when that will be."""
    process, browser = a_process(), Browser()
    session = await signed_in(process, browser)
    while process.clock.now() < session.absolute_end - 1000:
        process.clock.advance(1000)
        browser.take(process.vault.cookies_due(await process.vault.find_session(browser.jar()), slides=True))
    presented = await process.vault.find_session(browser.jar())
    assert process.vault.idle_end(presented) == session.absolute_end
    process.clock.advance(1000)
    assert await reason(process, browser) == "absolute"


@pytest.mark.req("B9")
async def test_the_authorization_servers_ceiling_has_a_reason_of_its_own() -> None:
    """``session_expiry`` ends a session earlier than we would."""
    process, browser = a_process(), Browser()
    claims = {"sub": "alice", "session_expiry": int(NOW + 600)}
    await signed_in(process, browser, claims=claims, absolute_end=NOW + 600)
    process.clock.advance(600)
    assert await reason(process, browser) == "session_expiry"


@pytest.mark.req("F19")
@pytest.mark.parametrize("stamp", ["missing", "broken", "another session's", "twice", "old", "another ring's"])
async def test_a_stamp_that_proves_nothing_is_ignored(stamp: str) -> None:
    """The seal's own instant counts then: no error, and no life that was not there."""
    process, browser, other = a_process(), Browser(), Browser()
    session = await signed_in(process, browser)
    old = browser.kept["__Host-Http-bff-idle"]
    process.clock.advance(1000)
    theirs = await signed_in(process, other, active_at=process.clock.now())
    cookie = browser.kept["__Host-Http-bff"]
    values = {
        "missing": [],
        "broken": [old.value[:-1]],
        "another session's": [process.vault._sessions.stamp(theirs).value],
        "twice": [process.vault._sessions.stamp(session).value] * 2,
        "old": [old.value],
        "another ring's": [a_process().vault._sessions.stamp(session).value],
    }[stamp]
    line = b"; ".join([b"__Host-Http-bff=" + cookie.value, *(b"__Host-Http-bff-idle=" + value for value in values)])
    jar = Jar.read([(b"cookie", line)])
    presented = await process.vault.find_session(jar)
    assert presented.require() == session
    assert presented.last_activity == NOW
    process.clock.advance(801)
    with pytest.raises(SessionEnded, match="idle"):
        (await process.vault.find_session(jar)).require()


@pytest.mark.req("F17", "F19")
@pytest.mark.parametrize("skew", [-120.0, 120.0])
async def test_replicas_whose_clocks_differ_by_two_minutes_log_nobody_out(skew: float) -> None:
    """What one seals and stamps the other takes, in both directions, for as long as the person is active."""
    ring, browser = KeyRing.generate(), Browser()
    here, there = a_process(ring=ring), a_process(ring=ring, clock=MovableClock(NOW + skew))
    await signed_in(here, browser)
    for _ in range(20):
        for process in (here, there):
            for one in (here, there):
                one.clock.advance(200)
            presented = await process.vault.find_session(browser.jar())
            assert presented.refusal is None
            assert presented.last_activity <= process.clock.now()
            browser.take(process.vault.cookies_due(presented, slides=True))


@pytest.mark.req("F17", "F19")
async def test_activity_that_a_faster_clock_stamped_counts_as_now() -> None:
    """Nobody gains idle time from a replica whose clock is ahead."""
    ring, browser = KeyRing.generate(), Browser()
    here, ahead = a_process(ring=ring), a_process(ring=ring, clock=MovableClock(NOW + 250))
    session = await signed_in(here, browser)
    browser.take([ahead.vault._sessions.stamp(session)])
    presented = await here.vault.find_session(browser.jar())
    assert presented.last_activity == NOW
    assert here.vault.idle_end(presented) == NOW + 1800


# Endings (rules F2, F11, F23).


@pytest.mark.req("F2", "ATK-19")
async def test_a_signed_out_session_is_dead_for_every_copy_of_its_cookie() -> None:
    """The cookie copied before sign-out is refused, and told to go."""
    process, browser = a_process(), Browser()
    session = await signed_in(process, browser)
    copy = browser.jar()
    browser.take(await process.vault.end_session(session, Reason.SIGNED_OUT, browser.jar()))
    assert list(browser.kept) == ["__Host-Http-bff-out"]
    presented = await process.vault.find_session(copy)
    with pytest.raises(SessionEnded, match="signed_out"):
        presented.require()
    deleted = process.vault.cookies_due(presented, slides=True)
    assert [cookie.name for cookie in deleted] == ["__Host-Http-bff", "__Host-Http-bff-idle"]
    assert {cookie.max_age for cookie in deleted} == {0}


@pytest.mark.req("F13", "ATK-19")
async def test_a_signed_out_session_stays_dead_after_a_restart_and_for_other_workers(tmp_path: Path) -> None:
    """The file ledger remembers it to its absolute end."""
    clock, ring, browser = MovableClock(NOW), KeyRing.generate(), Browser()
    one, two = (a_process(clock=clock, ring=ring, ledger=FileLedger(tmp_path / "l", clock)) for _ in range(2))
    session = await signed_in(one, browser)
    await found(two, browser)
    await one.vault.end_session(session, Reason.SIGNED_OUT)
    clock.advance(0.3)
    assert await reason(two, browser) == "signed_out"
    for process in (one, two):
        await process.ledger.aclose()
    restarted = a_process(clock=clock, ring=ring, ledger=FileLedger(tmp_path / "l", clock))
    assert await reason(restarted, browser) == "signed_out"
    await restarted.ledger.aclose()


@pytest.mark.req("F2")
async def test_a_browser_remembers_its_last_four_sign_outs_by_itself() -> None:
    """A process that shares no ledger refuses what this browser signed out of, and nothing else."""
    ring, browser = KeyRing.generate(), Browser()
    here, elsewhere = a_process(ring=ring), a_process(ring=ring)
    jars = []
    for _ in range(5):
        session = await signed_in(here, browser)
        jars.append(browser.kept["__Host-Http-bff"])
        browser.take(await here.vault.end_session(session, Reason.SIGNED_OUT, browser.jar()))
    out = browser.kept["__Host-Http-bff-out"]
    assert (out.same_site, out.max_age) == ("Strict", 12 * 3600)
    verdicts = []
    for cookie in jars:
        presented = await elsewhere.vault.find_session(Jar({cookie.name: cookie.value, out.name: out.value}))
        verdicts.append(presented.refusal is None)
        if presented.refusal is not None:
            assert len(elsewhere.vault.cookies_due(presented, slides=True)) == 2
    assert verdicts == [True, False, False, False, False]
    alive = await signed_in(here, browser)
    assert await found(elsewhere, browser) == alive


@pytest.mark.req("F2")
async def test_a_list_of_ended_sessions_that_does_not_open_ends_nothing() -> None:
    """Another replica's key, or junk: the list is as good as empty."""
    process, browser = a_process(), Browser()
    session = await signed_in(process, browser)
    browser.take([process.vault.policy.cookie(process.vault.policy.out, b"junk")])
    assert await found(process, browser) == session


@pytest.mark.req("F11")
async def test_a_session_that_was_ended_before_it_was_kept_is_never_kept() -> None:
    """Back-channel logout may overtake the callback: by sid, or by subject up to an instant."""
    process = a_process()
    later = NOW + 43_200
    by_sid = Ending.of_authority_sid(ISSUER, "as-1", Reason.BACKCHANNEL, at=NOW, until=later)
    by_subject = Ending.of_subject(ISSUER, "bob", Reason.BACKCHANNEL, before=NOW, at=NOW, until=later)
    for ending in (by_sid, by_subject):
        await process.ledger.end(ending)
    for dead in (
        a_session(authority_sid="as-1"),
        a_session(subject="bob"),
        a_session(subject="bob", id_token_issued_at=NOW - 5),
    ):
        with pytest.raises(SessionEnded, match="backchannel"):
            await process.vault.keep_session(dead, Jar({}))
    assert await process.vault.keep_session(a_session(subject="bob", id_token_issued_at=NOW + 1), Jar({}))


@pytest.mark.req("F23", "ATK-2")
async def test_a_sign_in_ends_the_session_it_replaces() -> None:
    """Also when the callback cannot see it; the page is told ``replaced``, and no cookie of the new one is touched."""
    process, browser = a_process(), Browser()
    first = await signed_in(process, browser)
    copy = browser.jar()
    under_way = await process.vault.find_session(copy)
    await process.vault.end_replaced(a_transaction(replaces=first.sid))
    await process.vault.end_replaced(a_transaction())
    second = await signed_in(process, browser)
    assert await found(process, browser) == second
    assert process.vault.cookies_due(under_way, slides=True) == []
    presented = await process.vault.find_session(copy)
    with pytest.raises(SessionEnded, match="replaced"):
        presented.require()
    assert process.vault.cookies_due(presented, slides=True) == []


# Memory (rule F20).


@pytest.mark.req("F20", "B10")
async def test_a_changed_ring_empties_the_memory() -> None:
    """A key that was taken away opens nothing from that moment, remembered or not."""
    clock = MovableClock(NOW)
    keys = tuple(Key(id=f"0000000{n}", secret=bytes([n]) * 32, use_from=NOW) for n in (1, 2))
    ring = KeyRing(keys[:1], clock)
    process, browser = a_process(clock=clock, ring=ring), Browser()
    await signed_in(process, browser)
    await found(process, browser)
    ring.replace(keys)
    await found(process, browser)
    ring.replace(keys[1:])
    presented = await process.vault.find_session(browser.jar())
    assert isinstance(presented.refusal, NoSession)
    assert process.vault.cookies_due(presented, slides=True) == []


@pytest.mark.req("F20")
async def test_a_remembered_session_is_opened_once_and_asked_every_time() -> None:
    """A warm call decrypts nothing, counts for its key, and still hears of an ending."""
    process, browser = a_process(), Browser()
    session = await signed_in(process, browser)
    first = await process.vault.find_session(browser.jar())
    second = await process.vault.find_session(browser.jar())
    assert second.presented is first.presented
    assert process.ring.opens[process.ring.keys[0].id] == 2
    await process.vault.end_session(session, Reason.ADMIN)
    assert await reason(process, browser) == "admin"


def an_opened(number: int) -> OpenedSession:
    """A remembered session of a usual size."""
    kept = tokens(access_token=jwt({"n": number, "x": words(900)}), refresh_token=words(600))
    session = a_session(tokens=kept, claims={f"claim-{index}": words(40) for index in range(15)})
    return OpenedSession(
        value=words(2000).encode(),
        chunks=1,
        session=session,
        marks=Marks.of(session),
        sealed_at=NOW,
        key_id="00000001",
        idle_tag=words(22),
        acknowledged=True,
    )


@pytest.mark.req("F20")
def test_the_memory_is_bounded_by_real_bytes() -> None:
    """A thousand sessions in room for a hundred: the latest stay, and the bound is no fiction."""
    limit = 1_000_000
    memory = OpenedSessions(limit)
    tracemalloc.start()
    kept: list[bytes] = []
    for number in range(1000):
        opened = an_opened(number)
        memory.put(opened.value, opened)
        kept = [*kept[-20:], opened.value]
    del opened
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert memory.weight <= limit
    assert 50 < len(memory) < 300
    assert used < 1.5 * limit
    assert all(memory.get(value) is not None for value in kept)


@pytest.mark.req("F20")
def test_what_is_used_stays_and_what_is_not_goes_first() -> None:
    """Least recently used, not first in; putting again does not count twice."""
    one, two, three = (an_opened(number) for number in range(3))
    memory = OpenedSessions(2 * one.weight + 500)
    memory.put(b"1", one)
    memory.put(b"2", two)
    memory.put(b"2", two)
    assert memory.get(b"1") is one
    memory.put(b"3", three)
    assert (memory.get(b"1"), memory.get(b"2"), memory.get(b"3")) == (one, None, three)
    memory.forget(b"1")
    memory.forget(b"3")
    assert (len(memory), memory.weight) == (0, 0)


# Outages and strangers.


@pytest.mark.req("F10", "B14")
async def test_a_ledger_that_cannot_be_read_is_an_outage_for_sessions_and_nothing_to_visitors(tmp_path: Path) -> None:
    """Nobody claims that a session is alive; who has none never touches the store; the cookie is kept."""
    clock, browser = MovableClock(NOW), Browser()
    ledger = FileLedger(tmp_path / "l", clock)
    process = a_process(clock=clock, ledger=ledger)
    await signed_in(process, browser)
    ledger._reading.close()
    clock.advance(2)
    with pytest.raises(SessionStoreUnavailable):
        await process.vault.find_session(browser.jar())
    assert isinstance((await process.vault.find_session(Jar({}))).refusal, NoSession)
    ledger._writer.shutdown()
    ledger._writing.close()


@pytest.mark.req("F14")
async def test_a_second_instance_without_our_ledger_gives_itself_away(tmp_path: Path, log: CapturingLogger) -> None:
    """A cookie sealed elsewhere while we were running is counted and said once; one of a sibling worker is not."""
    clock, ring = MovableClock(NOW), KeyRing.generate()
    here, sibling = (a_process(clock=clock, ring=ring, ledger=FileLedger(tmp_path / "l", clock)) for _ in range(2))
    stranger = a_process(clock=clock, ring=ring)
    for process, seconds, expected in ((stranger, 30, 0), (sibling, 100, 0), (stranger, 100, 1), (stranger, 1, 2)):
        clock.advance(seconds)
        browser = Browser()
        await signed_in(process, browser, active_at=clock.now())
        await found(here, browser)
        assert here.vault.foreign_seals == expected
    assert said(log) == ["another_instance_seals"]
    await here.ledger.aclose()
    await sibling.ledger.aclose()


def test_nothing_presented_shows_a_token() -> None:
    """A traceback that prints what a request presented tells no secret."""
    session = replace(a_session(), claims={"name": "Alice Secret"})
    assert session.tokens.access_token not in repr(session)
    assert "Alice Secret" not in repr(session)
    assert session.tokens.access_token[:20] not in repr(an_opened(1))


async def test_closing_waits_for_what_runs_behind() -> None:
    """A vault that is closed has no task left."""
    process = a_process()
    process.vault._generations._background.run(process.ledger.acknowledge(b"sid", 2, NOW))
    await process.vault.aclose()
    await settle()
    assert process.vault._generations._background._tasks == set()
