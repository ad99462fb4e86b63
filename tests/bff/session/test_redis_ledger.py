from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.endings import Ending, Reason
from bff.session.ledger import Ledger, open_ledger
from bff.session.marks import Marks, mark_of_login, mark_of_sid
from bff.session.redis_address import RedisAddress
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_view import STREAM
from bff.session.successor import Successor
from tests.bff.session.ledger_suite import DAY, LOGIN, ONE, OTHER, SID, LedgerSuite, Passing, an_ending, successor
from tests.bff.session.session_world import NOW, a_session, tokens, until
from tests.world.clock import MovableClock
from tests.world.valkey import Valkey, out_of_memory, running_cluster, running_sentinel, running_valkey


@pytest.fixture
def clock() -> MovableClock:
    """It stands at NOW."""
    return MovableClock(NOW)


def a_ledger(server: Valkey, clock: MovableClock) -> RedisLedger:
    """One process's; patient, because this machine may be busy."""
    return RedisLedger(RedisAddress.parse(server.url), clock, patience=2.0)


@pytest.fixture
async def ledger(valkey: Valkey, clock: MovableClock) -> AsyncIterator[RedisLedger]:
    """An empty one."""
    opened = a_ledger(valkey, clock)
    yield opened
    await opened.aclose()


@pytest.fixture
async def two(valkey: Valkey, clock: MovableClock) -> AsyncIterator[tuple[RedisLedger, RedisLedger]]:
    """Two processes, one store."""
    pair = a_ledger(valkey, clock), a_ledger(valkey, clock)
    yield pair
    for one in pair:
        await one.aclose()


def leases_shortened(server: Valkey, seconds: float) -> None:
    """Time passes for the leases: they are counted in the server's own, which nobody can move."""
    with server.client() as client:
        for key in client.scan_iter("*:flight:*"):
            client.hincrby(key, "lease", -int(seconds * 1000))


class TestRedisLedger(LedgerSuite):
    """The suite, in a real Valkey."""

    @pytest.fixture
    def passing(self, clock: MovableClock, valkey: Valkey) -> Passing:
        """Ours and the server's time, together."""

        async def advance(seconds: float) -> None:
            clock.advance(seconds)
            leases_shortened(valkey, seconds)

        return advance


@pytest.fixture(scope="module")
def clustered() -> Iterator[Valkey]:
    """A cluster of one, with all slots."""
    with running_cluster() as server:
        yield server


@pytest.mark.live
class TestRedisLedgerInACluster(TestRedisLedger):
    """The suite, in a Valkey that refuses every script and command whose keys lie in more than one slot."""

    @pytest.fixture
    def valkey(self, clustered: Valkey) -> Valkey:
        """Emptied."""
        with clustered.client() as client:
            client.flushall()
        return clustered


@pytest.mark.req("F10", "F13")
async def test_another_process_hears_of_an_ending_within_a_quarter_second(two: tuple[RedisLedger, RedisLedger]) -> None:
    """Nobody asks for it: the stream is read as it grows, and the view stays fresh meanwhile."""
    one, other = two
    await other.catch_up()
    assert other.fresh
    dead = Marks.of(a_session(sid="sid"))
    await one.end(an_ending())
    await one.keep_successor(mark_of_sid("alive"), successor(1, 2), NOW + DAY)
    began = asyncio.get_running_loop().time()
    await until(lambda: other.view.ended(dead, NOW) is not None)
    assert asyncio.get_running_loop().time() - began < 1.0
    await until(lambda: other.view.newest_generation(mark_of_sid("alive")) == 2)


@pytest.mark.req("F10", "F13")
async def test_a_new_process_reads_everything_from_the_start(two: tuple[RedisLedger, RedisLedger]) -> None:
    """Endings and generations of before its time, page by page."""
    one, late = two
    for number in range(50):
        await one.end(an_ending(mark_of_sid(str(number))))
    for _ in range(25):  # more than a page
        await asyncio.gather(*(one.announce_generation(mark_of_sid("other"), 1, NOW + DAY) for _ in range(100)))
    await one.announce_generation(SID, 7, NOW + DAY)
    await late.catch_up()
    assert all(late.view.has_ended(mark_of_sid(str(number))) for number in range(50))
    assert late.view.newest_generation(SID) == 7


@pytest.mark.req("F10")
@pytest.mark.parametrize("event", [b"old", b"\x97\xc4\x10" + bytes(16)])
async def test_an_event_of_another_version_is_an_outage(ledger: RedisLedger, valkey: Valkey, event: bytes) -> None:
    """Nobody guesses what it ends: junk, or half an entry."""
    with valkey.client() as client:
        client.xadd(STREAM, {"e": event})
    with pytest.raises(SessionStoreUnavailable, match="another version"):
        await ledger.catch_up()
    assert not ledger.fresh


@pytest.mark.req("F10", "F2")
async def test_a_reason_of_a_later_version_ends_a_session_all_the_same(ledger: RedisLedger, valkey: Valkey) -> None:
    """While replicas are replaced one by one, what a new one ends is over for the old ones too."""
    event = msgspec.msgpack.encode([SID, NOW + DAY, 0, "a_later_reason", NOW, None, "a later field"])
    with valkey.client() as client:
        client.xadd(STREAM, {"e": event})
    await ledger.catch_up()
    assert ledger.view.has_ended(SID)


@pytest.mark.req("F10")
async def test_a_warm_call_asks_memory_only(ledger: RedisLedger, valkey: Valkey) -> None:
    """While the view is fresh, catching up sends nothing."""
    await ledger.catch_up()
    with valkey.client() as client:
        client.config_resetstat()
        for _ in range(100):
            await ledger.catch_up()
        commands = client.info("commandstats")
    assert set(commands) <= {"cmdstat_xread", "cmdstat_config|resetstat", "cmdstat_info", "cmdstat_client|setinfo"}
    assert commands.get("cmdstat_xread", {"calls": 0})["calls"] <= 3


@pytest.mark.req("F13")
async def test_the_store_tells_nothing_of_a_session(ledger: RedisLedger, valkey: Valkey) -> None:
    """Neither sid nor subject nor token lies in it."""
    session = a_session(sid="the-sid-itself", subject="alice-herself", tokens=tokens(refresh_token="the-refresh-token"))
    await ledger.end(Ending.of_session(session, Reason.SIGNED_OUT, at=NOW))
    await ledger.keep_successor(SID, Successor.of(session, newest=2, value=b"the-cookie"), NOW + DAY)
    with valkey.client() as client:
        stored = b"".join(key + client.dump(key) for key in client.scan_iter())
    for secret in (b"the-sid-itself", b"alice-herself", b"the-refresh-token", b"the-cookie"):
        assert secret not in stored


@pytest.mark.req("F12")
async def test_nothing_is_lost_through_a_keys_expiry(ledger: RedisLedger, valkey: Valkey) -> None:
    """Every key but the stream goes by itself, later than anybody needs it."""
    await ledger.spend_login(LOGIN, NOW + 600)
    await ledger.keep_successor(SID, successor(1, 2), NOW + DAY)
    await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
    await ledger.note_uncertain(SID, 1, NOW + DAY)
    await ledger.note_stale(SID, NOW, NOW + DAY)
    with valkey.client() as client:
        lives = {key: client.pttl(key) / 1000 for key in client.scan_iter() if key != STREAM}
    assert len(lives) == 5
    assert all(life > (600 if key.endswith(b"login") else DAY) for key, life in lives.items())


@pytest.mark.req("F10")
async def test_the_stream_is_trimmed_behind_the_longest_life(valkey: Valkey, clock: MovableClock) -> None:
    """What no session can need leaves the store, in whole blocks."""
    ledger = RedisLedger(RedisAddress.parse(valkey.url), clock, keep_seconds=60.0, patience=2.0)
    with valkey.client() as client:
        for number in range(500):
            client.xadd(STREAM, {"e": b"old"}, id=f"{1000 + number}-1")
        await ledger.end(an_ending())
        assert client.xlen(STREAM) < 200
    await ledger.aclose()


@pytest.mark.req("F12")
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_a_store_that_may_forget_stops_the_start(valkey: Valkey, policy: str) -> None:
    """An ended session would live again under memory pressure; the cure is named."""
    with valkey.client() as client:
        client.config_set("maxmemory-policy", policy)
        try:
            with pytest.raises(ConfigurationError, match=f"{policy}.*Cure: maxmemory-policy noeviction"):
                open_ledger("redis", MovableClock(NOW), redis_url=valkey.url)
        finally:
            client.config_set("maxmemory-policy", "noeviction")


async def test_a_store_that_becomes_forgetful_is_an_outage(valkey: Valkey, clock: MovableClock) -> None:
    """Whoever connects later looks as closely as whoever starts."""
    ledger = a_ledger(valkey, clock)
    with valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(SessionStoreUnavailable):
                await ledger.catch_up()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    await ledger.aclose()


@pytest.mark.req("F10", "B14")
async def test_a_store_that_is_away_is_an_outage_and_the_process_starts_all_the_same(clock: MovableClock) -> None:
    """Nothing claims that a session lives; what was ended meanwhile is told as soon as the store is there."""
    with running_valkey() as server:
        server.stop()
        ledger = a_ledger(server, clock)
        with pytest.raises(SessionStoreUnavailable):
            await ledger.catch_up()
        with pytest.raises(SessionStoreUnavailable):
            await ledger.end(an_ending())
        assert ledger.view.has_ended(SID)
        assert not ledger.fresh
        server.start()
        clock.advance(1)
        other = a_ledger(server, clock)
        await until(lambda: ledger.fresh)
        await other.catch_up(at_once=True)
        assert other.view.has_ended(SID)
        for one in (ledger, other):
            await one.aclose()


@pytest.mark.req("B14")
async def test_after_three_failures_nobody_waits(clock: MovableClock) -> None:
    """The breaker answers at once, and lets one question through each half second."""
    with running_valkey() as server:
        ledger = a_ledger(server, clock)
        await ledger.store.ask("PING")
        server.kill()
        for _ in range(3):
            with pytest.raises(SessionStoreUnavailable):
                await ledger.store.ask("PING")
        with pytest.raises(SessionStoreUnavailable, match="lately"):
            await ledger.store.ask("PING")
        server.start()
        with pytest.raises(SessionStoreUnavailable, match="lately"):
            await ledger.store.ask("PING")
        clock.advance(0.6)
        assert await ledger.store.ask("PING")
        await ledger.aclose()


@pytest.mark.req("B14", "F10")
async def test_a_frozen_store_is_given_up_soon(clock: MovableClock) -> None:
    """A question that is not answered within a quarter of a second is an outage; after three nobody even waits.

    This machine may be busy: the quickest of the three tells what was meant, and all keep the longest that is promised.
    """
    with running_valkey() as server:
        ledger = RedisLedger(RedisAddress.parse(server.url), clock)
        await until_answered(ledger)
        with server.frozen():
            took = [await seconds_of_an_outage(ledger) for _ in range(20)]
        await ledger.aclose()
    asked, spared = took[:3], took[3:]
    assert 0.2 < min(asked) < 0.3
    assert sum(asked) < 3 * 0.5 + 0.25
    assert sum(spared) < 0.1


async def seconds_of_an_outage(ledger: RedisLedger) -> float:
    """How long one question waits before it is told that there is none to ask."""
    began = time.monotonic()
    with pytest.raises(SessionStoreUnavailable):
        await ledger.store.ask("PING")
    return time.monotonic() - began


async def until_answered(ledger: RedisLedger) -> None:
    """A busy machine may need more than one question."""
    async with asyncio.timeout(10):
        while True:
            try:
                await ledger.store.ask("PING")
            except SessionStoreUnavailable:
                await asyncio.sleep(0.1)
            else:
                return


async def test_credentials_are_used_and_wrong_ones_stop_the_start(clock: MovableClock) -> None:
    """A server that refuses us is no outage: no time will mend it. No password is in what is said."""
    with running_valkey() as server:
        with server.client() as client:
            client.config_set("requirepass", "the-password")
        good = server.url.replace("redis://", "redis://:the-password@")
        ledger = RedisLedger(RedisAddress.parse(good), clock, patience=2.0)
        await ledger.end(an_ending())
        await ledger.aclose()
        for url in (server.url, good.replace("the-password", "a-wrong-password")):
            with pytest.raises(ConfigurationError, match=r"credentials are refused.*Cure") as refused:
                RedisLedger(RedisAddress.parse(url), clock)
            assert "password" not in str(refused.value.causes).lower().replace("user:password@host", "")


@pytest.mark.req("F12")
async def test_own_writes_of_the_last_minute_survive_a_store_that_lost_them(clock: MovableClock) -> None:
    """Endings, successors, spent logins: told again after a reconnect, and everybody hears of them."""
    with running_valkey() as server:
        ledger = a_ledger(server, clock)
        await ledger.catch_up()
        await ledger.end(an_ending(mark_of_sid("dead")))
        await ledger.keep_successor(SID, successor(1, 2), NOW + DAY)
        await ledger.spend_login(LOGIN, NOW + 600)
        await ledger.spend_login(mark_of_login("given back"), NOW + 600)
        await ledger.release_login(mark_of_login("given back"))
        server.kill()
        server.start()
        clock.advance(2)
        await until(lambda: ledger.fresh)
        other = a_ledger(server, clock)
        await other.catch_up()
        assert other.view.has_ended(mark_of_sid("dead"))
        assert other.view.newest_generation(SID) == 2
        assert await other.successor(SID, 1) == successor(1, 2)
        assert await other.spend_login(LOGIN, NOW + 600) is False
        assert await other.spend_login(mark_of_login("given back"), NOW + 600) is True
        for one in (ledger, other):
            await one.aclose()


@pytest.mark.req("F4", "F8", "F10")
@pytest.mark.parametrize("what", ["successor", "doubt"])
async def test_a_flight_is_not_left_before_the_store_knows_what_it_brought(
    valkey: Valkey, clock: MovableClock, what: str
) -> None:
    """Neither an answer nor a doubt; until then its owner claims nothing, and nobody takes over what it sent."""
    ledger, other = a_ledger(valkey, clock), a_ledger(valkey, clock)
    await ledger.catch_up()
    assert await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
    assert await ledger.flight_sent(SID, 1, ONE)
    with out_of_memory(valkey):
        with pytest.raises(SessionStoreUnavailable):
            await (
                ledger.keep_successor(SID, successor(1, 2), NOW + DAY)
                if what == "successor"
                else ledger.note_uncertain(SID, 1, NOW + DAY)
            )
        assert not ledger.fresh
        for refused in (ledger.catch_up(), ledger.leave_flight(SID, 1, ONE)):
            with pytest.raises(SessionStoreUnavailable):
                await refused
    assert not await other.enter_flight(SID, 1, OTHER, NOW + DAY)
    clock.advance(1)
    await ledger.leave_flight(SID, 1, ONE)
    assert await other.enter_flight(SID, 1, OTHER, NOW + DAY)
    assert await other.is_uncertain(SID, 1) is (what == "doubt")
    assert (await other.successor(SID, 1) is None) is (what == "doubt")
    for one in (ledger, other):
        await one.aclose()


@pytest.mark.req("F3")
async def test_who_waits_for_news_of_a_session_hears_it_with_the_stream(two: tuple[RedisLedger, RedisLedger]) -> None:
    """Of its next generation and of its end, from whichever process; of another session nothing."""
    one, other = two
    await other.catch_up()
    waiting = asyncio.create_task(other.view.news_of(SID, seconds=60))
    await asyncio.sleep(0)
    await one.announce_generation(mark_of_sid("other"), 2, NOW + DAY)
    await until(lambda: other.view.newest_generation(mark_of_sid("other")) == 2)
    assert not waiting.done()
    await one.announce_generation(SID, 2, NOW + DAY)
    await asyncio.wait_for(waiting, 5)
    ending = asyncio.create_task(other.view.news_of(SID, seconds=60))
    await asyncio.sleep(0)
    await one.end(an_ending())
    await asyncio.wait_for(ending, 5)


@pytest.mark.req("F12", "F3")
async def test_on_another_primary_nothing_is_presumed_absent_for_six_seconds(clock: MovableClock) -> None:
    """It may have lost that a refresh token was sent: only a flight's owner goes on until no answer is under way."""
    with running_valkey() as server:
        ledger = a_ledger(server, clock)
        await ledger.catch_up()
        assert await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
        assert await ledger.flight_sent(SID, 1, ONE)
        server.kill()
        server.start()
        clock.advance(2)
        await until(lambda: ledger.fresh)
        assert await ledger.enter_flight(SID, 1, OTHER, NOW + DAY) is False
        assert await ledger.enter_flight(mark_of_sid("new"), 1, OTHER, NOW + DAY) is False
        fresh_process = a_ledger(server, clock)
        assert await fresh_process.enter_flight(SID, 1, OTHER, NOW + DAY) is False, "the owner told it again"
        clock.advance(6)
        assert await ledger.enter_flight(mark_of_sid("new"), 1, OTHER, NOW + DAY) is True
        for one in (ledger, fresh_process):
            await one.aclose()


@pytest.mark.req("F12")
async def test_a_write_waits_for_a_replica_where_there_is_one(clock: MovableClock) -> None:
    """When the call returns, the replica has it too."""
    with running_valkey() as primary, running_valkey(replicaof=f"127.0.0.1 {primary.port}") as replica:
        await until(lambda: replica.info()["master_link_status"] == "up")
        ledger = a_ledger(primary, clock)
        await ledger.catch_up()
        with replica.client() as client:
            for number in range(20):
                await ledger.end(an_ending(mark_of_sid(str(number))))
                assert client.xlen(STREAM) == number + 1
        with primary.client() as client:
            assert client.info("commandstats")["cmdstat_wait"]["calls"] >= 20
        await ledger.aclose()


@pytest.mark.req("F12")
async def test_a_replica_is_no_store(clock: MovableClock) -> None:
    """Whoever is led to one waits for a primary: what is read there may be old, and nothing can be written."""
    with running_valkey() as primary, running_valkey(replicaof=f"127.0.0.1 {primary.port}") as replica:
        await until(lambda: replica.info()["master_link_status"] == "up")
        ledger = a_ledger(replica, clock)
        with pytest.raises(SessionStoreUnavailable):
            await ledger.catch_up()
        assert not ledger.fresh
        await ledger.aclose()


@pytest.mark.req("F12")
async def test_a_primary_that_was_demoted_is_left(clock: MovableClock) -> None:
    """Reads from it would be stale, and writes are refused: both are an outage until a primary answers."""
    with running_valkey() as server, running_valkey() as elsewhere:
        ledger = a_ledger(server, clock)
        await ledger.catch_up()
        with server.client() as client:
            client.replicaof("127.0.0.1", elsewhere.port)
            with pytest.raises(SessionStoreUnavailable):
                await ledger.end(an_ending())
            clock.advance(2)
            with pytest.raises(SessionStoreUnavailable):
                await ledger.catch_up()
            client.replicaof("NO", "ONE")
        clock.advance(2)
        await until(lambda: ledger.fresh)
        assert (await ledger.store.ask("XLEN", STREAM)) == 1
        await ledger.aclose()


def test_a_redis_ledger_keeps_every_promise_of_a_ledger(valkey: Valkey) -> None:
    """The protocol and the class have one shape, and whoever uses one address is one instance."""
    ledger: Ledger = a_ledger(valkey, MovableClock(NOW))
    assert ledger.durable
    assert ledger.instance == a_ledger(valkey, MovableClock(NOW)).instance


@pytest.mark.req("F12", "F10")
async def test_behind_a_sentinel_a_crowd_waits_its_turn(clock: MovableClock, tmp_path: Path) -> None:
    """Three hundred questions at once share a few connections to the primary that the Sentinel names; none fails."""
    with running_valkey() as primary, running_sentinel(tmp_path, "main", primary) as sentinel:
        address = RedisAddress.parse(f"redis+sentinel://127.0.0.1:{sentinel.port}/main")
        ledger = RedisLedger(address, clock, patience=2.0)
        await ledger.catch_up()
        await asyncio.gather(*(ledger.successor(SID, number) for number in range(300)))
        assert primary.info()["connected_clients"] < 25
        await ledger.end(an_ending())
        assert ledger.view.has_ended(SID)
        await ledger.aclose()
