"""What is stored of a session goes with it: at once where it ends without its cookie, else where that is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bff.errors import NoSession, SessionEnded, SessionStoreUnavailable
from bff.oidc.messages import LogoutNotice
from bff.session.authority_logouts import AuthorityLogouts
from bff.session.endings import Ending
from bff.session.key_ring import KeyRing
from bff.session.marks import Marks, mark_of_authority_sid, mark_of_subject
from bff.session.redis_keys import key_of
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_scripts import KEEP, LAPSE, Script
from tests.bff.session.redis_house import is_readable, record_of, several
from tests.bff.session.session_world import ISSUER, NOW, Browser, a_session, until
from tests.bff.session.vault_suite import Processes, Running, renewed
from tests.world.clock import MovableClock
from tests.world.valkey import Valkey, running_valkey

ABSOLUTE = 43_200.0
TOLERANCE = 300.0


@pytest.fixture
def clock() -> MovableClock:
    """It stands at NOW, for all processes."""
    return MovableClock(NOW)


@pytest.fixture
async def processes(valkey: Valkey, clock: MovableClock) -> AsyncIterator[Processes]:
    """As many as a test asks for, on one Valkey."""
    async with several(valkey, clock) as start:
        yield start


def logouts_at(process: Running) -> AuthorityLogouts:
    """Who hears the authorization server there."""
    return AuthorityLogouts(process.ledger, process.vault, process.clock, absolute=ABSOLUTE)


def notice(**named: Any) -> LogoutNotice:
    """What it says."""
    told = {"subject": None, "authority_sid": None, "issued_at": NOW, "jti": "one", **named}
    return LogoutNotice(issuer=ISSUER, **told)


def noted(server: Valkey) -> set[bytes]:
    """The marks of all sessions that the store could find by another mark."""
    with server.client() as client:
        return {mark for key in client.scan_iter("*:sessions") for mark in client.zrange(key, 0, -1)}


@pytest.mark.req("F9", "F11", "F34", "BCL-3", "ATK-16")
@pytest.mark.parametrize(
    ("told", "channel", "over"),
    [
        ({"authority_sid": "as-1"}, "front", {"named"}),
        ({"authority_sid": "as-1"}, "back", {"named"}),
        ({"subject": "bob"}, "back", {"named", "unnamed", "also"}),
        ({"subject": "bob", "authority_sid": "as-1"}, "back", {"named", "unnamed"}),
        ({"subject": "bob", "authority_sid": "of nobody"}, "back", {"unnamed"}),
        ({"authority_sid": "of nobody"}, "front", set()),
    ],
)
async def test_a_logout_elsewhere_shreds_what_it_ends_and_nothing_else(
    processes: Processes, valkey: Valkey, told: dict[str, str], channel: str, over: set[str]
) -> None:
    """Heard by a replica that has never seen the sessions, whose cookies never come again."""
    ring = KeyRing.generate()
    here, there = processes(ring=ring), processes(ring=ring)
    sessions = {
        "named": await here.keep(Browser(), subject="bob", authority_sid="as-1"),
        "also": await here.keep(Browser(), subject="bob", authority_sid="as-2"),
        "unnamed": await here.keep(Browser(), subject="bob", authority_sid=None),
        "other": await here.keep(Browser(), subject="carol", authority_sid="as-3"),
    }
    heard = logouts_at(there)
    hear = heard.hear_front_channel if channel == "front" else heard.hear_back_channel
    await hear(notice(**told))
    await there.vault.aclose()
    assert {name for name, session in sessions.items() if not is_readable(valkey, session)} == over


@pytest.mark.req("F9")
async def test_an_operator_shreds_everybodys(processes: Processes, valkey: Valkey) -> None:
    """What began until then, however many there are and in whichever slot; what began later stays."""
    process = processes()
    old = [await process.keep(Browser(), subject=str(number)) for number in range(40)]
    new = await process.keep(Browser(), began_at=NOW + 1)
    await process.ledger.end(fact := Ending.of_everybody(before=NOW, at=NOW, until=NOW + ABSOLUTE))
    await process.vault.shred_covered(fact.mark)
    assert not any(is_readable(valkey, session) for session in old)
    assert is_readable(valkey, new)
    with valkey.client() as client:
        client.config_resetstat()
        await process.vault.shred_covered(fact.mark)
        assert "cmdstat_hdel" not in client.info("commandstats"), "what was cleared away is looked for no more"


@pytest.mark.req("F9", "F2")
async def test_a_refresh_under_way_brings_nothing_back(processes: Processes, valkey: Valkey) -> None:
    """Its record is shredded behind its back: the new generation is dropped."""
    ring, browser = KeyRing.generate(), Browser()
    here, there = processes(ring=ring), processes(ring=ring)
    await here.keep(browser, authority_sid="as-1")
    session = (await here.present(browser)).require()
    await logouts_at(there).hear_front_channel(notice(authority_sid="as-1"))
    await there.vault.aclose()
    assert await here.vault.keep_generation(session, renewed(session)) is session
    assert not is_readable(valkey, session)


@pytest.mark.req("F9", "F11")
async def test_a_logout_that_meets_a_sign_in_shreds_it_too(
    processes: Processes, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after the sign-in has asked for endings and before it has written anything that could be found."""
    ring = KeyRing.generate()
    here, there = processes(ring=ring), processes(ring=ring)
    assert isinstance(here.ledger, RedisLedger)
    write = here.ledger.store.run

    async def overtaken(script: Script, *values: Any, **options: Any) -> Any:
        if script is KEEP:
            await logouts_at(there).hear_front_channel(notice(authority_sid="as-1"))
            await there.vault.aclose()
        return await write(script, *values, **options)

    monkeypatch.setattr(here.ledger.store, "run", overtaken)
    session = a_session(sid="A" * 22, authority_sid="as-1")
    with pytest.raises(SessionEnded, match="frontchannel"):
        await here.vault.keep_session(session, Browser().jar())
    with valkey.client() as client:
        assert client.hkeys(record_of(session)) == [b"generation", b"about", b"active"]


@pytest.mark.req("F9", "F12")
async def test_what_cannot_be_shredded_now_is_when_the_store_is_back(clock: MovableClock) -> None:
    """The logout is refused, so that it is told again; nobody has to, for the secrets to go."""
    with running_valkey(appendonly="yes", appendfsync="always") as server:
        async with several(server, clock) as start:
            process = start()
            session = await process.keep(Browser(), authority_sid="as-1")
            server.kill()
            with pytest.raises(SessionStoreUnavailable):
                await logouts_at(process).hear_front_channel(notice(authority_sid="as-1"))
            await asyncio.sleep(0.1)  # the first attempt fails
            server.start()
            clock.advance(2)
            await until(lambda: process.ledger.fresh)
            await until(lambda: not is_readable(server, session))
            assert process.ledger.fresh, "nobody waited for it"


@pytest.mark.req("F9", "F12")
async def test_a_store_that_lost_the_last_minute_finds_sessions_again(clock: MovableClock) -> None:
    """Told again with its record: where a session is to be found."""
    with running_valkey() as server:
        async with several(server, clock) as start:
            process = start()
            session = await process.keep(Browser(), authority_sid="as-1")
            server.kill()
            server.start()
            clock.advance(2)
            await until(lambda: process.ledger.fresh)
            assert is_readable(server, session)
            await logouts_at(process).hear_front_channel(notice(authority_sid="as-1"))
            await process.vault.aclose()
            assert not is_readable(server, session)


# Ends by time.


@pytest.mark.req("F9", "B8", "B9")
@pytest.mark.parametrize(
    ("reason", "claims", "seconds"),
    [("idle", {}, 1801), ("absolute", {}, 43_201), ("session_expiry", {"session_expiry": int(NOW + 1200)}, 1201)],
)
async def test_an_end_by_time_shreds_where_it_is_noticed(
    processes: Processes, valkey: Valkey, reason: str, claims: dict[str, object], seconds: float
) -> None:
    """By whoever presents it first, who can still be revoked; every other copy hears why, in any process."""
    ring, browser, copy = KeyRing.generate(), Browser(), Browser()
    here, there = processes(ring=ring), processes(ring=ring)
    end = NOW + 1200 if claims else NOW + ABSOLUTE
    session = await here.keep(browser, claims={"sub": "alice", **claims}, absolute_end=end)
    copy.kept = dict(browser.kept)
    await there.present(copy)
    here.clock.advance(seconds)
    first = await here.present(browser)
    assert isinstance(first.refusal, SessionEnded)
    assert first.refusal.reason == reason
    await here.vault.aclose()
    assert not is_readable(valkey, session)
    kept = dict(copy.kept)
    for asked in (there, processes(ring=ring)):
        copy.kept = dict(kept)
        assert await asked.reason(copy) == reason
        assert not copy.kept
    assert first.presented is not None
    with pytest.raises(SessionEnded, match=reason):
        await here.vault.newest(first.presented)


@pytest.mark.req("F9", "F19")
async def test_an_activity_that_came_in_between_keeps_the_session(processes: Processes, valkey: Valkey) -> None:
    """Whoever judged an older instant shreds nothing; nor does a reading that finds nothing over."""
    process, browser = processes(), Browser()
    session = await process.keep(browser)
    assert isinstance(process.ledger, RedisLedger)
    process.clock.advance(100)
    await process.present(browser)
    await process.vault.aclose()
    assert await process.ledger.store.run(LAPSE, [record_of(session)], "idle", repr(NOW)) == 0
    assert is_readable(valkey, session)
    assert await process.ledger.store.run(LAPSE, [record_of(session)], "idle", repr(NOW + 100)) == 1
    assert not is_readable(valkey, session)


@pytest.mark.req("F9")
async def test_a_reason_of_a_later_version_is_nobodys(processes: Processes, valkey: Valkey) -> None:
    """While replicas are replaced one by one: over all the same."""
    process, browser = processes(), Browser()
    session = await process.keep(browser)
    with valkey.client() as client:
        client.hdel(record_of(session), "secrets")
        client.hset(record_of(session), "ended", "a_later_reason")
    stranger = processes(ring=process.ring)
    assert isinstance((await stranger.present(browser)).refusal, NoSession)


@pytest.mark.req("F9", "F12")
async def test_nothing_that_is_stored_outlives_the_absolute_end(processes: Processes, valkey: Valkey) -> None:
    """Record and notes alike, whatever happened to the session: to its end and the tolerance of clocks."""
    process, browser = processes(), Browser()
    session = await process.keep(browser, absolute_end=NOW + 1000, authority_sid="as-1")
    for number in range(3):
        process.clock.advance(200)
        stands = (await process.present(browser)).require()
        await process.vault.keep_generation(stands, renewed(stands))
        assert stands.generation == number + 1
    await process.vault.aclose()
    with valkey.client() as client:
        lives = {key: client.pttl(key) / 1000 for key in client.scan_iter() if b"events" not in key}
    assert len(lives) == 4
    assert all(0 < life <= 1000 + TOLERANCE for life in lives.values()), lives
    assert record_of(session) in lives


@pytest.mark.req("F9")
async def test_notes_of_what_is_over_go_with_the_next_sign_in(processes: Processes, valkey: Valkey) -> None:
    """Somebody who signs in every hour for a year is noted as often as sessions may live at once."""
    process = processes()
    for hour in range(40):
        now = process.clock.now()
        session = await process.keep(Browser(), absolute_end=now + ABSOLUTE, authority_sid=f"as-{hour}")
        process.clock.advance(3600)
    with valkey.client() as client:
        assert client.zcard(key_of(mark_of_subject(ISSUER, session.subject), "sessions")) <= 13
        assert client.zcard(key_of(mark_of_authority_sid(ISSUER, "as-39"), "sessions")) == 1
    assert Marks.of(session).sid in noted(valkey)
