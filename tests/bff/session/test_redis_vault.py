from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bff.errors import NoSession, SessionStoreUnavailable
from bff.session.cipher import Cipher, SharedSealer
from bff.session.cookie_vault import CookieVault
from bff.session.cookies import CookiePolicy, Jar
from bff.session.endings import Reason
from bff.session.key_ring import Key, KeyRing
from bff.session.ledger import FileLedger
from bff.session.marks import mark_of_sid
from bff.session.redis_address import RedisAddress
from bff.session.redis_keys import key_of
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_vault import RedisVault
from bff.session.ticket import Ticket, TicketedSession, Tickets
from bff.session.vault import SessionVault
from tests.bff.session.session_world import (
    CLIENT_ID,
    LOOPBACK_URL,
    NOW,
    PUBLIC_URL,
    Browser,
    a_session,
    a_transaction,
    settle,
    tokens,
    until,
)
from tests.bff.session.vault_suite import Processes, Running, VaultSuite, renewed, same
from tests.world.clock import MovableClock
from tests.world.valkey import Valkey, running_valkey


@pytest.fixture
def clock() -> MovableClock:
    """It stands at NOW, for all processes."""
    return MovableClock(NOW)


def in_redis(server: Valkey, clock: MovableClock, **options: Any) -> Running:
    """One process with its sessions in that server; patient, because this machine may be busy."""
    ring = options.pop("ring", None) or KeyRing.generate(clock)
    policy = CookiePolicy.for_public_url(options.pop("public_url", PUBLIC_URL))
    ledger = RedisLedger(RedisAddress.parse(server.url), clock, patience=2.0)
    vault = RedisVault(ring, policy, ledger, clock, **{"client_id": CLIENT_ID, **options})
    return Running(clock, ring, ledger, vault)


@pytest.fixture
async def processes(valkey: Valkey, clock: MovableClock) -> AsyncIterator[Processes]:
    """As many as a test asks for, on one Valkey."""
    started: list[Running] = []

    def start(**options: Any) -> Running:
        started.append(in_redis(valkey, options.pop("clock", clock), **options))
        return started[-1]

    yield start
    for one in started:
        await one.vault.aclose()
        await one.ledger.aclose()


def tickets_of(ring: KeyRing) -> Tickets:
    """As a vault of that ring issues them."""
    return Tickets(Cipher(ring, MovableClock(NOW), client_id=CLIENT_ID, origin=PUBLIC_URL))


class TestRedisVault(VaultSuite):
    """The suite, with sessions in a real Valkey."""


class TestCookieVault(VaultSuite):
    """The suite, with sessions in cookies and a ledger in a file."""

    @pytest.fixture
    async def processes(self, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Processes]:
        """As many as a test asks for, on one file."""
        started: list[Running] = []

        def start(**options: Any) -> Running:
            mine, ring = options.pop("clock", clock), options.pop("ring", None) or KeyRing.generate(clock)
            ledger = FileLedger(tmp_path / "ledger.sqlite", mine)
            policy = CookiePolicy.for_public_url(PUBLIC_URL)
            vault = CookieVault(ring, policy, ledger, mine, **{"client_id": CLIENT_ID, **options})
            started.append(Running(mine, ring, ledger, vault))
            return started[-1]

        yield start
        for one in started:
            await one.vault.aclose()
            await one.ledger.aclose()


# What only the store promises.


def test_the_redis_vault_keeps_every_promise_of_a_vault(valkey: Valkey, clock: MovableClock) -> None:
    """The protocol and the class have one shape."""
    vault: SessionVault = in_redis(valkey, clock).vault
    assert vault.foreign_seals == 0


@pytest.mark.req("F9")
@pytest.mark.parametrize("url", [PUBLIC_URL, LOOPBACK_URL])
async def test_the_ticket_is_small_and_set_at_sign_in_only(processes: Processes, url: str) -> None:
    """At most 120 bytes, name included; neither a call nor a refresh nor an activity sets any cookie."""
    process, browser = processes(public_url=url), Browser()
    await process.keep(browser, tokens=tokens(refresh_token="r" * 4000))
    (cookie,) = browser.kept.values()
    assert len(cookie.name) + 1 + len(cookie.value) <= 120
    assert cookie.max_age is None
    for _ in range(3):
        process.clock.advance(100)
        session = (await process.vault.find_session(browser.jar())).require()
        await process.vault.keep_generation(session, renewed(session))
        presented = await process.vault.find_session(browser.jar())
        assert presented.require().generation == session.generation + 1
        assert process.vault.cookies_due(presented, slides=True) == []


def test_a_ticket_never_shows_its_key() -> None:
    """Neither in its own repr nor in that of a session found by it; and an id that is none of ours makes none."""
    tickets = tickets_of(KeyRing.generate())
    ticket = tickets.issue("AAAAAAAAAAAAAAAAAAAAAA")
    found = TicketedSession.of(a_session(sid=ticket.sid), ticket)
    assert repr(ticket.key)[2:20] not in repr(found)
    assert ticket.value.decode() not in repr(found)
    assert tickets.read(ticket.value) == ticket
    for sid in ("short", "not base64!", "A" * 40):
        with pytest.raises(ValueError, match="id"):
            tickets.issue(sid)


def forgeries(ticket: Ticket) -> list[bytes]:
    """What somebody may send who has one ticket, or none: changed, cut, of another version, made up."""
    raw = base64.urlsafe_b64decode(ticket.value)
    changed = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw))]
    before_it_was_signed = bytes([1]) + raw[5:53]
    made_up = [*changed, raw[:-1], raw + b"x", before_it_was_signed, bytes(len(raw)), raw[:5] + os.urandom(64)]
    return [base64.urlsafe_b64encode(one).rstrip(b"=") for one in made_up]


@pytest.mark.req("F9", "F10", "B14")
async def test_a_forged_ticket_never_reaches_the_store(processes: Processes, valkey: Valkey) -> None:
    """Only what a key of ours signed costs a question; anything else is nobody's, and stays where it is."""
    ring, browser = KeyRing.generate(), Browser()
    await processes(ring=ring).keep(browser)
    cold = processes(ring=ring)
    await cold.ledger.catch_up()
    name = cold.vault.policy.session
    ticket = tickets_of(ring).read(browser.kept[name].value)
    assert ticket is not None
    forged = [*forgeries(ticket), tickets_of(KeyRing.generate()).issue(ticket.sid).value]
    with valkey.client() as client:
        client.config_resetstat()
        cold.clock.advance(2)  # the local view is not fresh: whoever has a session asks for news
        for value in forged:
            presented = await cold.vault.find_session(Jar({name: value}))
            assert isinstance(presented.refusal, NoSession)
            assert cold.vault.cookies_due(presented, slides=True) == []
            await cold.vault.keep_login(a_transaction(replaces="x"), Jar({name: value}))
        asked = client.info("commandstats")
        assert {"cmdstat_hmget", "cmdstat_evalsha", "cmdstat_eval", "cmdstat_set"}.isdisjoint(asked)
        assert (await cold.vault.find_session(browser.jar())).refusal is None
        assert client.info("commandstats")["cmdstat_hmget"]["calls"] == 1


@pytest.mark.req("F22", "F9")
async def test_a_ticket_lives_as_long_as_its_key(processes: Processes) -> None:
    """A newer key signs newer tickets; the older one is counted for as long as one of its tickets comes along."""
    old, new = (Key(id=f"0000000{one}", secret=bytes([one]) * 32, use_from=float(one)) for one in (1, 2))
    ring, browser = KeyRing((old,), MovableClock(NOW)), Browser()
    process = processes(ring=ring)
    await process.keep(browser)
    ring.replace((old, new))
    session = (await process.present(browser)).require()
    await process.vault.keep_generation(session, renewed(session))  # sealed with the new key from now on
    before = ring.opens[old.id]
    await process.present(browser)
    assert ring.opens[old.id] > before
    ring.replace((new,))
    presented = await process.vault.find_session(browser.jar())
    assert isinstance(presented.refusal, NoSession)
    assert process.vault.cookies_due(presented, slides=True) == []


@pytest.mark.req("F9", "ATK-16", "B6")
async def test_a_dump_of_the_store_opens_nothing_even_with_our_keys(processes: Processes, valkey: Valkey) -> None:
    """Nothing of a session lies there in the clear; with the ring but another cookie key it stays shut."""
    ring, browser = KeyRing.generate(), Browser()
    process = processes(ring=ring)
    session = await process.keep(browser, subject="alice-herself", tokens=tokens(refresh_token="the-refresh-token"))
    with valkey.client() as client:
        stored = b"".join(key + b"".join(client.hgetall(key).values()) for key in client.scan_iter(_type="hash"))
    for secret in (session.sid.encode(), b"alice-herself", b"the-refresh-token", session.tokens.access_token.encode()):
        assert secret not in stored
    name = process.vault.policy.session
    of_another_key = tickets_of(ring).issue(session.sid).value
    presented = await processes(ring=ring).vault.find_session(Jar({name: of_another_key}))
    assert isinstance(presented.refusal, NoSession)


@pytest.mark.req("F9", "ATK-17")
async def test_records_cannot_be_swapped(processes: Processes, valkey: Valkey) -> None:
    """Whoever can write the store puts one person's record in another's place: it opens for neither."""
    ring, alice, bob = KeyRing.generate(), Browser(), Browser()
    process = processes(ring=ring)
    mine, theirs = await process.keep(alice), await process.keep(bob, subject="bob")
    keys = [key_of(mark_of_sid(session.sid), "session") for session in (mine, theirs)]
    with valkey.client() as client:
        records = [client.hgetall(key) for key in keys]
        client.hset(keys[0], mapping=records[1])
        client.hset(keys[1], mapping={"secrets": records[0][b"secrets"]})
    stranger = processes(ring=ring)
    for browser in (alice, bob):
        assert isinstance((await stranger.present(browser)).refusal, NoSession)


@pytest.mark.req("F9", "ATK-17")
def test_secrets_open_in_their_own_place_only(clock: MovableClock) -> None:
    """Also for whoever has both keys: in another place, with another key or ring, or changed by a byte, none opens."""
    sealers = [
        SharedSealer(Cipher(KeyRing.generate(clock), clock, client_id="c", origin=PUBLIC_URL), "secrets")
        for _ in range(2)
    ]
    sealed = sealers[0].seal(b"payload", browser_key=b"k" * 32, bound_to=b"here")
    opened = sealers[0].open(sealed, browser_key=b"k" * 32, bound_to=b"here")
    assert opened is not None
    assert opened.payload == b"payload"
    assert sealers[0].open(sealed, browser_key=b"k" * 32, bound_to=b"there") is None
    assert sealers[0].open(sealed, browser_key=b"l" * 32, bound_to=b"here") is None
    assert sealers[1].open(sealed, browser_key=b"k" * 32, bound_to=b"here") is None
    for at in range(0, len(sealed), 7):
        spoilt = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert sealers[0].open(spoilt, browser_key=b"k" * 32, bound_to=b"here") is None
    assert sealers[0].open(b"", browser_key=b"k" * 32, bound_to=b"here") is None


@pytest.mark.req("F9", "F12")
async def test_what_was_shredded_is_not_told_again(processes: Processes, valkey: Valkey) -> None:
    """A writer that reconnects before it hears of the end brings nothing back."""
    process, browser = processes(), Browser()
    session = await process.keep(browser)
    key = key_of(mark_of_sid(session.sid), "session")
    with valkey.client() as client:
        client.hdel(key, "secrets")
        assert isinstance(process.ledger, RedisLedger)
        await process.ledger.own_writes.tell_again()
        assert client.hexists(key, "secrets") is False


@pytest.mark.req("F9", "F2")
async def test_an_ended_sessions_secrets_are_shredded_and_what_remains_says_why(
    processes: Processes, valkey: Valkey
) -> None:
    """Nobody can open it again, with whatever keys; a compare-and-set never brings it back."""
    ring, browser = KeyRing.generate(), Browser()
    process = processes(ring=ring)
    await process.keep(browser)
    session = (await process.present(browser)).require()
    await process.vault.end_session(session, Reason.ADMIN)
    await process.vault.aclose()
    key = key_of(mark_of_sid(session.sid), "session")
    with valkey.client() as client:
        assert client.hkeys(key) == [b"generation", b"about", b"active"]
        assert await process.vault.keep_generation(session, renewed(session)) is session
        assert client.hkeys(key) == [b"generation", b"about", b"active"]
    assert await processes(ring=ring).reason(browser) == "admin"


@pytest.mark.req("F2")
async def test_a_generation_never_creates_what_is_missing(processes: Processes, valkey: Valkey) -> None:
    """The store lost the session: the refresh is dropped, and nobody is signed in by it."""
    process, browser = processes(), Browser()
    await process.keep(browser)
    session = (await process.present(browser)).require()
    with valkey.client() as client:
        client.delete(key_of(mark_of_sid(session.sid), "session"))
        assert await process.vault.keep_generation(session, renewed(session)) is session
        assert client.exists(key_of(mark_of_sid(session.sid), "session")) == 0


@pytest.mark.req("F10", "B14", "B11")
async def test_reading_writes_nothing_and_visitors_ask_nobody(processes: Processes, valkey: Valkey) -> None:
    """A warm call asks neither store nor ledger; an anonymous one never; an activity is one write a minute."""
    process, browser = processes(), Browser()
    await process.keep(browser)
    with valkey.client() as client:

        def asked() -> dict[str, int]:
            found = {name[8:]: told["calls"] for name, told in client.info("commandstats").items()}
            return {name: found[name] for name in found if name in {"hmget", "hset", "evalsha", "hgetall", "set"}}

        client.config_resetstat()
        for _ in range(50):
            await process.vault.find_session(Jar({}))
            presented = await process.vault.find_session(browser.jar())
            process.vault.cookies_due(presented, slides=True)
        await settle()
        assert asked() == {}
        process.clock.advance(61)
        for slides in (False, *[True] * 20):
            presented = await process.vault.find_session(browser.jar())
            process.vault.cookies_due(presented, slides=slides)
        await process.vault.aclose()
        assert asked()["hset"] == 1


@pytest.mark.req("F10", "B14", "F12")
async def test_a_store_that_is_away_is_an_outage_and_the_ticket_is_kept(clock: MovableClock) -> None:
    """Nobody claims that a session lives or that it does not; when the store is back, so is the person."""
    with running_valkey(appendonly="yes", appendfsync="always") as server:
        process, browser = in_redis(server, clock), Browser()
        session = await process.keep(browser)
        server.kill()
        clock.advance(2)
        with pytest.raises(SessionStoreUnavailable):
            await process.vault.find_session(browser.jar())
        assert isinstance((await process.vault.find_session(Jar({}))).refusal, NoSession)
        with pytest.raises(SessionStoreUnavailable):
            await process.keep(Browser())
        server.start()
        clock.advance(1)
        await until(lambda: process.ledger.fresh)
        assert same((await process.present(browser)).require(), session)
        await process.vault.aclose()
        await process.ledger.aclose()


@pytest.mark.req("F12")
async def test_a_store_that_lost_the_last_minute_is_told_again(clock: MovableClock) -> None:
    """A sign-in, a refresh and a sign-out of this process: the living live on, the dead stay dead."""
    with running_valkey() as server:
        process, alice, bob = in_redis(server, clock), Browser(), Browser()
        await process.keep(alice)
        session = (await process.present(alice)).require()
        stands = await process.vault.keep_generation(session, renewed(session))
        await process.keep(bob)
        ended = (await process.present(bob)).require()
        await process.vault.end_session(ended, Reason.SIGNED_OUT)
        await process.vault.aclose()
        server.kill()
        server.start()
        clock.advance(2)
        await until(lambda: process.ledger.fresh)
        other = in_redis(server, clock, ring=process.ring)
        assert same((await other.present(alice)).require(), stands)
        with server.client() as client:
            assert client.exists(key_of(mark_of_sid(ended.sid), "session")) == 0
        assert other.vault.ended(ended) is Reason.SIGNED_OUT
        for one in (process, other):
            await one.vault.aclose()
            await one.ledger.aclose()


@pytest.mark.req("F12", "F1")
async def test_a_refresh_whose_write_failed_is_kept_by_its_process(clock: MovableClock) -> None:
    """The old refresh token is spent: this process goes on with the new one, and writes it when the store is back."""
    with running_valkey(appendonly="yes", appendfsync="always") as server:
        process, browser = in_redis(server, clock), Browser()
        await process.keep(browser)
        session = (await process.present(browser)).require()
        server.kill()
        after = renewed(session)
        assert await process.vault.keep_generation(session, after) is after
        server.start()
        clock.advance(1)
        await until(lambda: process.ledger.fresh)
        other = in_redis(server, clock, ring=process.ring)
        assert same((await other.present(browser)).require(), after)
        for one in (process, other):
            await one.vault.aclose()
            await one.ledger.aclose()


@pytest.mark.req("F10")
async def test_two_hundred_calls_of_one_session_ask_the_store_once(processes: Processes, valkey: Valkey) -> None:
    """A page that wakes up a cold process asks one question."""
    ring, browser = KeyRing.generate(), Browser()
    await processes(ring=ring).keep(browser)
    cold = processes(ring=ring)
    await cold.ledger.catch_up()
    with valkey.client() as client:
        client.config_resetstat()
        began = time.monotonic()
        found = await asyncio.gather(*(cold.vault.find_session(browser.jar()) for _ in range(200)))
        assert time.monotonic() - began < 5
        assert client.info("commandstats")["cmdstat_hmget"]["calls"] == 1
    assert all(presented.refusal is None for presented in found)
